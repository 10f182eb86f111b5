//! `vincie bench step`: one optimizer step of the transformer on random pictures.

mod work;

use super::timing::{Timing, measure, peak_resident};
use super::{Common, Place};
use crate::console::Console;
use crate::dtype::DTypeArgument;
use crate::failure::Failure;
use crate::plan;
use crate::table::{Align, Table};
use clap::Args;
use serde::Serialize;
use vincie_dit::config::ModelConfig;
use vincie_dit::network::AttentionKind;
use vincie_tensor::ops::watch;
use vincie_tensor::{DType, pool};

pub(super) use work::{Choice, Work};

/// Presets with the picture side, frames and text tokens a turn that they are measured with.
const WORK: [(&str, [usize; 3]); 4] =
    [("nano", [64, 5, 64]), ("small", [16, 4, 128]), ("base", [32, 4, 128]), ("3b", [32, 4, 100])];

/// A preset of the check of a device, small enough for the emulator.
const TINY: &str = "tiny";

/// Timestep of the measured step; any other takes as long.
const TIME: f32 = 500.0;

/// Time one training step: forward, velocity loss on all frames, backward, AdamW.
///
/// Each of the preset's turns is text and one frame, of random numbers. The same
/// work in PyTorch is `tests/peers/torch_nadit.py bench --what train`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie bench step --preset small --threads 1\n  \
                        vincie bench step --attention full --profile")]
pub(super) struct Arguments {
    /// Sizes of the model and its work: nano, small, base or 3b
    #[arg(long, value_name = "NAME", default_value = "nano")]
    #[arg(value_parser = WORK.map(|(name, _)| name))]
    preset: String,

    /// Which tokens see each other
    #[arg(long, value_name = "KIND", default_value = "block-causal")]
    #[arg(value_parser = super::attention_kind())]
    attention: AttentionKind,

    /// Blocks to keep, where all would not fit
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1024))]
    layers: Option<u64>,

    /// Compute every block again for its gradient instead of keeping its results
    #[arg(long)]
    recompute: bool,

    /// List the time by op after the measurement, over one more step
    #[arg(long)]
    profile: bool,

    /// Print what memory the step takes on the device, found without taking it, and end
    #[arg(long, conflicts_with = "profile")]
    plan: bool,

    #[command(flatten)]
    numbers: DTypeArgument,

    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Answer {
    preset: String,
    attention: AttentionKind,
    layers: usize,
    recompute: bool,
    dtype: String,
    place: Place,
    parameters: usize,
    tokens: usize,
    model_gflop: f64,
    timing: Timing,
    tokens_per_s: f64,
    gflop_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    utilisation: Option<f64>,
    pool_peak_bytes: usize,
    peak_resident_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profile: Vec<Row>,
}

/// What one op did in one step.
#[derive(Serialize)]
struct Row {
    op: &'static str,
    calls: u64,
    ms: f64,
    gflop_per_s: f64,
    gb_per_s: f64,
}

pub(super) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let place = arguments.common.device.place()?;
    let (mut config, sizes) = sizes(&arguments.preset)?;
    if let Some(layers) = arguments.layers {
        config.layers = layers as usize;
        config.separate_layers = config.separate_layers.min(config.layers);
    }
    let choice = Choice {
        attention: arguments.attention,
        recompute: arguments.recompute,
        dtype: arguments.numbers.dtype,
    };
    let mut work = Work::new(config, sizes, choice)?;
    if arguments.plan {
        let plan = work.plan(place.as_ref())?;
        return match arguments.common.json {
            true => console.json(&plan::Answer::new(&plan, place.as_ref())),
            false => plan::print(&plan, place.as_ref(), console),
        };
    }
    if let Some(place) = &place {
        work.move_to(place)?;
    }
    pool::reset_peak();
    let timing = measure(arguments.common.budget(), || work.step())?;
    let pool_peak_bytes = match &place {
        Some(place) => place.device().memory().peak,
        None => pool::statistics().peak,
    };
    let peak_resident_bytes = peak_resident();
    let profile = if arguments.profile { profile(&mut work)? } else { Vec::new() };
    let gflop = work.flops() / 1e9;
    let place = Place::look(place.as_ref());
    let gflop_per_s = gflop / timing.best_ms * 1e3;
    // The peak is that of f32 arithmetic.
    let peak = place.peak_gflop_per_s.filter(|_| arguments.numbers.dtype == DType::F32);
    let tokens = work.tokens();
    let answer = Answer {
        preset: arguments.preset,
        attention: arguments.attention,
        layers: work.layers(),
        recompute: arguments.recompute,
        dtype: arguments.numbers.dtype.to_string(),
        parameters: work.parameters(),
        tokens,
        model_gflop: gflop,
        timing,
        tokens_per_s: tokens as f64 / timing.best_ms * 1e3,
        gflop_per_s,
        utilisation: peak.map(|peak| gflop_per_s / peak),
        place,
        pool_peak_bytes,
        peak_resident_bytes,
        profile,
    };
    if arguments.common.json { console.json(&answer) } else { print(&answer, console) }
}

