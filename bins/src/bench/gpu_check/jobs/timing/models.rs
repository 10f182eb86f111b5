//! Whole models: a training step and an edit.

use super::super::Wrong;
use super::Kind;
use super::clock::Clock;
use crate::bench::gpu_check::protocol::Told;
use crate::bench::gpu_check::report::Status;
use crate::bench::step;
use crate::failure::Failure;
use serde::Serialize;
use std::time::Duration;
use vincie_dit::codec::Codec;
use vincie_dit::config::ModelConfig;
use vincie_dit::diffusion::Guidance;
use vincie_dit::network::{AttentionKind, Network, NetworkConfig};
use vincie_dit::session::{Chain, Editor, SamplingConfig};
use vincie_dit::text::Vocabulary;
use vincie_gpu::{KernelTime, Trace};
use vincie_tensor::random::{Key, Stream};

/// How long to repeat a step.
const BUDGET: Duration = Duration::from_secs(2);

/// Part of a device's memory that a model may take.
const SHARE: f64 = 0.8;

/// Bytes of a weight in training: its gradient, two moments and itself in f32, and once more in bf16.
const TRAINED: f64 = 18.0;

/// Values of a token that a block keeps for its gradient, in units of the model's width.
const KEPT: f64 = 40.0;

/// Kernels of a step that are told, the slowest first.
const TOLD: usize = 16;

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Self::Other(failure.into_line())
    }
}

/// The time of one kernel in a step.
#[derive(Serialize)]
struct Share {
    kernel: String,
    launches: u64,
    /// Time of all of them and its part of the whole step; unknown of an emulated device.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
}

/// Blocks of a preset whose training fits into so many bytes, and how many it has.
fn fitting(config: &ModelConfig, tokens: usize, bytes: f64) -> usize {
    let (dim, width) = (config.dim as f64, config.attention_dim() as f64);
    let weights = 4.0 * dim * width + 3.0 * dim * config.hidden_dim() as f64;
    let kept = KEPT * dim * tokens as f64 * 4.0;
    let (mut blocks, mut sum) = (0, TRAINED * dim * config.text_in as f64);
    while blocks < config.layers {
        let branches = if blocks < config.separate_layers { 2.0 } else { 1.0 };
        sum += TRAINED * branches * weights + kept;
        if sum > bytes {
            break;
        }
        blocks += 1;
    }
    blocks
}

fn cut(config: &mut ModelConfig, layers: usize) {
    config.layers = layers.min(config.layers);
    config.separate_layers = config.separate_layers.min(config.layers);
}

pub(super) fn step(
    clock: &Clock<'_>,
    preset: &str,
    layers: Option<usize>,
    dtype: Kind,
    is_block_causal: bool,
) -> Result<Told, Wrong> {
    let device = clock.place.device();
    let (mut config, sizes) = step::sizes(preset)?;
    let all = config.layers;
    let [side, frames, words] = sizes;
    let tokens = frames * ((side / config.patch).pow(2) + words);
    let memory = device.limits().memory_bytes as f64 * SHARE;
    let fitting = fitting(&config, tokens, memory);
    cut(&mut config, layers.unwrap_or(all).min(fitting));
    if config.layers == 0 {
        let reason = format!("{preset}: one block takes more than {:.1} GB", memory / 1e9);
        return Ok(Told::passed().because(Status::Skipped, reason));
    }
    let attention = if is_block_causal { AttentionKind::BlockCausal } else { AttentionKind::Full };
    let choice = step::Choice { attention, recompute: false, dtype: dtype.dtype() };
    let mut work = step::Work::new(config, sizes, choice)?;
    work.move_to(clock.place)?;
    let measured = clock.measure_whole(5, BUDGET, || Ok(work.step()?))?;
    let mut told = clock.told(measured, work.flops(), 0.0);
    told.details.remove("bytes");
    told.details.remove("gb_per_s");
    told.detail("layers", work.layers());
    told.detail("layers_of_preset", all);
    told.detail("parameters", work.parameters());
    told.detail("tokens", tokens);
    told.detail("peak_bytes", device.memory().peak);
    let trace = Trace::start(&[device])?;
    work.step()?;
    let kernels = trace.kernels()?;
    drop(trace);
    told.detail("kernels", shares(&kernels, clock.is_real()));
    Ok(told)
}

/// The slowest kernels.
fn shares(kernels: &[KernelTime], is_real: bool) -> Vec<Share> {
    let all: f64 = kernels.iter().map(|kernel| kernel.total.as_secs_f64()).sum();
    let share = |kernel: &KernelTime| {
        let seconds = is_real.then_some(kernel.total.as_secs_f64());
        Share {
            kernel: kernel.kernel.clone(),
            launches: kernel.launches,
            ms: seconds.map(|seconds| seconds * 1e3),
            share: seconds.map(|seconds| seconds / all),
        }
    };
    kernels.iter().take(TOLD).map(share).collect()
}

/// An edit with block-causal attention: every turn denoises one new picture of the preset's size
/// beside the cached keys and values of all before it. The model has the preset's blocks and works on
/// pixels, which changes its first and last layer only.
pub(super) fn edit(
    clock: &Clock<'_>,
    preset: &str,
    layers: Option<usize>,
    dtype: Kind,
    [turns, steps]: [usize; 2],
) -> Result<Told, Wrong> {
    let device = clock.place.device();
    let (mut config, [side, ..]) = step::sizes(preset)?;
    let all = config.layers;
    (config.visual_in, config.visual_out) = (7, 3);
    let memory = device.limits().memory_bytes as f64 * SHARE * 2.0;
    let fitting = fitting(&config, 1, memory);
    cut(&mut config, layers.unwrap_or(all).min(fitting));
    if config.layers == 0 {
        return Ok(Told::passed().because(Status::Skipped, format!("{preset}: too little memory")));
    }
    let layers = config.layers;
    let vocabulary = Vocabulary::new(["make", "it", "red", "brighter"]);
    let config = NetworkConfig::new(config, AttentionKind::BlockCausal);
    let (network, parameters) = Network::new(config, &vocabulary, 1)?;
    let parameters = parameters.to_dtype(dtype.dtype())?.to_place(Some(clock.place))?;
    let sampling = SamplingConfig {
        steps,
        shift: 3.0,
        guidance: Guidance { scale: 7.5, ..Guidance::default() },
        seed: 1,
        chain: Chain::default(),
    };
    let source = Key::new(5, Stream::Test, 1).normal_tensor([side, side, 3])?;
    let mut each = Vec::new();
    let measured = clock.measure_whole(2, Duration::ZERO, || {
        let mut editor =
            Editor::new(&network, &parameters, &vocabulary, Codec::Pixels, [side, side], sampling)?;
        editor.show(source.clone())?;
        each.clear();
        for _ in 0..turns {
            let begun = std::time::Instant::now();
            editor.turn("make it red", |_, _| {})?;
            clock.place.synchronize()?;
            each.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    })?;
    let mut told = clock.told(measured, 0.0, 0.0);
    for name in ["flops", "bytes", "gb_per_s"] {
        told.details.remove(name);
    }
    if clock.is_real() {
        told.detail("turn_ms", &each);
    }
    told.detail("layers", layers);
    told.detail("layers_of_preset", all);
    told.detail("parameters", parameters.count());
    told.detail("peak_bytes", device.memory().peak);
    Ok(told)
}
