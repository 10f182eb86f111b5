//! What `vincie ptx run` prints, as JSON and as lines.

use super::driver::OnDevice;
use super::element::number;
use super::peaks::Roofline;
use crate::console::Console;
use crate::failure::Failure;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use vincie_ptx::corpus::{Case, Mismatch, Outcome};
use vincie_ptx::{Counters, Finding, Peaks};

/// What `--json` prints. The machine's part is absent where a GPU ran the kernel, the driver's
/// where only the machine did.
#[derive(Serialize)]
pub(super) struct Answer {
    case: String,
    kernel: String,
    device: String,
    pub(super) passed: bool,
    matches: bool,
    #[serde(flatten)]
    machine: Option<OnMachine>,
    driver: Option<OnDevice>,
    seconds: f64,
}

/// What the machine saw.
#[derive(Serialize)]
struct OnMachine {
    findings: Vec<Found>,
    suppressed: u64,
    mismatches: Vec<Differs>,
    counters: Value,
    roofline: Roofline,
    #[serde(skip)]
    text: Vec<String>,
}

#[derive(Serialize)]
struct Found {
    class: &'static str,
    tolerated: bool,
    kernel: String,
    line: u32,
    source: Option<String>,
    cta: [u32; 3],
    warp: u32,
    lane: Option<u32>,
    address: Option<u64>,
    other: Option<Other>,
    message: String,
}

/// The other party of a race.
#[derive(Serialize)]
struct Other {
    cta: u32,
    warp: u32,
    lane: Option<u32>,
    access: &'static str,
}

/// Where a buffer is not what is expected.
#[derive(Debug, Serialize)]
pub(super) struct Differs {
    buffer: String,
    differing: usize,
    elements: usize,
    first: usize,
    got: Value,
    expected: Value,
    #[serde(skip)]
    text: String,
}

impl Answer {
    /// Puts both parts together; at least one is there.
    pub(super) fn of(
        case: &Case,
        device: String,
        machine: Option<(&Outcome, &Peaks)>,
        driver: Option<OnDevice>,
        seconds: f64,
    ) -> Self {
        let mut matches = driver.as_ref().is_none_or(|driver| driver.matches);
        let mut passed = matches;
        let machine = machine.map(|(outcome, peaks)| {
            matches &= outcome.mismatches.is_empty();
            passed &= matches && outcome.report.findings.iter().all(|f| is_tolerated(case, f));
            OnMachine::of(case, outcome, peaks)
        });
        Self {
            case: case.name.clone(),
            kernel: case.entry.clone(),
            device,
            passed,
            matches,
            machine,
            driver,
            seconds,
        }
    }

    pub(super) fn print(&self, console: &Console) -> Result<(), Failure> {
        let Self { passed, case, kernel, seconds, .. } = self;
        for line in self.machine.iter().flat_map(|machine| &machine.text) {
            console.line(line)?;
        }
        for line in self.driver.iter().flat_map(OnDevice::lines) {
            console.line(line)?;
        }
        let verdict = if *passed { "ok" } else { "FAIL" };
        console.line(format!("{verdict}  {case} {kernel} in {seconds:.2} s"))
    }
}

impl OnMachine {
    fn of(case: &Case, outcome: &Outcome, peaks: &Peaks) -> Self {
        let report = &outcome.report;
        let roofline = Roofline::of(&report.counters, peaks);
        let mut text = Vec::new();
        for finding in &report.findings {
            let note = if is_tolerated(case, finding) { " (tolerated)" } else { "" };
            text.push(format!("{finding}{note}"));
        }
        if report.suppressed > 0 {
            text.push(format!(
                "{} more findings at places already shown, or beyond the limit",
                report.suppressed
            ));
        }
        text.extend(outcome.mismatches.iter().map(|m| format!("wrong-result: {m}")));
        text.push(report.counters.to_string().trim_end().to_owned());
        text.extend(ratios(&report.counters));
        text.extend(roofline.lines());
        Self {
            findings: report.findings.iter().map(|f| found(f, is_tolerated(case, f))).collect(),
            suppressed: report.suppressed,
            mismatches: outcome.mismatches.iter().map(Differs::of).collect(),
            counters: counted(&report.counters),
            roofline,
            text,
        }
    }
}

impl Differs {
    pub(super) fn of(mismatch: &Mismatch) -> Self {
        Self {
            buffer: mismatch.buffer.clone(),
            differing: mismatch.count.0,
            elements: mismatch.count.1,
            first: mismatch.index,
            got: number(mismatch.got),
            expected: number(mismatch.want),
            text: mismatch.to_string(),
        }
    }
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Roofline {
    fn lines(&self) -> [String; 2] {
        let Self { device, microseconds, bound, parts } = self;
        let parts: Vec<String> =
            parts.iter().map(|(name, time)| format!("{name} {time:.3}")).collect();
        [
            format!("{:<28}{microseconds:>16.3} us on {device} at best, by {bound}", "roofline"),
            format!("{:<28}{:>16} us", "  by each alone", parts.join(", ")),
        ]
    }
}

fn is_tolerated(case: &Case, finding: &Finding) -> bool {
    case.tolerate.iter().any(|name| name == finding.kind.name())
}

/// How far accesses are from their ideal, where there are any.
fn ratios(counters: &Counters) -> Vec<String> {
    let ratio = |name: &str, have: u64, ideal: u64, what: &str| {
        (have > 0 && ideal > 0).then(|| {
            let ratio = have as f64 / ideal as f64;
            format!("{name:<28}{ratio:>16.2} {what}")
        })
    };
    let Counters { shared_wavefronts, shared_wavefronts_ideal, .. } = *counters;
    let Counters { global_sectors, global_sectors_ideal, .. } = *counters;
    let shared = "wavefronts for one without conflicts";
    let global = "sectors for one if dense";
    [
        ratio("bank conflicts", shared_wavefronts, shared_wavefronts_ideal, shared),
        ratio("coalescing", global_sectors, global_sectors_ideal, global),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn found(finding: &Finding, tolerated: bool) -> Found {
    let source = finding.source.as_ref();
    Found {
        class: finding.kind.name(),
        tolerated,
        kernel: finding.kernel.clone(),
        line: finding.line,
        source: source.map(|(file, line, column)| format!("{file}:{line}:{column}")),
        cta: finding.cta,
        warp: finding.warp,
        lane: finding.lane,
        address: finding.address,
        other: finding.other.as_ref().map(|other| Other {
            cta: other.cta,
            warp: other.warp,
            lane: other.lane,
            access: other.access,
        }),
        message: finding.message.clone(),
    }
}

fn counted(counters: &Counters) -> Value {
    let classes: serde_json::Map<String, Value> =
        counters.by_class().map(|(name, count)| (name.to_owned(), count.into())).collect();
    serde_json::json!({
        "warp_instructions": counters.total(),
        "by_class": classes,
        "thread_instructions": counters.thread_instructions,
        "shared_wavefronts": counters.shared_wavefronts,
        "shared_wavefronts_ideal": counters.shared_wavefronts_ideal,
        "global_sectors": counters.global_sectors,
        "global_sectors_ideal": counters.global_sectors_ideal,
        "tensor_flops": counters.tensor_flops,
        "float_flops": counters.float_flops,
        "global_read_bytes": counters.global_read,
        "global_written_bytes": counters.global_written,
        "shared_read_bytes": counters.shared_read,
        "shared_written_bytes": counters.shared_written,
        "virtual_registers": counters.registers,
        "shared_bytes": counters.shared_bytes,
        "ctas": counters.ctas,
    })
}
