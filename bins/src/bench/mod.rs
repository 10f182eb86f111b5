//! `vincie bench`: how long the parts take on this machine, as tables or JSON.

mod attention;
mod convolution;
mod gpu_check;
mod step;
mod text;
mod timing;

use crate::console::Console;
use crate::device::DeviceArgument;
use crate::failure::Failure;
use crate::number::within;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::time::Duration;
use vincie_dit::network::AttentionKind;
use vincie_tensor::Accelerator;
use vincie_tensor::kernels::{self, Simd};

/// Measure training steps, attention, convolutions and the text encoder on this machine; check a GPU
/// against the emulator.
///
/// Every figure is the best and the median of repeated runs after two that do not count. Utilisation
/// is a share of the machine's peak, which is measured in the same run. `tests/peers` holds the same
/// work in PyTorch; `tests/records` what was measured beside it.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie bench step --preset small\n  \
                        vincie bench step --preset nano --attention full --profile\n  \
                        vincie bench attention --threads 1 --json\n  \
                        vincie bench gpu-check --out results")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Step(step::Arguments),
    Attention(attention::Arguments),
    Convolution(convolution::Arguments),
    Text(text::Arguments),
    GpuCheck(gpu_check::Arguments),
    #[command(hide = true)]
    GpuWorker(gpu_check::worker::Arguments),
}

/// Options that every bench takes.
#[derive(Args, Clone, Copy, Debug)]
struct Common {
    /// How long to repeat; at least three times
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    #[arg(value_parser = within(0.0..=3600.0))]
    seconds: f64,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    device: DeviceArgument,
}

impl Common {
    fn budget(self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// Where a figure was measured.
#[derive(Serialize)]
struct Place {
    version: &'static str,
    simd: &'static str,
    threads: usize,
    /// The device as it was asked for, and its name where it is an accelerator.
    device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<String>,
    /// What the threads do together on multiply-adds in registers; unknown of accelerators.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_gflop_per_s: Option<f64>,
}

impl Place {
    fn look(place: Option<&Accelerator>) -> Self {
        let device = place.map(Accelerator::device);
        Self {
            version: crate::command::VERSION.as_str(),
            simd: Simd::detect().level().name(),
            threads: rayon::current_num_threads(),
            device: device.map_or("cpu".to_owned(), |device| device.spec().to_string()),
            device_name: device.map(|device| device.name().to_owned()),
            peak_gflop_per_s: device.is_none().then(|| kernels::peak::flops() / 1e9),
        }
    }
}

/// Takes `full` and `block-causal`.
fn attention_kind() -> impl TypedValueParser<Value = AttentionKind> {
    PossibleValuesParser::new(["block-causal", "full"]).map(|name| match name.as_str() {
        "full" => AttentionKind::Full,
        _ => AttentionKind::BlockCausal,
    })
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    match arguments.what {
        What::Step(arguments) => step::run(arguments, console),
        What::Attention(arguments) => attention::run(arguments, console),
        What::Convolution(arguments) => convolution::run(arguments, console),
        What::Text(arguments) => text::run(arguments, console),
        What::GpuCheck(arguments) => gpu_check::run(&arguments, console),
        What::GpuWorker(arguments) => gpu_check::worker::run(&arguments, console),
    }
}
