//! Training steps on an emulated device, under all checks, beside the same steps on the host.

use super::trainer::{StepReport, Trainer, TrainerConfig};
use crate::network::{AttentionKind, Network, TurnTokens};
use crate::tasks::conversation::{conversation, network_config};
use crate::tasks::{Example, Options};
use crate::text::Vocabulary;
use vincie_autograd::optimizer::{AdamWConfig, Decay, Schedule};
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{Accelerator, DType, Tensor};

const STEPS: u64 = 20;

/// Largest difference of losses, relative. The device's exponentials are within a few units in the last
/// place, and steps carry differences on.
const TOLERANCE: f64 = 2e-4;

fn emulated(ordinal: u32) -> Accelerator {
    let spec = format!("emulated:{ordinal}").parse().expect("a device");
    Accelerator::open(spec).expect("the emulator starts")
}

/// A session of two turns, of which one has a mask, and one of a single turn.
fn examples(step: u64) -> Vec<Example> {
    let example = |(number, turns): (u64, &[[bool; 2]])| {
        let slots = conversation(turns);
        let latent = |i: usize| {
            let at = (step * 2 + number) * 16 + i as u64;
            Key::new(3, Stream::Test, at).normal_tensor([2, 4, 3]).expect("memory has room")
        };
        let latents: Vec<Tensor> = (0..slots.len()).map(latent).collect();
        Example { slots, latents, sample: step * 2 + number }
    };
    [(0, &[[false, true], [false, false]][..]), (1, &[[false, false]])].map(example).into()
}

fn trainer(attention: AttentionKind, recompute_blocks: bool, dtype: DType) -> Trainer {
    let vocabulary = Vocabulary::new(["make", "it", "red", "remove", "the", "left", "brighter"]);
    let config = network_config(attention, TurnTokens::Sequence, true);
    let (network, parameters) = Network::new(config, &vocabulary, 1).expect("a legal network");
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
        recompute_blocks,
        dtype,
    };
    Trainer::new(config, network, vocabulary, parameters).expect("memory has room")
}

fn steps(trainer: &mut Trainer, count: u64) -> Vec<StepReport> {
    (0..count)
        .map(|step| {
            trainer.step(&[examples(step % 2)]).unwrap_or_else(|e| panic!("step {step}: {e}"))
        })
        .collect()
}

fn weights(trainer: &Trainer) -> Vec<Vec<f32>> {
    let averaged = trainer.averaged();
    let all = trainer.parameters().iter().chain(averaged.iter());
    let values = all.map(|(_, _, value)| value.to_f32().and_then(|value| value.to_vec::<f32>()));
    values.map(|value| value.expect("weights are numbers")).collect()
}

#[test]
fn a_device_follows_the_host() {
    let mut host = trainer(AttentionKind::BlockCausal, false, DType::F32);
    let mut device = trainer(AttentionKind::BlockCausal, false, DType::F32);
    device.move_to(Some(&emulated(1))).expect("the weights are uploaded");
    let (expected, ours) = (steps(&mut host, STEPS), steps(&mut device, STEPS));
    for (a, b) in expected.iter().zip(&ours) {
        for (name, a, b) in [("loss", a.loss, b.loss), ("norm", a.gradient_norm, b.gradient_norm)] {
            assert!((a - b).abs() <= TOLERANCE * a.abs(), "{name}: host {a}, device {b}");
        }
    }
    let first = expected[0].loss;
    assert!(expected.iter().any(|step| step.loss < 0.8 * first), "it learns: {expected:?}");
    let evaluate = |trainer: &Trainer| trainer.evaluate(&[examples(0)]).expect("it runs").loss;
    let (a, b) = (evaluate(&host), evaluate(&device));
    assert!((a - b).abs() <= TOLERANCE * a, "evaluation: host {a}, device {b}");
}

/// Largest difference of the losses of bf16 from those of f32, relative. A weight has 8 bits, so a
/// step begins with an error of up to 0.4 % in each.
const BF16_TOLERANCE: f64 = 2e-2;

#[test]
fn bf16_follows_f32() {
    let mut exact = trainer(AttentionKind::BlockCausal, false, DType::F32);
    let mut host = trainer(AttentionKind::BlockCausal, false, DType::BF16);
    let mut device = trainer(AttentionKind::BlockCausal, false, DType::BF16);
    device.move_to(Some(&emulated(5))).expect("the weights are uploaded");
    let expected = steps(&mut exact, STEPS);
    for (place, trainer) in [("host", &mut host), ("device", &mut device)] {
        for (a, b) in expected.iter().zip(steps(trainer, STEPS)) {
            let (a, b) = (a.loss, b.loss);
            assert!((a - b).abs() <= BF16_TOLERANCE * a, "{place}: f32 {a}, bf16 {b}");
        }
    }
    let mut types = device.parameters().iter().map(|(_, _, value)| value);
    assert!(types.all(|value| (value.dtype() == DType::BF16) == (value.shape().rank() > 1)));
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    for (dtype, count) in [(DType::F32, 2), (DType::BF16, 1)] {
        let run = |ordinal: u32, recompute: bool| {
            let mut trainer = trainer(AttentionKind::Full, recompute, dtype);
            trainer.move_to(Some(&emulated(ordinal))).expect("the weights are uploaded");
            steps(&mut trainer, count);
            weights(&trainer)
        };
        let first = run(2, false);
        assert_eq!(first, run(2, false), "{dtype}: twice on one device");
        assert_eq!(first, run(3, true), "{dtype}: on another one, with blocks computed again");
    }
}

#[test]
fn a_step_reads_back_its_loss_and_norm_and_nothing_else() {
    let place = emulated(4);
    let mut trainer = trainer(AttentionKind::BlockCausal, false, DType::F32);
    trainer.move_to(Some(&place)).expect("the weights are uploaded");
    trainer.step(&[examples(0)]).expect("a step");
    let before = place.transfers();
    trainer.step(&[examples(0)]).expect("a step");
    let after = place.transfers();
    assert_eq!(after.downloads - before.downloads, 3, "loss, errors of the tasks, norm");
    assert!(after.uploads - before.uploads <= 28, "{before:?} {after:?}");
}
