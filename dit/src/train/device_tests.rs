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
    let evaluate = |trainer: &mut Trainer| trainer.evaluate(&[examples(0)]).expect("it runs").loss;
    let (a, b) = (evaluate(&mut host), evaluate(&mut device));
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

/// Steps, replayed or op by op.
fn bits(ordinal: u32, how: Kind, [recompute, is_noting]: [bool; 2], count: u64) -> Bits {
    let place = emulated(ordinal);
    let mut trainer = trainer(how.0, recompute, how.1);
    trainer.move_to(Some(&place)).expect("the weights are uploaded");
    trainer.note_steps(is_noting);
    let reports = steps(&mut trainer, count);
    assert_eq!(place.transfers().replays, if is_noting { count } else { 0 });
    (reports, weights(&trainer))
}

type Kind = (AttentionKind, DType);
type Bits = (Vec<StepReport>, Vec<Vec<f32>>);

#[test]
fn the_same_seed_gives_the_same_bits_replayed_or_not_recomputed_or_not() {
    let (exact, rounded) =
        ((AttentionKind::BlockCausal, DType::F32), (AttentionKind::Full, DType::BF16));
    for (how, count, others) in [
        (exact, 2, &[(2, [false, true]), (3, [true, false])][..]),
        (rounded, 1, &[(3, [true, false])]),
    ] {
        let first = bits(2, how, [false, true], count);
        for &(ordinal, other) in others {
            assert!(
                first == bits(ordinal, how, other, count),
                "{how:?}, recomputed and replayed: {other:?}"
            );
        }
    }
}

#[test]
fn a_step_is_one_upload_one_replay_and_one_read_out() {
    let place = emulated(4);
    let mut trainer = trainer(AttentionKind::BlockCausal, false, DType::F32);
    trainer.move_to(Some(&place)).expect("the weights are uploaded");
    trainer.step(&[examples(0)]).expect("a step");
    let launches = |place: &Accelerator| place.device().last_launches()[0].number;
    let (before, memory, last) = (place.transfers(), place.device().memory(), launches(&place));
    trainer.step(&[examples(0)]).expect("a step");
    let after = place.transfers();
    assert_eq!(after.uploads - before.uploads, 1, "{before:?} {after:?}");
    assert_eq!(after.downloads - before.downloads, 1, "{before:?} {after:?}");
    assert_eq!(after.replays - before.replays, 1, "{before:?} {after:?}");
    assert_eq!(launches(&place), last, "nothing is launched beside the graph");
    let now = place.device().memory();
    assert_eq!((now.used, now.requests), (memory.used, memory.requests), "nothing is allocated");
}

#[test]
fn micro_batches_of_several_forms_share_a_graph_and_add_up_as_on_the_host() {
    let place = emulated(5);
    let (mut host, mut device) = (
        trainer(AttentionKind::BlockCausal, false, DType::F32),
        trainer(AttentionKind::BlockCausal, false, DType::F32),
    );
    device.move_to(Some(&place)).expect("the weights are uploaded");
    let mut one = examples(0);
    one.truncate(1);
    let step = [one, examples(1)];
    for _ in 0..2 {
        let a = host.step(&step).expect("a step of the host");
        let b = device.step(&step).expect("a step of the device");
        assert_eq!((a.tokens, a.rate), (b.tokens, b.rate));
        for (a, b) in [(a.loss, b.loss), (a.gradient_norm, b.gradient_norm)] {
            assert!((a - b).abs() <= TOLERANCE * a.abs(), "host {a}, device {b}");
        }
        for ((a, n), (b, m)) in a.per_task.into_iter().zip(b.per_task) {
            assert!(n == m && (a - b).abs() <= TOLERANCE * a.abs(), "host {a}, device {b}");
        }
    }
    assert_eq!(place.transfers().replays, 2);
}

/// A form of more batches moves the workspace, and what was noted in it is noted again.
#[test]
fn forms_that_moved_give_the_same_bits() {
    let place = emulated(6);
    let forms = |count: usize| -> Vec<Vec<Example>> {
        let form = |i: usize| {
            let mut examples = examples(0);
            examples.truncate(1 + i % 2);
            examples
        };
        (0..count).map(form).collect()
    };
    let run = |is_noting: bool| {
        let mut trainer = trainer(AttentionKind::Full, false, DType::F32);
        trainer.move_to(Some(&place)).expect("the weights are uploaded");
        trainer.note_steps(is_noting);
        // Small first, then larger, then the small one again.
        for count in [1, 2, 1] {
            trainer.step(&forms(count)).unwrap_or_else(|e| panic!("{count}: {e}"));
        }
        let evaluation = trainer.evaluate(&forms(1)).expect("it runs");
        (weights(&trainer), evaluation)
    };
    let (weights, evaluation) = run(true);
    let (expected, other) = run(false);
    assert!(weights == expected);
    assert_eq!(evaluation, other);
}

