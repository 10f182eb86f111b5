//! The raw record of a check, and what of it goes to the terminal.

use super::summary;
use crate::command::VERSION;
use crate::console::Console;
use crate::failure::Failure;
use crate::ptx::driver::About;
use crate::publish;
use crate::table::{Align, Table};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Name of the record in its folder.
pub(super) const FILE: &str = "gpu-check.json";

/// Number of the record's form.
const FORMAT: u32 = 1;

/// Everything that was seen, in the order it was seen.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    format: u32,
    version: &'static str,
    command: Vec<String>,
    /// False while the check runs, and for ever where it was killed.
    pub(super) complete: bool,
    pub(super) passed: bool,
    pub(super) seconds: f64,
    pub(super) device: About,
    /// Version of the driver's part in the operating system.
    kernel_module: Option<String>,
    pub(super) sections: Vec<Part>,
}

/// One section.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) seconds: f64,
    pub(super) rows: Vec<Row>,
}

/// One case.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) status: Status,
    /// Why it is not passed.
    pub(super) reason: Option<String>,
    /// Lines for people about what differs.
    #[serde(skip)]
    pub(super) notes: Vec<String>,
    /// Time of the launch on the device.
    pub(super) gpu_microseconds: Option<f64>,
    /// Time of the emulator under all checks.
    pub(super) emulator_seconds: Option<f64>,
    #[serde(flatten)]
    pub(super) details: serde_json::Map<String, Value>,
}

/// What a case came to, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// Device and emulator agree bit by bit, and with what is expected.
    Passed,
    /// Both are within the tolerance, but their bits differ.
    Differs,
    /// The device did not run it.
    Skipped,
    /// The device or the emulator is not within the tolerance, or wrote where it must not.
    Fails,
    /// The device failed.
    Fault,
    /// The device did not answer, or its process ended.
    Lost,
    /// It could not be run at all.
    Error,
}

impl Status {
    const ALL: [Self; 7] = [
        Self::Passed,
        Self::Differs,
        Self::Skipped,
        Self::Fails,
        Self::Fault,
        Self::Lost,
        Self::Error,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Differs => "differs",
            Self::Skipped => "skipped",
            Self::Fails => "fails",
            Self::Fault => "fault",
            Self::Lost => "lost",
            Self::Error => "error",
        }
    }

    /// True where nothing is wrong: a difference within the tolerance is told, not punished.
    pub(super) fn is_fine(self) -> bool {
        matches!(self, Self::Passed | Self::Differs | Self::Skipped)
    }
}

impl Row {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: Status::Passed,
            reason: None,
            notes: Vec::new(),
            gpu_microseconds: None,
            emulator_seconds: None,
            details: serde_json::Map::new(),
        }
    }

    pub(super) fn because(mut self, status: Status, reason: impl Into<String>) -> Self {
        (self.status, self.reason) = (status, Some(reason.into()));
        self
    }

    pub(super) fn detail(&mut self, key: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).expect("details have string keys");
        self.details.insert(key.to_owned(), value);
    }
}

impl Record {
    pub(super) fn new(device: About, kernel_module: Option<String>) -> Self {
        Self {
            format: FORMAT,
            version: VERSION.as_str(),
            command: std::env::args().collect(),
            complete: false,
            passed: true,
            seconds: 0.0,
            device,
            kernel_module,
            sections: Vec::new(),
        }
    }

    /// Adds a case to the section that runs.
    pub(super) fn add(&mut self, row: Row) {
        self.passed &= row.status.is_fine();
        self.sections.last_mut().expect("a section runs").rows.push(row);
    }

    /// Replaces the record on disk in one step.
    pub(super) fn publish(&self, folder: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).expect("records have string keys");
        publish::file(&folder.join(FILE), text.as_bytes())
    }

    /// Prints a row a case, or where `is_short` only those that are not passed; and the counts.
    pub(super) fn print(&self, is_short: bool, console: &Console) -> Result<(), Failure> {
        let left = |name| (name, Align::Left);
        let right = |name| (name, Align::Right);
        let mut table = Table::new([
            left("section"),
            left("case"),
            left("result"),
            right("gpu us"),
            right("emulator ms"),
            left(""),
        ]);
        for (part, row) in self.rows().filter(|(_, row)| !is_short || row.status != Status::Passed)
        {
            let time = |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{time:.1}"));
            table.row([
                part.name.clone(),
                row.name.clone(),
                row.status.name().to_owned(),
                time(row.gpu_microseconds),
                time(row.emulator_seconds.map(|seconds| seconds * 1e3)),
                first_line(row.reason.as_deref().unwrap_or_default()),
            ]);
        }
        console.line(&table)?;
        for (_, row) in self.rows() {
            for note in &row.notes {
                console.line(format!("{}  {}: {note}", row.status.name(), row.name))?;
            }
        }
        if let Some(table) = summary::table(self) {
            console.line(&table)?;
        }
        let count = |status| self.rows().filter(|(_, row)| row.status == status).count();
        let counts: Vec<String> = Status::ALL
            .iter()
            .map(|status| (count(*status), status.name()))
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let verdict = if self.passed { "ok" } else { "FAIL" };
        let (device, seconds) = (self.device.line(), self.seconds);
        console.line(format!("{verdict}  {device}: {} in {seconds:.1} s", counts.join(", ")))
    }

    pub(super) fn version(&self) -> &str {
        self.version
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&Part, &Row)> {
        self.sections.iter().flat_map(|part| part.rows.iter().map(move |row| (part, row)))
    }
}

/// The first line of a text, with a mark where there is more.
fn first_line(text: &str) -> String {
    match text.split_once('\n') {
        Some((first, _)) => format!("{first} ..."),
        None => text.to_owned(),
    }
}
