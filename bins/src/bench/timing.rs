//! Repeated measurements of wall time, and the process's peak memory.

use crate::failure::Failure;
use serde::Serialize;
use std::fs;
use std::time::{Duration, Instant};

/// Runs that do not count: the first one faults memory in, the second finds the pool filled.
const WARM_UP: usize = 2;

/// Fewest runs that count.
const FEWEST: usize = 3;

/// What repeated runs took, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Timing {
    pub(super) best_ms: f64,
    pub(super) median_ms: f64,
    pub(super) repeats: usize,
}

/// Runs `work` for about `budget`, and at least [`FEWEST`] times after warming up.
pub(super) fn measure(
    budget: Duration,
    mut work: impl FnMut() -> Result<(), Failure>,
) -> Result<Timing, Failure> {
    for _ in 0..WARM_UP {
        work()?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < FEWEST || start.elapsed() < budget {
        let begin = Instant::now();
        work()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(Timing { best_ms: times[0], median_ms: times[times.len() / 2], repeats: times.len() })
}

/// Largest resident set of this process so far, in bytes, where the system tells.
pub(super) fn peak_resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}
