//! How a command ends when it does not end well: one line and an exit code.

use crate::console::printable;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// A command that did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Exit code 1 and this line.
    Failed(String),
    /// Help, a version, or wrong usage: what clap says and its exit code, 0 or 2.
    Usage(Box<clap::Error>),
    /// Exit code 2 and this line: a file that describes what to do is wrong.
    Malformed(String),
    /// Exit code 1; what failed has been said.
    Reported,
    /// Whoever read the output has gone. There is nothing to report and nobody to report it to.
    OutputClosed,
}

impl Failure {
    /// Exit code 1 and this line.
    pub(crate) fn new(line: impl Display) -> Self {
        Self::Failed(line.to_string())
    }

    /// Exit code 2 and this line, for values that only the command itself can judge.
    pub(crate) fn usage(line: impl Display) -> Self {
        let error = clap::Error::raw(clap::error::ErrorKind::ValueValidation, line);
        Self::Usage(Box::new(error))
    }

    /// Exit code 2 and this line, for files that describe what to do.
    pub(crate) fn malformed(line: impl Display) -> Self {
        Self::Malformed(line.to_string())
    }

    /// What there is to say, without its exit code.
    pub(crate) fn into_line(self) -> String {
        match self {
            Self::Failed(line) | Self::Malformed(line) => line,
            Self::Usage(error) => usage_line(&error.render().to_string()),
            Self::Reported | Self::OutputClosed => String::new(),
        }
    }

    /// Writing to standard output failed.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(format!("standard output: {error}")),
        }
    }

    /// Prints what there is to say and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (line, code) = match self {
            Self::OutputClosed => return ExitCode::SUCCESS,
            Self::Reported => return ExitCode::FAILURE,
            Self::Failed(line) => (line, ExitCode::FAILURE),
            Self::Malformed(line) => (line, ExitCode::from(2)),
            Self::Usage(error) if is_text(&error) => {
                // Nobody is left to tell when help itself cannot be printed.
                let _ = error.print();
                return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            }
            Self::Usage(error) => (usage_line(&error.render().to_string()), ExitCode::from(2)),
        };
        let _ = writeln!(io::stderr(), "error: {}", table_or_line(&line));
        code
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(Box::new(error))
    }
}

impl From<vincie_data::Error> for Failure {
    fn from(error: vincie_data::Error) -> Self {
        Self::new(error)
    }
}

impl From<vincie_tensor::Error> for Failure {
    fn from(error: vincie_tensor::Error) -> Self {
        Self::new(error)
    }
}

impl From<vincie_dit::Error> for Failure {
    fn from(error: vincie_dit::Error) -> Self {
        Self::new(error)
    }
}

/// Whether clap has a page of text to print, not an error.
fn is_text(error: &clap::Error) -> bool {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
    };
    matches!(error.kind(), DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand)
}

/// clap's paragraphs on one line, without its reminder of the usage.
fn usage_line(rendered: &str) -> String {
    let text = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let line = paragraphs.collect::<Vec<_>>().join("; ");
    format!("{line}; try --help")
}

/// The line without control characters. Rows of a table below it, which begin with two spaces,
/// stay lines of their own.
fn table_or_line(text: &str) -> String {
    let rows = text.split("\n  ").map(printable);
    rows.collect::<Vec<_>>().join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_errors_take_one_line() {
        for (rendered, line) in [
            (
                "error: unexpected argument '--x' found\n\n  tip: to pass '--x' as a value, use '-- --x'\n\n\
                 Usage: vincie verify <DIR>\n\nFor more information, try '--help'.\n",
                "unexpected argument '--x' found; tip: to pass '--x' as a value, use '-- --x'; try --help",
            ),
            (
                "error: the following required arguments were not provided:\n  <DIR>\n\nUsage: vincie\n",
                "the following required arguments were not provided: <DIR>; try --help",
            ),
            ("error: plain\n", "plain; try --help"),
        ] {
            assert_eq!(usage_line(rendered), line);
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(table_or_line("a\nb\u{1b}[2Jc"), "a\\nb\\u{1b}[2Jc");
        assert_eq!(
            table_or_line("2 tensors\n  missing x\n  shape y"),
            "2 tensors\n  missing x\n  shape y"
        );
    }
}
