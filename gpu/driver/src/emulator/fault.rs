//! What a kernel did wrong, kept by its device, and what its kernels executed.

use super::state::lock;
use crate::result::Code;
use vincie_ptx::{Counters, Finding, FindingKind, Report};

/// A fault: the device fails every call until its context is reset.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The code that hardware has for it, or `LAUNCH_FAILED` where hardware would not notice.
    pub code: Code,
    /// The kernel.
    pub kernel: String,
    /// The findings, first of them the one that gave the code.
    pub findings: Vec<Finding>,
    /// All of it as text: a line for each finding.
    pub text: String,
}

/// What the launches of one kernel executed.
#[derive(Clone, Debug)]
pub struct KernelCounters {
    /// The kernel.
    pub kernel: String,
    /// Launches that ended without a fault.
    pub launches: u64,
    /// Host time of the machine, in seconds.
    pub seconds: f64,
    /// What they executed together.
    pub counters: Counters,
}

/// The fault of an emulated device, where it has one.
pub fn fault(device: usize) -> Option<Fault> {
    lock().devices.get(device)?.fault.clone()
}

/// What the kernels of an emulated device executed since it was last reset, by name.
pub fn counters(device: usize) -> Vec<KernelCounters> {
    let state = lock();
    let device = state.devices.get(device);
    device.map(|device| device.counters.values().cloned().collect()).unwrap_or_default()
}

impl Fault {
    /// The fault of a launch with findings, where there are any but tolerated ones.
    pub(super) fn of(kernel: &str, report: &Report, tolerate: &[FindingKind]) -> Option<Fault> {
        let mut findings: Vec<Finding> = report
            .findings
            .iter()
            .filter(|finding| !tolerate.contains(&finding.kind))
            .cloned()
            .collect();
        let first = findings.iter().position(|finding| is_hardware_fault(finding.kind));
        if let Some(first) = first {
            findings[..=first].rotate_right(1);
        }
        let code = code(findings.first()?.kind);
        let mut fault = Fault { code, kernel: kernel.to_owned(), findings, text: String::new() };
        fault.name_buffers(|_| None);
        Some(fault)
    }

    /// Writes the text, with the names of the allocations that the findings are about.
    pub(super) fn name_buffers<'a>(&mut self, name: impl Fn(u64) -> Option<&'a str>) {
        let lines = self.findings.iter().map(|finding| {
            let name = finding.address.and_then(&name);
            let name = name.map(|name| format!("; that is buffer `{name}`")).unwrap_or_default();
            format!("{finding}{name}")
        });
        self.text = lines.collect::<Vec<String>>().join("\n");
    }

    /// The fault of a launch that the machine gave up.
    pub(super) fn of_error(kernel: &str, error: &vincie_ptx::Error) -> Fault {
        Fault {
            code: Code::LAUNCH_FAILED,
            kernel: kernel.to_owned(),
            findings: Vec::new(),
            text: format!("{kernel}: {error}"),
        }
    }
}

/// The code that hardware has for a finding.
fn code(kind: FindingKind) -> Code {
    use FindingKind as Kind;
    match kind {
        Kind::OobRead | Kind::OobWrite | Kind::OobShared | Kind::OobLocal | Kind::PeerAccess => {
            Code::ILLEGAL_ADDRESS
        }
        Kind::Misaligned => Code::MISALIGNED_ADDRESS,
        Kind::Deadlock | Kind::StepLimit => Code::LAUNCH_TIMEOUT,
        Kind::MbarrierMisuse | Kind::BarrierMisuse | Kind::TensorMap => Code::ILLEGAL_INSTRUCTION,
        _ => Code::LAUNCH_FAILED,
    }
}

/// True where hardware would have noticed too: such a finding goes first.
fn is_hardware_fault(kind: FindingKind) -> bool {
    kind == FindingKind::Trap || code(kind) != Code::LAUNCH_FAILED
}
