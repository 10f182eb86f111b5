//! What a launch executed: instructions by class, memory traffic against its ideal, tensor work.

use crate::decode::{CLASS_NAMES, CLASSES, Class};
use std::fmt;

/// Counts of one launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Warp instructions by class, in the order of `Class`.
    pub instructions: [u64; CLASSES],
    /// Thread instructions: active lanes summed over all instructions.
    pub thread_instructions: u64,
    /// Passes through the shared memory banks.
    pub shared_wavefronts: u64,
    /// Passes the same accesses would take without bank conflicts.
    pub shared_wavefronts_ideal: u64,
    /// 32-byte sectors of device memory touched, an instruction at a time.
    pub global_sectors: u64,
    /// Sectors that hold the bytes asked for if they were dense.
    pub global_sectors_ideal: u64,
    /// Multiplications and additions by tensor cores.
    pub tensor_flops: u64,
    /// Multiplications and additions of f32, f16 and f64 lanes.
    pub float_flops: u64,
    /// Bytes loaded from device memory by lanes and copies.
    pub global_read: u64,
    /// Bytes stored to device memory.
    pub global_written: u64,
    /// Bytes loaded from shared memory.
    pub shared_read: u64,
    /// Bytes stored to shared memory.
    pub shared_written: u64,
    /// Registers of 4 bytes the text names for a thread.
    pub registers: u64,
    /// Shared memory of a CTA in bytes.
    pub shared_bytes: u64,
    /// CTAs run.
    pub ctas: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            instructions: [0; CLASSES],
            thread_instructions: 0,
            shared_wavefronts: 0,
            shared_wavefronts_ideal: 0,
            global_sectors: 0,
            global_sectors_ideal: 0,
            tensor_flops: 0,
            float_flops: 0,
            global_read: 0,
            global_written: 0,
            shared_read: 0,
            shared_written: 0,
            registers: 0,
            shared_bytes: 0,
            ctas: 0,
        }
    }
}

/// Peak rates of a device, from its data sheet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// Name of the device.
    pub name: &'static str,
    /// f32 operations a second outside tensor cores.
    pub float: f64,
    /// Dense 16-bit tensor operations a second.
    pub tensor: f64,
    /// Bytes a second of device memory.
    pub memory: f64,
    /// Bytes a second of shared memory, all multiprocessors together.
    pub shared: f64,
    /// Warp instructions a second, all multiprocessors together.
    pub issue: f64,
}

/// H100 SXM: 132 multiprocessors at 1.83 GHz, 128 bytes of shared memory a clock each.
pub const H100: Peaks = Peaks {
    name: "H100 SXM",
    float: 67e12,
    tensor: 989e12,
    memory: 3.35e12,
    shared: 132.0 * 128.0 * 1.83e9,
    issue: 132.0 * 4.0 * 1.83e9,
};

/// A100 SXM 80 GB: 108 multiprocessors at 1.41 GHz.
pub const A100: Peaks = Peaks {
    name: "A100 SXM 80GB",
    float: 19.5e12,
    tensor: 312e12,
    memory: 2.04e12,
    shared: 108.0 * 128.0 * 1.41e9,
    issue: 108.0 * 4.0 * 1.41e9,
};

/// H200 SXM: an H100 with faster memory.
pub const H200: Peaks = Peaks { name: "H200 SXM", memory: 4.8e12, ..H100 };

/// A lower bound of the time of a launch, and what sets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roofline {
    /// Seconds.
    pub seconds: f64,
    /// `tensor`, `float`, `memory`, `shared` or `issue`.
    pub bound: &'static str,
}

impl Counters {
    /// Warp instructions of a class.
    pub fn class(&self, class: Class) -> u64 {
        self.instructions[class as usize]
    }

    /// Classes that occurred, with their warp instructions.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASS_NAMES.into_iter().zip(self.instructions).filter(|(_, count)| *count > 0)
    }

    /// All warp instructions.
    pub fn total(&self) -> u64 {
        self.instructions.iter().sum()
    }

    /// Adds the counts of another part of the launch.
    pub fn add(&mut self, other: &Counters) {
        for (mine, theirs) in self.instructions.iter_mut().zip(other.instructions) {
            *mine += theirs;
        }
        self.thread_instructions += other.thread_instructions;
        self.shared_wavefronts += other.shared_wavefronts;
        self.shared_wavefronts_ideal += other.shared_wavefronts_ideal;
        self.global_sectors += other.global_sectors;
        self.global_sectors_ideal += other.global_sectors_ideal;
        self.tensor_flops += other.tensor_flops;
        self.float_flops += other.float_flops;
        self.global_read += other.global_read;
        self.global_written += other.global_written;
        self.shared_read += other.shared_read;
        self.shared_written += other.shared_written;
        self.registers = self.registers.max(other.registers);
        self.shared_bytes = self.shared_bytes.max(other.shared_bytes);
        self.ctas += other.ctas;
    }

    /// The best time a device with these peaks could take. Device memory is charged with the
    /// sectors touched, so caches are not credited and the bound may lie above a cached run.
    pub fn roofline(&self, peaks: &Peaks) -> Roofline {
        let bytes = (self.global_read + self.global_written).max(32 * self.global_sectors);
        let parts = [
            ("tensor", self.tensor_flops as f64 / peaks.tensor),
            ("float", self.float_flops as f64 / peaks.float),
            ("memory", bytes as f64 / peaks.memory),
            ("shared", self.shared_wavefronts as f64 * 128.0 / peaks.shared),
            ("issue", self.total() as f64 / peaks.issue),
        ];
        let mut best = Roofline { seconds: 0.0, bound: "issue" };
        for (bound, seconds) in parts {
            if seconds > best.seconds {
                best = Roofline { seconds, bound };
            }
        }
        best
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:<28}{:>16}", "warp instructions", self.total())?;
        for (name, count) in CLASS_NAMES.iter().zip(self.instructions) {
            if count > 0 {
                writeln!(out, "  {name:<26}{count:>16}")?;
            }
        }
        let rows = [
            ("thread instructions", self.thread_instructions),
            ("shared wavefronts", self.shared_wavefronts),
            ("  without conflicts", self.shared_wavefronts_ideal),
            ("global sectors", self.global_sectors),
            ("  if dense", self.global_sectors_ideal),
            ("tensor operations", self.tensor_flops),
            ("float operations", self.float_flops),
            ("global bytes read", self.global_read),
            ("global bytes written", self.global_written),
            ("shared bytes read", self.shared_read),
            ("shared bytes written", self.shared_written),
            ("virtual registers", self.registers),
            ("shared bytes of a CTA", self.shared_bytes),
            ("CTAs", self.ctas),
        ];
        for (name, count) in rows {
            writeln!(out, "{name:<28}{count:>16}")?;
        }
        Ok(())
    }
}
