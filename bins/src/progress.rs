//! How far a piece of work has come: a bar on a terminal, a plain line every few seconds in a log,
//! nothing for a quiet run.

use crate::console::printable;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines of a log.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// Who reads standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A person at a terminal.
    Terminal,
    /// A file, a pipe or a batch system.
    Log,
    /// Nobody wants to know.
    Nobody,
}

/// Progress of one piece of work. Threads may share it. Dropping it ends the display.
#[derive(Debug)]
pub(crate) struct Progress(Display);

#[derive(Debug)]
enum Display {
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
    Silent,
}

/// The state behind the lines of a log.
#[derive(Debug)]
struct Lines {
    what: String,
    unit: &'static str,
    total: Option<u64>,
    done: u64,
    message: String,
    started: Instant,
    /// When the last line was due.
    last: Instant,
}

impl Progress {
    pub(crate) fn new(
        audience: Audience,
        what: &str,
        unit: &'static str,
        total: Option<u64>,
    ) -> Self {
        let what = printable(what).into_owned();
        Self(match audience {
            Audience::Terminal => Display::Bar(bar(what, unit, total)),
            Audience::Log => Display::Lines(Mutex::new(Lines::new(what, unit, total))),
            Audience::Nobody => Display::Silent,
        })
    }

    /// So many more units are done.
    pub(crate) fn advance(&self, units: u64) {
        match &self.0 {
            Display::Bar(bar) => bar.inc(units),
            Display::Lines(lines) => update(lines, |lines| lines.done += units),
            Display::Silent => {}
        }
    }

    /// Shows a short text behind the numbers, such as the current loss.
    pub(crate) fn message(&self, text: &str) {
        match &self.0 {
            Display::Bar(bar) => bar.set_message(printable(text).into_owned()),
            Display::Lines(lines) => update(lines, |lines| {
                lines.message = printable(text).into_owned();
            }),
            Display::Silent => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Display::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Changes the state and prints a line where one is due.
fn update(lines: &Mutex<Lines>, change: impl FnOnce(&mut Lines)) {
    // A thread that panicked while printing left numbers that are still good enough to show.
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut lines);
    if let Some(line) = lines.due(Instant::now()) {
        // Progress that cannot be delivered is no reason to fail.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

fn bar(what: String, unit: &'static str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => format!(
            "{{prefix}} [{{bar:32}}] {{pos}}/{{len}} {unit}, {{rate}}/s, {{eta}} left {{msg}}"
        ),
        None => format!("{{spinner}} {{prefix}} {{pos}} {unit}, {{rate}}/s {{msg}}"),
    };
    let style = ProgressStyle::with_template(&template)
        .expect("the template is fixed text with known keys")
        .with_key("rate", |state: &ProgressState, to: &mut dyn fmt::Write| {
            // Text that a terminal does not take is no reason to fail.
            let _ = to.write_str(&significant(state.per_sec()));
        })
        .progress_chars("=> ");
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::new_spinner(),
    };
    bar.with_style(style).with_prefix(what)
}

impl Lines {
    fn new(what: String, unit: &'static str, total: Option<u64>) -> Self {
        let now = Instant::now();
        Self { what, unit, total, done: 0, message: String::new(), started: now, last: now }
    }

    /// The line to print at this time, if it is time for one.
    fn due(&mut self, now: Instant) -> Option<String> {
        if now.saturating_duration_since(self.last) < LINE_PERIOD {
            return None;
        }
        self.last = now;
        let seconds = now.saturating_duration_since(self.started).as_secs_f64();
        let rate = self.done as f64 / seconds;
        let mut line = format!("{}: {}", self.what, self.done);
        if let Some(total) = self.total.filter(|&total| total > 0) {
            let share = 100.0 * self.done as f64 / total as f64;
            line += &format!("/{total} {} ({share:.0} %)", self.unit);
        } else {
            line += &format!(" {}", self.unit);
        }
        line += &format!(", {}/s", significant(rate));
        if let Some(left) = self.total.and_then(|total| total.checked_sub(self.done))
            && rate > 0.0
        {
            line += &format!(", {:.0} s left", left as f64 / rate);
        }
        if !self.message.is_empty() {
            line += &format!(", {}", self.message);
        }
        Some(line)
    }
}

/// A rate with about three digits.
fn significant(rate: f64) -> String {
    let decimals = if rate >= 100.0 {
        0
    } else if rate >= 10.0 {
        1
    } else {
        2
    };
    format!("{rate:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_gets_a_line_every_few_seconds() {
        let mut lines = Lines::new("decode a.mp4".to_owned(), "frames", Some(400));
        let start = lines.started;
        lines.done = 3;
        assert_eq!(lines.due(start + LINE_PERIOD / 2), None);
        lines.done = 100;
        let line = lines.due(start + LINE_PERIOD).expect("five seconds have passed");
        assert_eq!(line, "decode a.mp4: 100/400 frames (25 %), 20.0/s, 15 s left");
        assert_eq!(lines.due(start + LINE_PERIOD), None);
        lines.message = "loss 0.25".to_owned();
        lines.total = None;
        let line = lines.due(start + 4 * LINE_PERIOD).expect("another fifteen have");
        assert_eq!(line, "decode a.mp4: 100 frames, 5.00/s, loss 0.25");
    }

    #[test]
    fn bars_take_any_numbers() {
        for (audience, total) in
            [(Audience::Terminal, Some(0)), (Audience::Terminal, None), (Audience::Nobody, Some(1))]
        {
            let progress = Progress::new(audience, "a\nb {x}", "items", total);
            progress.advance(5);
            progress.advance(u64::MAX >> 1);
            progress.message("{y}");
        }
    }
}
