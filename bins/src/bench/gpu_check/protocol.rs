//! What the process of the device is asked, and what it answers: a line of JSON each.

use super::jobs::Job;
use super::report::Status;
use crate::ptx::driver::About;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// A launch file.
    Launch {
        case: PathBuf,
        /// Where to leave what buffers hold afterwards.
        outputs: PathBuf,
    },
    /// Work that the process judges itself.
    Job(Job),
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The first answer: the device is open.
    Ready(About),
    /// Outputs are written.
    Done(Done),
    /// A job has ended.
    Told(Told),
    /// The device cannot run the case.
    Skipped(String),
    /// The device failed; the process ends.
    Fault(String),
    /// The case, or at first the device, cannot be used.
    Error(String),
}

/// What a launch came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    /// Time on the device.
    pub(super) microseconds: f64,
    /// Time of all of it: the driver's compiler, copies, the launch.
    pub(super) seconds: f64,
    pub(super) registers: Option<u32>,
    pub(super) local_bytes: Option<u32>,
    pub(super) overrun: Vec<String>,
    #[serde(default)]
    pub(super) trace: Vec<Value>,
}

/// What a job came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    /// Time of one repetition on the device, where that was measured.
    pub(super) microseconds: Option<f64>,
    pub(super) details: Map<String, Value>,
    /// Kernels that this process launched for the first time.
    #[serde(default)]
    pub(super) launched: Vec<String>,
}

impl Told {
    pub(super) fn passed() -> Self {
        Self {
            status: Status::Passed,
            reason: None,
            microseconds: None,
            details: Map::new(),
            launched: Vec::new(),
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

    /// Adds what was compared: how much, the worst of it and all that is beyond its tolerance.
    pub(super) fn judged(mut self, seen: &Deviations) -> Self {
        self.detail("compared", seen.compared);
        if let Some((name, deviation, tolerance)) = &seen.worst {
            self.detail("worst", name);
            self.detail("deviation", crate::ptx::element::number(*deviation));
            self.detail("tolerance", tolerance);
        }
        let Some(first) = seen.wrong.first() else { return self };
        let reason = match seen.wrong.len() {
            1 => first.clone(),
            many => format!("{first}; and {} more", many - 1),
        };
        self.detail("wrong", &seen.wrong[..seen.wrong.len().min(MAX_WRONG)]);
        self.because(Status::Fails, reason)
    }
}

/// Most comparisons beyond their tolerance that a record keeps of one job.
const MAX_WRONG: usize = 12;

/// Comparisons of one job.
#[derive(Debug, Default)]
pub(super) struct Deviations {
    compared: usize,
    /// Name, deviation and tolerance of what comes closest to its tolerance.
    worst: Option<(String, f64, f64)>,
    /// A line each.
    wrong: Vec<String>,
}

impl Deviations {
    pub(super) fn add(&mut self, name: &str, deviation: f64, tolerance: f64) {
        self.compared += 1;
        let is_within = deviation <= tolerance;
        if !is_within {
            self.wrong.push(format!("{name}: {deviation:.2e}, at most {tolerance:.1e}"));
        }
        let share = |deviation: f64, tolerance: f64| match deviation.is_nan() {
            true => f64::INFINITY,
            false => deviation / tolerance,
        };
        let worst = self.worst.as_ref().map_or(-1.0, |(_, d, t)| share(*d, *t));
        if share(deviation, tolerance) > worst {
            self.worst = Some((name.to_owned(), deviation, tolerance));
        }
    }

    pub(super) fn fail(&mut self, line: String) {
        self.compared += 1;
        self.wrong.push(line);
    }
}
