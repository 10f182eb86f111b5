//! `vincie bench text`: layers of the released Qwen-14B text encoder, whose weights stream from a file.

use super::timing::{Timing, measure, peak_resident};
use super::{Common, Place};
use crate::console::Console;
use crate::disk;
use crate::failure::Failure;
use crate::number::bytes;
use crate::table::{Align, Table};
use clap::Args;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use vincie_dit::text::{Computation, qwen};
use vincie_dit::weights::write::{Plan, write_safetensors};
use vincie_dit::weights::{Checkpoint, Dtype};
use vincie_tensor::random::{Key, Stream};

/// Random numbers that weights are made of, over and over.
const BLOCK: usize = 1 << 20;

/// Time layers of the 3B model's text encoder, with random weights at their true size.
///
/// Weights of `--layers` layers of Qwen-14B in bf16 (630 MB each) are written to a folder that is
/// removed afterwards. A pass goes through them for one prompt of `--tokens` tokens, a layer at a time,
/// and gives the memory under each layer back; the peak of resident memory is printed beside the size
/// of the weights.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie bench text\n  \
                        vincie bench text --layers 12 --tokens 150 --folder /big/disk")]
pub(super) struct Arguments {
    /// Layers; the released encoder has 40
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=40))]
    layers: u64,

    /// Tokens of the prompt
    #[arg(long, value_name = "L", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1024))]
    tokens: u64,

    /// Where the weights are written
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,

    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Answer {
    layers: usize,
    tokens: usize,
    weight_bytes: u64,
    place: Place,
    timing: Timing,
    layer_ms: f64,
    gflop_per_s: f64,
    peak_resident_bytes: Option<u64>,
}

/// A folder that goes away with everything in it.
struct Temporary(PathBuf);

impl Temporary {
    fn new(parent: &Path) -> Result<Self, Failure> {
        let path = parent.join(format!("vincie-bench-text-{}", std::process::id()));
        let made = fs::create_dir(&path);
        made.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let Arguments { common, folder, .. } = arguments;
    let place = common.device.place()?;
    let (layers, tokens) = (arguments.layers as usize, arguments.tokens as usize);
    let config = qwen::Config {
        vocabulary: 152_064,
        dim: 5120,
        layers,
        heads: 40,
        head_dim: 128,
        hidden: 13_696,
        epsilon: 1e-6,
        rotary_base: 10_000.0,
    };
    let plan = |(name, shape)| Plan { name, dtype: Dtype::BF16, shape };
    let plans: Vec<Plan> = config.parameters().into_iter().map(plan).collect();
    let weight_bytes = plans.iter().map(|plan| plan.bytes() as u64).sum();
    let temporary = Temporary::new(&folder)?;
    let file = temporary.0.join("model.safetensors");
    disk::check(&file, weight_bytes)?;
    // Matrices keep features of about the size they have.
    let numbers = Key::new(0, Stream::Test, 0).normal_tensor([BLOCK])?.to_vec::<f32>()?;
    let bits = |x: &f32| ((x / 72.0).to_bits() >> 16) as u16;
    let block: Vec<u8> = numbers.iter().flat_map(|x| bits(x).to_le_bytes()).collect();
    write_safetensors(&file, &plans, &mut |plan, sink| {
        let mut left = plan.bytes();
        while left > 0 {
            let piece = left.min(block.len());
            sink(&block[..piece])?;
            left -= piece;
        }
        Ok(())
    })?;
    let computation = Computation { place: place.clone(), dtype: None };
    let model = qwen::Model::new(config.clone(), Checkpoint::open(&file)?, computation)?;
    let prompt: Vec<u32> = (0..tokens as u32).map(|i| i * 997 % 151_643).collect();
    let timing = measure(common.budget(), || {
        // Reading the result waits for the device.
        model.forward(std::slice::from_ref(&prompt), |_, _| Ok(()))?.to_host()?;
        Ok(())
    })?;
    let matrices = config.layers * (4 * config.dim * config.dim + 3 * config.dim * config.hidden);
    let layer_ms = timing.best_ms / layers as f64;
    let answer = Answer {
        layers,
        tokens,
        weight_bytes,
        place: Place::look(place.as_ref()),
        timing,
        layer_ms,
        gflop_per_s: 2e-6 * (matrices * tokens) as f64 / timing.best_ms,
        peak_resident_bytes: peak_resident(),
    };
    if common.json {
        return console.json(&answer);
    }
    let right = |name| (name, Align::Right);
    let mut table = Table::new([
        right("layers"),
        right("tokens"),
        right("best ms"),
        right("ms a layer"),
        right("GFLOP/s"),
        right("weights"),
        right("peak memory"),
    ]);
    table.row([
        layers.to_string(),
        tokens.to_string(),
        format!("{:.0}", answer.timing.best_ms),
        format!("{layer_ms:.0}"),
        format!("{:.0}", answer.gflop_per_s),
        bytes(weight_bytes),
        answer.peak_resident_bytes.map_or_else(|| "-".to_owned(), bytes),
    ]);
    console.line(table)
}
