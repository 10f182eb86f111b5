//! `vincie ptx run`: one launch with its checks and counters, or on a GPU.

use super::driver;
use super::peaks;
use super::report::Answer;
use crate::console::Console;
use crate::failure::Failure;
use crate::publish;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;
use std::time::Instant;
use vincie_gpu::{DeviceSpec, Trace};
use vincie_ptx::corpus::{Case, Output};
use vincie_ptx::{Checks, Error, Landing, Options, Peaks, Schedule};

/// Most warp instructions by default: minutes of work, and an end for what never ends.
const MAX_INSTRUCTIONS: u64 = 4_000_000_000;

/// Most CTAs that an emulated device takes: what is kept of each adds up.
const MAX_CTAS: u64 = 1 << 26;

/// Run a kernel as a launch file says, compare its outputs and print findings and counters.
///
/// The file names a PTX file, an entry, the launch shape, arguments and expected outputs;
/// `ptx/corpus/README.md` describes it. The exit code is 0 when every output matches and nothing was
/// found outside the file's `tolerate`, 1 otherwise, and 2 when the file or its PTX cannot be read.
///
/// An emulated device checks every access and counts what is executed. A GPU does neither: there the
/// outputs are compared, space behind every buffer is looked at, and the driver's time, registers and
/// faults are told.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie ptx run ptx/corpus/c_block_reduce-flaw.launch.toml\n  \
                        vincie ptx run mine.launch.toml --schedule shuffle:7 --late --json\n  \
                        vincie ptx run mine.launch.toml --device cuda --trace trace.json")]
pub(super) struct Arguments {
    /// NAME.launch.toml
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Device that runs it: emulated[:N] or cuda[:N]
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

    /// Device whose peaks the estimate takes
    #[arg(long, value_name = "NAME", default_value = "h200", value_parser = peak_rates())]
    peaks: &'static Peaks,

    /// Run it through the driver's calls, too, also on an emulated device
    #[arg(long)]
    driver: bool,

    /// Write when the host and the device did what, for Perfetto or Chrome
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Write what all buffers hold afterwards, as safetensors
    #[arg(long, value_name = "FILE")]
    outputs: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    if arguments.device == DeviceSpec::Cpu {
        return Err(Failure::usage("device cpu: kernels run on emulated[:N] or cuda[:N]"));
    }
    let is_emulated = matches!(arguments.device, DeviceSpec::Emulated(_));
    let case = Case::load(&arguments.file).map_err(Failure::malformed)?;
    case.check_tensors().map_err(Failure::malformed)?;
    if is_emulated {
        check_size(&case, arguments.max_instructions)?;
    }
    let options = arguments.options();
    let begun = Instant::now();
    let outcome = if is_emulated {
        Some(case.run(&options).map_err(|error| match error {
            // A fault is what the kernel did; everything else is wrong with the files.
            Error::Fault(_) => Failure::new(error),
            _ => Failure::malformed(error),
        })?)
    } else {
        None
    };
    let wants_files = arguments.trace.is_some() || arguments.outputs.is_some();
    let on_device = if !is_emulated || arguments.driver || wants_files {
        Some(arguments.through_driver(&case, &options)?)
    } else {
        None
    };
    let machine = outcome.as_ref().map(|outcome| (outcome, arguments.peaks));
    let seconds = begun.elapsed().as_secs_f64();
    let device = arguments.device.to_string();
    let answer = Answer::of(&case, device, machine, on_device, seconds);
    if arguments.json {
        console.json(&answer)?;
    } else {
        answer.print(console)?;
    }
    if answer.passed { Ok(()) } else { Err(Failure::Reported) }
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            checks: Checks {
                bounds: !self.no_bounds,
                init: !self.no_init,
                race: !self.no_race,
                sync: !self.no_sync,
                leaks: !self.no_leaks,
            },
            schedule: self.schedule,
            landing: if self.late { Landing::Late } else { Landing::Early },
            max_instructions: self.max_instructions,
            ..Options::default()
        }
    }

    /// Runs the case through the driver's calls, and writes the files that were asked for.
    fn through_driver(&self, case: &Case, options: &Options) -> Result<driver::OnDevice, Failure> {
        driver::check(case).map_err(Failure::malformed)?;
        let device = driver::open(self.device, options).map_err(Failure::new)?;
        let trace = match &self.trace {
            Some(path) => Some((Trace::start(&[&device]).map_err(Failure::new)?, path)),
            None => None,
        };
        let (answer, outputs) = driver::run(&device, case)?;
        // After a fault there are neither times nor outputs.
        if answer.fault.is_none() {
            if let Some((trace, path)) = trace {
                trace.write(path).map_err(Failure::new)?;
            }
            if let Some(path) = &self.outputs {
                publish::file(path, &Output::serialize(&outputs).map_err(Failure::new)?)?;
            }
        }
        Ok(answer)
    }
}

/// Refuses a grid that the machine cannot come to the end of.
fn check_size(case: &Case, max_instructions: u64) -> Result<(), Failure> {
    let grid = case.config.grid;
    let ctas = grid.iter().map(|size| u128::from(*size)).product::<u128>();
    // Every warp executes one instruction at least.
    let most = MAX_CTAS.min(max_instructions);
    if ctas > u128::from(most) {
        let name = &case.name;
        let message =
            format!("{name}: grid {grid:?} has {ctas} CTAs; an emulated device takes {most}");
        return Err(Failure::malformed(message));
    }
    Ok(())
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

/// Takes the names of devices whose peaks are known.
fn peak_rates() -> impl TypedValueParser<Value = &'static Peaks> {
    PossibleValuesParser::new(peaks::names())
        .map(|name| peaks::find(&name).expect("only names from the list are taken"))
}
