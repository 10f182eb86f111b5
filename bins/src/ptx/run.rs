//! `vincie ptx run`: one launch with its checks and counters.

use crate::console::Console;
use crate::failure::Failure;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;
use vincie_gpu::DeviceSpec;
use vincie_ptx::corpus::{Case, Mismatch};
use vincie_ptx::{
    A100, Checks, Counters, Error, Finding, H100, H200, Landing, Options, Peaks, Schedule,
};

/// Most warp instructions by default: minutes of work, and an end for what never ends.
const MAX_INSTRUCTIONS: u64 = 4_000_000_000;

/// Run a kernel as a launch file says, compare its outputs and print findings and counters.
///
/// The file names a PTX file, an entry, the launch shape, arguments and expected outputs;
/// `ptx/corpus/README.md` describes it. The exit code is 0 when every output matches and nothing was
/// found outside the file's `tolerate`, 1 otherwise, and 2 when the file or its PTX cannot be read.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie ptx run ptx/corpus/c_block_reduce-flaw.launch.toml\n  \
                        vincie ptx run mine.launch.toml --schedule shuffle:7 --late --json")]
pub(super) struct Arguments {
    /// NAME.launch.toml
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Device that runs it
    #[arg(long, value_name = "DEVICE", default_value = "emulated")]
    device: DeviceSpec,

    /// Leave out the check of bounds and alignment; such an access then ends the launch
    #[arg(long)]
    no_bounds: bool,

    /// Leave out the check of values that nobody wrote
    #[arg(long)]
    no_init: bool,

    /// Leave out the check of races, waits and fences
    #[arg(long)]
    no_race: bool,

    /// Leave out the check of barriers and warp collectives
    #[arg(long)]
    no_sync: bool,

    /// Leave out the check of what is left open at the end
    #[arg(long)]
    no_leaks: bool,

    /// Order in which warps take turns: order, reversed or shuffle:SEED
    #[arg(long, value_name = "ORDER", default_value = "order", value_parser = schedule)]
    schedule: Schedule,

    /// Let asynchronous copies land as late as they may
    #[arg(long)]
    late: bool,

    /// Most warp instructions of the launch
    #[arg(long, value_name = "N", default_value_t = MAX_INSTRUCTIONS)]
    max_instructions: u64,

    /// Device whose peaks the estimate takes: a100, h100 or h200
    #[arg(long, value_name = "NAME", default_value = "h200", value_parser = ["a100", "h100", "h200"])]
    peaks: String,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer {
    case: String,
    kernel: String,
    device: String,
    passed: bool,
    matches: bool,
    findings: Vec<Found>,
    suppressed: u64,
    mismatches: Vec<Differs>,
    counters: serde_json::Value,
    roofline: Estimate,
    seconds: f64,
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

#[derive(Serialize)]
struct Differs {
    buffer: String,
    differing: usize,
    elements: usize,
    first: usize,
    got: f64,
    expected: f64,
}

#[derive(Serialize)]
struct Estimate {
    device: &'static str,
    microseconds: f64,
    bound: &'static str,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    if !matches!(arguments.device, DeviceSpec::Emulated(_)) {
        return Err(Failure::usage(format!(
            "device {}: launch files run on the emulated device; use --device emulated",
            arguments.device
        )));
    }
    let case = Case::load(&arguments.file).map_err(Failure::malformed)?;
    let options = Options {
        checks: Checks {
            bounds: !arguments.no_bounds,
            init: !arguments.no_init,
            race: !arguments.no_race,
            sync: !arguments.no_sync,
            leaks: !arguments.no_leaks,
        },
        schedule: arguments.schedule,
        landing: if arguments.late { Landing::Late } else { Landing::Early },
        max_instructions: arguments.max_instructions,
        ..Options::default()
    };
    let begun = Instant::now();
    let outcome = case.run(&options).map_err(|error| match error {
        // A fault is what the kernel did; everything else is wrong with the files.
        Error::Fault(_) => Failure::new(error),
        _ => Failure::malformed(error),
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let is_tolerated =
        |finding: &Finding| case.tolerate.iter().any(|name| name == finding.kind.name());
    let matches = outcome.mismatches.is_empty();
    let passed = matches && outcome.report.findings.iter().all(is_tolerated);
    let counters = &outcome.report.counters;
    let peaks = peaks(&arguments.peaks);
    let estimate = counters.roofline(&peaks);
    let roofline = Estimate {
        device: peaks.name,
        microseconds: estimate.seconds * 1e6,
        bound: estimate.bound,
    };
    if arguments.json {
        console.json(&Answer {
            case: case.name.clone(),
            kernel: case.entry.clone(),
            device: arguments.device.to_string(),
            passed,
            matches,
            findings: outcome.report.findings.iter().map(|f| found(f, is_tolerated(f))).collect(),
            suppressed: outcome.report.suppressed,
            mismatches: outcome.mismatches.iter().map(differs).collect(),
            counters: counted(counters),
            roofline,
            seconds,
        })?;
    } else {
        for finding in &outcome.report.findings {
            let note = if is_tolerated(finding) { " (tolerated)" } else { "" };
            console.line(format!("{finding}{note}"))?;
        }
        if outcome.report.suppressed > 0 {
            console.line(format!(
                "{} more findings at places already shown, or beyond the limit",
                outcome.report.suppressed
            ))?;
        }
        for mismatch in &outcome.mismatches {
            console.line(format!("wrong-result: {mismatch}"))?;
        }
        console.line(counters.to_string().trim_end())?;
        console.line(format!(
            "{:<28}{:>13.2} us on {} at best, by {}",
            "roofline", roofline.microseconds, roofline.device, roofline.bound
        ))?;
        let verdict = if passed { "ok" } else { "FAIL" };
        console.line(format!("{verdict}  {} {} in {seconds:.2} s", case.name, case.entry))?;
    }
    if passed { Ok(()) } else { Err(Failure::Reported) }
}

fn schedule(text: &str) -> Result<Schedule, String> {
    match text.split_once(':') {
        None if text == "order" => Ok(Schedule::InOrder),
        None if text == "reversed" => Ok(Schedule::Reversed),
        None if text == "shuffle" => Ok(Schedule::Shuffled(0)),
        Some(("shuffle", seed)) => {
            seed.parse().map(Schedule::Shuffled).map_err(|_| format!("seed '{seed}' is no number"))
        }
        _ => Err("expected order, reversed or shuffle:SEED".to_owned()),
    }
}

fn peaks(name: &str) -> Peaks {
    match name {
        "a100" => A100,
        "h100" => H100,
        _ => H200,
    }
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

fn differs(mismatch: &Mismatch) -> Differs {
    Differs {
        buffer: mismatch.buffer.clone(),
        differing: mismatch.count.0,
        elements: mismatch.count.1,
        first: mismatch.index,
        got: mismatch.got,
        expected: mismatch.want,
    }
}

fn counted(counters: &Counters) -> serde_json::Value {
    let classes: serde_json::Map<String, serde_json::Value> =
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
