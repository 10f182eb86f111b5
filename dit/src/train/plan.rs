//! What memory a run takes, before its first step.

use crate::{Error, Result};
use vincie_tensor::Accelerator;

/// One kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanRow {
    /// What lies there.
    pub what: &'static str,
    /// Its bytes.
    pub bytes: usize,
    /// Allocations of its own; 0 where it shares the next row's.
    pub allocations: usize,
}

/// The memory of weights, optimizer and step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they are allocated.
    pub rows: Vec<PlanRow>,
    /// Bytes that the accelerator has free now; `None` on the host.
    pub free: Option<usize>,
}

impl Plan {
    /// Adds a row, unless it is empty.
    pub fn add(&mut self, what: &'static str, bytes: usize, allocations: usize) {
        if bytes > 0 {
            self.rows.push(PlanRow { what, bytes, allocations });
        }
    }

    /// Bytes of all rows.
    pub fn total(&self) -> usize {
        self.rows.iter().map(|row| row.bytes).sum()
    }

    /// Allocations of all rows.
    pub fn allocations(&self) -> usize {
        self.rows.iter().map(|row| row.allocations).sum()
    }

    /// Whether the accelerator has room for all of it.
    pub fn fits(&self) -> bool {
        self.free.is_none_or(|free| self.total() <= free)
    }
}

/// `Err` where an accelerator has less memory free than is wanted.
pub(super) fn check_room(place: &Accelerator, what: &str, bytes: usize) -> Result<()> {
    let device = place.device();
    let free = device.free_memory().map_err(vincie_tensor::Error::from)?;
    if bytes <= free {
        return Ok(());
    }
    let (have, wanted, spec) = (bytes_text(free), bytes_text(bytes), device.spec());
    Err(Error::invalid(format!(
        "train: {what} take {wanted}, and {spec} has {have} free; a smaller run.batch or model, or \
         run.recompute_blocks = true, takes less (`train --plan` lists all)"
    )))
}

/// Bytes in the unit that leaves up to four digits.
pub(super) fn bytes_text(bytes: usize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 10_000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 10_000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.0} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_adds_up_and_is_held_against_what_is_free() {
        let mut plan = Plan::default();
        plan.add("parameters", 1000, 1);
        plan.add("master weights", 0, 1);
        plan.add("batch", 50, 0);
        plan.add("activations", 500, 1);
        assert_eq!((plan.rows.len(), plan.total(), plan.allocations()), (3, 1550, 2));
        assert!(plan.fits());
        plan.free = Some(1550);
        assert!(plan.fits());
        plan.free = Some(1549);
        assert!(!plan.fits());
    }

    #[test]
    fn bytes_are_short() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (9999, "9999 bytes"),
            (10_240, "10 KiB"),
            (8 << 30, "8192 MiB"),
            (139 << 30, "139 GiB"),
            (usize::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes_text(bytes), text);
        }
    }
}
