//! The whole model on the device: golden numbers, and a short training run beside the host's.

use super::{Kind, Wrong};
use crate::bench::gpu_check::protocol::{Deviations, Told};
use crate::bench::gpu_check::report::Status;
use crate::ptx::driver::is_emulated;
use std::path::Path;
use vincie_autograd::optimizer::{AdamWConfig, Decay, Schedule};
use vincie_dit::config::ModelConfig;
use vincie_dit::network::{AttentionKind, Network, NetworkConfig};
use vincie_dit::tasks::{Example, Options, Picture, Piece, Slot, Task};
use vincie_dit::text::Vocabulary;
use vincie_dit::train::{StepReport, Trainer, TrainerConfig};
use vincie_dit::verify;
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{Accelerator, Tensor};

/// One case of a folder of golden numbers.
pub(super) fn golden(
    place: &Accelerator,
    folder: &Path,
    case: &str,
    dtype: Kind,
) -> Result<Told, Wrong> {
    let options = verify::Options {
        only: Some(case.to_owned()),
        place: Some(place.clone()),
        dtype: dtype.dtype(),
    };
    let report = verify::run(folder, &options, |_| {})?;
    let Some(case) = report.cases.first() else {
        return Err(Wrong::Other(format!("{case}: no such case")));
    };
    let mut told = Told::passed();
    told.detail("kind", &case.kind);
    if let (verify::Status::Unsupported, reason) = (case.status, &case.reason) {
        let reason = reason.clone().unwrap_or_else(|| format!("no checker of {}", case.kind));
        return Ok(told.because(Status::Skipped, reason));
    }
    let mut seen = Deviations::default();
    for tensor in &case.tensors {
        seen.add(&tensor.name, tensor.error, tensor.bound);
    }
    if let Some(reason) = &case.reason {
        seen.fail(reason.clone());
    }
    Ok(told.judged(&seen))
}

/// Steps of the training run; its learning rate would fall over so many.
const STEPS: u64 = 20;

/// Steps on an emulated device, whose tests run more.
const STEPS_EMULATED: usize = 2;

/// Largest difference of losses and norms, relative. Exponentials of the device are within a few
/// units in the last place, and steps carry differences on; in bf16 so does every rounding.
fn tolerance(dtype: Kind) -> f64 {
    match dtype {
        Kind::F32 => 2e-4,
        Kind::Bf16 => 5e-2,
    }
}

/// A training run on the host and, twice, on the device: the losses must follow, and the two runs of
/// the device must have the same bits.
pub(super) fn training(place: &Accelerator, dtype: Kind) -> Result<Told, Wrong> {
    let steps = if is_emulated(place.device()) { STEPS_EMULATED } else { STEPS as usize };
    let mut seen = Deviations::default();
    let mut losses = Vec::new();
    for attention in [AttentionKind::BlockCausal, AttentionKind::Full] {
        let run = |place: Option<&Accelerator>| -> Result<_, Wrong> {
            let mut trainer = trainer(attention, dtype)?;
            trainer.move_to(place)?;
            let reports = (0..steps)
                .map(|step| trainer.step(&[vec![example(step as u64)?]]))
                .collect::<vincie_dit::Result<Vec<StepReport>>>()?;
            let weights = trainer.parameters().iter();
            let weights = weights
                .map(|(_, _, value)| value.to_f32()?.to_vec::<f32>())
                .collect::<vincie_tensor::Result<Vec<_>>>()?;
            let bits = weights.concat().into_iter().map(f32::to_bits);
            Ok((reports, bits.collect::<Vec<_>>()))
        };
        let (expected, _) = run(None)?;
        let (ours, bits) = run(Some(place))?;
        let name = match attention {
            AttentionKind::Full => "full",
            AttentionKind::BlockCausal => "block-causal",
        };
        for (step, (host, device)) in expected.iter().zip(&ours).enumerate() {
            let apart = |a: f64, b: f64| (a - b).abs() / a.abs();
            seen.add(
                &format!("{name}: loss {step}"),
                apart(host.loss, device.loss),
                tolerance(dtype),
            );
            let norms = apart(host.gradient_norm, device.gradient_norm);
            seen.add(&format!("{name}: norm {step}"), norms, tolerance(dtype));
        }
        if run(Some(place))?.1 != bits {
            seen.fail(format!("{name}: weights have other bits the second time"));
        }
        let ends = [&expected, &ours].map(|all| all.last().map_or(f64::NAN, |last| last.loss));
        losses.push((name, expected[0].loss, ends));
    }
    let mut told = Told::passed();
    told.detail("steps", steps);
    for (name, first, [host, device]) in losses {
        told.detail(name, serde_json::json!({ "first": first, "host": host, "device": device }));
    }
    Ok(told.judged(&seen))
}

/// A small network with heads of 32, its optimizer and its words.
fn trainer(attention: AttentionKind, dtype: Kind) -> Result<Trainer, Wrong> {
    let vocabulary = Vocabulary::new(["make", "it", "red", "brighter"]);
    let model = ModelConfig {
        dim: 64,
        layers: 3,
        separate_layers: 1,
        heads: 2,
        head_dim: 32,
        rotary_dim: 30,
        patch: 2,
        text_in: 64,
        ..ModelConfig::preset("nano")?
    };
    let config = NetworkConfig::new(model, attention);
    let (network, parameters) = Network::new(config, &vocabulary, 1)?;
    let config = TrainerConfig {
        options: Options { is_balanced: true, ..Options::default() },
        schedule: Schedule {
            peak: 2e-3,
            warmup: 4,
            total: STEPS,
            decay: Decay::Cosine,
            decay_share: 1.0,
            final_share: 0.1,
        },
        adamw: AdamWConfig::default(),
        clip_norm: 1.0,
        ema_decay: 0.9,
        recompute_blocks: false,
        dtype: dtype.dtype(),
    };
    Ok(Trainer::new(config, network, vocabulary, parameters)?)
}

/// A session of two turns, of random pictures, one of two that alternate.
fn example(step: u64) -> vincie_dit::Result<Example> {
    let sample = step % 2;
    let slot = |picture, text, is_target| Slot { picture, text, is_context: true, is_target };
    let mut slots =
        vec![slot(Picture::Frame(0), vec![Piece::Announcement(Task::NextImage)], false)];
    for (turn, text) in ["make it red", "brighter"].into_iter().enumerate() {
        let said = Piece::Instruction { turn, text: text.to_owned() };
        let text = vec![said, Piece::Announcement(Task::NextImage)];
        slots.push(slot(Picture::Frame(turn + 1), text, true));
    }
    let latent =
        |i: usize| Key::new(3, Stream::Test, sample * 16 + i as u64).normal_tensor([8, 12, 3]);
    let latents = (0..slots.len()).map(latent).collect::<vincie_tensor::Result<Vec<Tensor>>>()?;
    Ok(Example { slots, latents, sample })
}