/// A preset's configuration, and its picture side, frames and text tokens a turn.
pub(super) fn sizes(preset: &str) -> Result<(ModelConfig, [usize; 3]), Failure> {
    if preset == TINY {
        let config = ModelConfig {
            dim: 64,
            layers: 2,
            separate_layers: 1,
            heads: 2,
            head_dim: 32,
            rotary_dim: 30,
            text_in: 64,
            ..ModelConfig::preset("nano")?
        };
        return Ok((config, [8, 2, 8]));
    }
    let Some((_, sizes)) = WORK.into_iter().find(|(name, _)| *name == preset) else {
        let names = WORK.map(|(name, _)| name).join(", ");
        return Err(Failure::usage(format!("preset {preset}: expected one of {names}")));
    };
    Ok((ModelConfig::preset(preset)?, sizes))
}

/// One more step, its ops timed: slowest first.
fn profile(work: &mut Work) -> Result<Vec<Row>, Failure> {
    watch::profile(true);
    let outcome = work.step();
    watch::profile(false);
    outcome?;
    let row = |(op, total): (&'static str, watch::Total)| {
        let seconds = total.time.as_secs_f64();
        Row {
            op,
            calls: total.calls,
            ms: seconds * 1e3,
            gflop_per_s: total.cost.flops as f64 / seconds / 1e9,
            gb_per_s: total.cost.bytes as f64 / seconds / 1e9,
        }
    };
    let mut rows: Vec<Row> = watch::totals().into_iter().map(row).collect();
    rows.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    Ok(rows)
}

fn print(answer: &Answer, console: &Console) -> Result<(), Failure> {
    let megabytes = |bytes: f64| format!("{:.0} MB", bytes / 1e6);
    let lines = [
        ("parameters", format!("{:.1} M", answer.parameters as f64 / 1e6)),
        ("tokens", answer.tokens.to_string()),
        ("threads", format!("{} ({})", answer.place.threads, answer.place.simd)),
        ("best", format!("{:.1} ms", answer.timing.best_ms)),
        ("median", format!("{:.1} ms of {}", answer.timing.median_ms, answer.timing.repeats)),
        ("tokens/s", format!("{:.0}", answer.tokens_per_s)),
        (
            "arithmetic",
            format!(
                "{:.1} GFLOP a step, {:.0} GFLOP/s{}",
                answer.model_gflop,
                answer.gflop_per_s,
                answer.utilisation.map_or(String::new(), |share| format!(
                    ", {:.0} % of the measured peak",
                    100.0 * share
                ))
            ),
        ),
        ("tensors", format!("{} at most", megabytes(answer.pool_peak_bytes as f64))),
        (
            "process",
            answer.peak_resident_bytes.map_or("unknown".to_owned(), |bytes| {
                format!("{} at most", megabytes(bytes as f64))
            }),
        ),
    ];
    for (name, text) in lines {
        console.line(format!("{name:<12}{text}"))?;
    }
    if answer.profile.is_empty() {
        return Ok(());
    }
    let right = |name| (name, Align::Right);
    let mut table = Table::new([
        ("op", Align::Left),
        right("calls"),
        right("ms"),
        right("GFLOP/s"),
        right("GB/s"),
    ]);
    for row in &answer.profile {
        table.row([
            row.op.to_owned(),
            row.calls.to_string(),
            format!("{:.2}", row.ms),
            format!("{:.1}", row.gflop_per_s),
            format!("{:.1}", row.gb_per_s),
        ]);
    }
    console.line(table)
}