#[test]
fn the_plan_is_what_a_run_takes() {
    let place = emulated(7);
    let mut trainer = trainer(AttentionKind::BlockCausal, true, DType::F32);
    let step = [examples(0), examples(1)];
    let plan = trainer.plan(Some(&place), &step).expect("a plan");
    let left = place.device().memory();
    assert!(left.holders.iter().all(|holder| holder.tag == "attention mask"), "{left:?}");
    assert!(plan.fits() && plan.free.is_some());
    let names: Vec<&str> = plan.rows.iter().map(|row| row.what).collect();
    let expected = [
        "parameters",
        "gradients",
        "first moments",
        "second moments",
        "averages",
        "batch",
        "activations",
    ];
    assert_eq!(names, expected);
    assert_eq!(plan.allocations(), 6);
    trainer.move_to(Some(&place)).expect("the weights are uploaded");
    trainer.step(&step).expect("a step");
    // Beside the plan there are the tables of the masks and the pool's own steps.
    let memory = place.device().memory();
    let planned = |tag: &str| {
        memory.holders.iter().find(|holder| holder.tag == tag).map(|holder| holder.bytes)
    };
    for row in &plan.rows[..5] {
        assert_eq!(planned(row.what), Some(row.bytes), "{}", row.what);
    }
    assert_eq!(planned("workspace"), Some(plan.rows[5].bytes + plan.rows[6].bytes));
    let tags: Vec<&str> = memory.holders.iter().map(|holder| holder.tag.as_str()).collect();
    assert_eq!(tags.len(), 7, "{tags:?}");
    assert!(tags.contains(&"attention mask"), "{tags:?}");

    let host = self::trainer(AttentionKind::BlockCausal, true, DType::F32)
        .plan(None, &step)
        .expect("a plan");
    assert!(host.free.is_none() && host.rows.iter().all(|row| row.bytes > 0), "{host:?}");
}

#[test]
fn a_run_that_does_not_fit_is_one_line() {
    let place = emulated(1);
    let mut trainer = trainer(AttentionKind::Full, false, DType::F32);
    let plan = trainer.plan(Some(&place), &[examples(0)]).expect("a plan");
    place.device().set_memory_limit(plan.total() - plan.rows[6].bytes / 4);
    let too_small = |result: crate::Result<()>, words: &str| {
        let message = result.expect_err("it does not fit").to_string();
        assert!(message.contains(words) && message.contains("emulated:1"), "{message}");
        assert!(!message.contains('\n'), "{message}");
    };
    trainer.move_to(Some(&place)).expect("weights fit");
    too_small(trainer.step(&[examples(0)]).map(drop), "a step's activations");
    trainer.move_to(None).expect("weights come back");
    place.device().set_memory_limit(plan.rows[0].bytes * 2);
    too_small(trainer.move_to(Some(&place)), "weights, gradients and optimizer");
    trainer.step(&[examples(0)]).expect("a step of the host");
}

#[test]
fn indices_beyond_what_a_graph_was_noted_with_are_refused() {
    let place = emulated(0);
    let table = Tensor::full([4, 8], 1f32).expect("a table").to_place(Some(&place));
    let table = table.expect("it is uploaded");
    let rows = |last: i32| [Tensor::from_slice(&[0, last], [2]).expect("rows")];
    let workspace = place.workspace(1 << 16).expect("it fits");
    let gather = vincie_tensor::ops::Op::from(vincie_tensor::ops::Gather);
    let replay = place.capture::<_, vincie_tensor::Error>(
        &workspace,
        || place.inputs(&rows(1)),
        |inputs| {
            let rows = inputs.tensors().next().expect("one input");
            gather.forward(&[&table, rows]).map(drop)
        },
    );
    let replay = replay.expect("it is noted");
    replay.held().write(&rows(3)).expect("3 is a row");
    replay.start().expect("it is replayed");
    place.synchronize().expect("no fault");
    for wrong in [4, -1] {
        let message = replay.held().write(&rows(wrong)).expect_err("no row").to_string();
        assert!(message.contains(&format!("index {wrong}; indices must be below 4")), "{message}");
    }
}
