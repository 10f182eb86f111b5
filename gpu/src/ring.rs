//! The last launches of a device, printed with every fault: a fault comes late and does not say
//! which kernel it was.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

/// Launches that are kept.
const KEPT: usize = 16;

/// One launch as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRecord {
    /// How many launches of the device came before it.
    pub number: u64,
    /// The kernel.
    pub kernel: Arc<str>,
    /// CTAs along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a CTA along x, y, z.
    pub block: [u32; 3],
    /// CTAs of a cluster along x, y, z.
    pub cluster: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared_bytes: usize,
    /// The stream's number.
    pub stream: u32,
    /// Sizes that the caller gave to names, and its note.
    pub shapes: String,
}

impl fmt::Display for LaunchRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LaunchRecord { number, kernel, grid, block, cluster, .. } = self;
        write!(f, "#{number} {kernel} grid {grid:?} block {block:?}")?;
        if *cluster != [1; 3] {
            write!(f, " cluster {cluster:?}")?;
        }
        if self.shared_bytes > 0 {
            write!(f, " shared {}", self.shared_bytes)?;
        }
        write!(f, " stream {}", self.stream)?;
        if self.shapes.is_empty() { Ok(()) } else { write!(f, " {}", self.shapes) }
    }
}

/// The ring of a device.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    records: VecDeque<LaunchRecord>,
    count: u64,
    by_kernel: BTreeMap<Arc<str>, u64>,
}

impl Ring {
    /// The number of the next launch.
    pub(crate) fn number(&mut self) -> u64 {
        self.count += 1;
        self.count - 1
    }

    /// Keeps a launch.
    pub(crate) fn push(&mut self, record: LaunchRecord) {
        if self.records.len() == KEPT {
            self.records.pop_front();
        }
        match self.by_kernel.get_mut(&record.kernel) {
            Some(launches) => *launches += 1,
            None => drop(self.by_kernel.insert(Arc::clone(&record.kernel), 1)),
        }
        self.records.push_back(record);
    }

    /// How often each kernel was launched so far; a launch that a graph notes counts once.
    pub(crate) fn by_kernel(&self) -> &BTreeMap<Arc<str>, u64> {
        &self.by_kernel
    }

    /// The launches kept, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &LaunchRecord> {
        self.records.iter().rev()
    }

    /// The note that goes with a fault.
    pub(crate) fn note(&self) -> String {
        if self.records.is_empty() {
            return "no kernel was launched before".to_owned();
        }
        let lines = self.newest_first().map(|record| format!("\n  {record}"));
        format!("last launches, newest first:{}", lines.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest() {
        let mut ring = Ring::default();
        assert!(ring.note().starts_with("no kernel"));
        for index in 0..KEPT as u32 + 3 {
            let number = ring.number();
            ring.push(LaunchRecord {
                number,
                kernel: "scale".into(),
                grid: [index + 1, 1, 1],
                block: [32, 1, 1],
                cluster: [1; 3],
                shared_bytes: 0,
                stream: 2,
                shapes: format!("n={index}"),
            });
        }
        let records: Vec<_> = ring.newest_first().collect();
        assert_eq!(records.len(), KEPT);
        let newest = "#18 scale grid [19, 1, 1] block [32, 1, 1] stream 2 n=18";
        assert_eq!(records[0].to_string(), newest);
        assert_eq!(records[KEPT - 1].number, 3);
        assert_eq!(ring.by_kernel().get("scale"), Some(&19));
    }
}
