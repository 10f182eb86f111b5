//! Peak rates of devices, and the time that a launch needs at least on one of them.

use serde::Serialize;
use vincie_ptx::{A100, Counters, H100, H200, Peaks};

/// Clocks a second of a device's data sheet, multiprocessors, and its three published rates: f32
/// operations, dense bf16 tensor operations with f32 sums, bytes of device memory.
const fn peaks(
    name: &'static str,
    (multiprocessors, clock): (f64, f64),
    (float, tensor, memory): (f64, f64, f64),
) -> Peaks {
    // Every multiprocessor since Volta moves 128 bytes of shared memory and issues four warp
    // instructions a clock.
    let clocks = multiprocessors * clock;
    Peaks { name, float, tensor, memory, shared: clocks * 128.0, issue: clocks * 4.0 }
}

/// Names on the command line and rates. Sources: the data sheets NVIDIA A100 (2022), H100 (2023),
/// H200 (2024), L40S (2023), L4 (2023), A10 (2021), and the Ada architecture's whitepaper for the
/// RTX 4090 (2022). Rates with sparsity are halved.
const DEVICES: [(&str, Peaks); 8] = [
    ("a10", peaks("A10", (72.0, 1.695e9), (31.2e12, 125e12, 0.600e12))),
    ("a100", A100),
    ("h100", H100),
    ("h100-pcie", peaks("H100 PCIe", (114.0, 1.755e9), (51e12, 756e12, 2.0e12))),
    ("h200", H200),
    ("l4", peaks("L4", (58.0, 2.040e9), (30.3e12, 121e12, 0.300e12))),
    ("l40s", peaks("L40S", (142.0, 2.520e9), (91.6e12, 362e12, 0.864e12))),
    ("rtx4090", peaks("RTX 4090", (128.0, 2.520e9), (82.6e12, 165.2e12, 1.008e12))),
];

/// Names that `--peaks` takes.
pub(crate) fn names() -> Vec<&'static str> {
    DEVICES.iter().map(|(name, _)| *name).collect()
}

/// The device of that name.
pub(crate) fn find(name: &str) -> Option<&'static Peaks> {
    DEVICES.iter().find(|(known, _)| *known == name).map(|(_, peaks)| peaks)
}

/// The least time that a launch takes on a device, by what it has to share.
#[derive(Debug, Serialize)]
pub(crate) struct Roofline {
    pub(crate) device: &'static str,
    pub(crate) microseconds: f64,
    pub(crate) bound: &'static str,
    /// Microseconds by each resource alone.
    pub(crate) parts: Vec<(&'static str, f64)>,
}

impl Roofline {
    pub(crate) fn of(counters: &Counters, peaks: &Peaks) -> Self {
        let estimate = counters.roofline(peaks);
        const FREE: Peaks = Peaks {
            name: "",
            float: f64::INFINITY,
            tensor: f64::INFINITY,
            memory: f64::INFINITY,
            shared: f64::INFINITY,
            issue: f64::INFINITY,
        };
        let alone = [
            ("tensor", Peaks { tensor: peaks.tensor, ..FREE }),
            ("float", Peaks { float: peaks.float, ..FREE }),
            ("memory", Peaks { memory: peaks.memory, ..FREE }),
            ("shared", Peaks { shared: peaks.shared, ..FREE }),
            ("issue", Peaks { issue: peaks.issue, ..FREE }),
        ];
        let microseconds = |peaks: &Peaks| counters.roofline(peaks).seconds * 1e6;
        Self {
            device: peaks.name,
            microseconds: estimate.seconds * 1e6,
            bound: estimate.bound,
            parts: alone.iter().map(|(name, peaks)| (*name, microseconds(peaks))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_slowest_part() {
        let counters =
            Counters { global_read: 48_000_000, tensor_flops: 1000, ..Default::default() };
        let roofline = Roofline::of(&counters, find("h200").expect("it is listed"));
        assert_eq!((roofline.bound, roofline.parts.len()), ("memory", 5));
        assert!((roofline.microseconds - 10.0).abs() < 1e-9, "{roofline:?}");
        let slowest = roofline.parts.iter().map(|(_, time)| *time).fold(0.0, f64::max);
        assert!((slowest - roofline.microseconds).abs() < 1e-9, "{roofline:?}");
        assert!(find("h300").is_none() && names().len() == DEVICES.len());
    }
}
