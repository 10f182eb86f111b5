//! Processor and memory, as the operating system tells them.

use crate::number::bytes;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::thread;
use vincie_tensor::kernels::Simd;

/// The host's processor.
#[derive(Debug, Serialize)]
pub(super) struct Processor {
    model: String,
    /// Threads that this process may run at a time.
    threads: usize,
    /// Instruction set that the kernels use.
    level: &'static str,
    /// Instruction sets that matter here and that the processor has.
    features: Vec<&'static str>,
}

impl Processor {
    pub(super) fn look() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let level = Simd::detect().level().name();
        Self { model: model(), threads, level, features: features() }
    }

    /// The level and the features behind it.
    pub(super) fn simd(&self) -> String {
        match self.features.is_empty() {
            true => self.level.to_owned(),
            false => format!("{} ({})", self.level, self.features.join(" ")),
        }
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} threads", self.model, self.threads)
    }
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    let known = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512dq", is_x86_feature_detected!("avx512dq")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    known.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

/// The processor's name, or its architecture where the system does not tell.
fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    named.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// Main memory, bytes; absent where the system does not tell.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    total: Option<u64>,
    available: Option<u64>,
    /// Bound that a control group sets on this process.
    limit: Option<u64>,
}

impl Memory {
    pub(super) fn look() -> Self {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = meminfo(&text, "MemTotal");
        // Either layout of control groups; one without a bound says "max" or a huge number.
        let limit = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
            .iter()
            .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
            .find(|&limit: &u64| total.is_none_or(|total| limit < total));
        Self { total, available: meminfo(&text, "MemAvailable"), limit }
    }
}

impl Memory {
    /// What this process may still take, bytes.
    pub(super) fn usable(&self) -> Option<u64> {
        self.available.into_iter().chain(self.limit).min()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(total), Some(available)) = (self.total, self.available) else {
            return write!(f, "not known");
        };
        write!(f, "{}, {} available", bytes(total), bytes(available))?;
        self.limit.map_or(Ok(()), |limit| write!(f, ", limited to {}", bytes(limit)))
    }
}

/// An entry of `/proc/meminfo`, bytes.
fn meminfo(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_memory() {
        let text = "MemTotal:       24654824 kB\nMemFree:  1 kB\nMemAvailable:   2 kB\nHuge: 1\n";
        assert_eq!(meminfo(text, "MemTotal"), Some(24_654_824 << 10));
        assert_eq!(meminfo(text, "MemAvailable"), Some(2048));
        assert_eq!(meminfo(text, "Mem"), None);
        assert_eq!(meminfo(text, "Huge"), None);
    }
}
