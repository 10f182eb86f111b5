//! What a command says: results on standard output, the rest on standard error.

use crate::failure::Failure;
use crate::progress::{Audience, Progress};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// The two output streams of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    audience: Audience,
}

impl Console {
    /// With `is_quiet`, notes and progress are left out.
    pub(crate) fn new(is_quiet: bool) -> Self {
        let audience = match (is_quiet, io::stderr().is_terminal()) {
            (true, _) => Audience::Nobody,
            (false, true) => Audience::Terminal,
            (false, false) => Audience::Log,
        };
        Self { audience }
    }

    /// Whether notes and progress are left out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.audience == Audience::Nobody
    }

    /// Prints text and a line break to standard output.
    pub(crate) fn line(&self, text: impl Display) -> Result<(), Failure> {
        writeln!(io::stdout(), "{text}").map_err(|error| Failure::of_output(&error))
    }

    /// Prints a value as indented JSON to standard output.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .expect("results have string keys and plain values, as JSON needs");
        self.line(text)
    }

    /// Prints a line to standard error, unless the run is quiet.
    pub(crate) fn note(&self, text: impl Display) {
        if self.audience != Audience::Nobody {
            // A note that cannot be delivered is no reason to fail.
            let _ = writeln!(io::stderr(), "{}", printable(&text.to_string()));
        }
    }

    /// Prints a line to standard error in any case: part of the work failed and the rest goes on.
    pub(crate) fn warning(&self, text: impl Display) {
        let _ = writeln!(io::stderr(), "warning: {}", printable(&text.to_string()));
    }

    /// Starts to show how far `what` has come; `total` is in `unit`s, where it is known.
    pub(crate) fn progress(&self, what: &str, unit: &'static str, total: Option<u64>) -> Progress {
        Progress::new(self.audience, what, unit, total)
    }
}

/// Text on one line, without characters that move the cursor: names of files and texts of data
/// sets come from outside.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}
