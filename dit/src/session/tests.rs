//! What an editor computes from its cache against one pass over the whole session: the batch that
//! training computes on, where nothing is cached.

use super::*;
use crate::model::ForwardOptions;
use crate::network::{NetworkConfig, TurnTokens};
use crate::tasks::conversation::{conversation, network_config};
use crate::tasks::{Batch, Example, Options, Slot};
use proptest::prelude::*;
use vincie_tensor::Accelerator;

const SIZE: [usize; 2] = [4, 6];

/// Height, width and channels of every latent.
const LATENT: [usize; 3] = [SIZE[0], SIZE[1], 3];

/// Runs the conversation through an editor and compares every denoising pass with the batch's.
fn compare(config: NetworkConfig, chains: &[Chain], seed: u64) {
    let vocabulary = Vocabulary::new(["make", "it", "red", "remove", "the", "left", "brighter"]);
    let (network, parameters) = Network::new(config, &vocabulary, seed).unwrap();
    let slots =
        conversation(&chains.iter().map(|chain| [chain.current, chain.next]).collect::<Vec<_>>());
    let latent = |i: usize| Key::new(seed, Stream::Test, i as u64).normal_tensor(LATENT).unwrap();
    let latents: Vec<Tensor> = (0..slots.len()).map(latent).collect();
    let config = SamplingConfig {
        steps: 1,
        shift: 1.0,
        guidance: Guidance::default(),
        seed: 0,
        chain: Chain::default(),
    };
    let mut editor =
        Editor::new(&network, &parameters, &vocabulary, Codec::Pixels, SIZE, config).unwrap();
    for (number, slot) in slots.iter().enumerate() {
        editor.say(&slot.text).unwrap();
        if slot.is_target {
            let sample = seed * 64 + number as u64;
            // The batch of the session up to this slot, with this slot as its one target.
            let mut part = slots[..=number].to_vec();
            part.iter_mut().for_each(|slot| slot.is_target = false);
            part[number] = Slot { is_context: false, is_target: true, ..slot.clone() };
            let example = Example { slots: part, latents: latents[..=number].to_vec(), sample };
            let batch =
                Batch::new(&[example], network.config(), &vocabulary, &Options::default()).unwrap();
            let g = Graph::inference(&parameters);
            let options = ForwardOptions::default();
            let answer = network.predict(&g, &batch, None, options).unwrap();
            let noisy = batch.noisy.value().to_vec::<f32>().unwrap();
            let time = batch.slots[0].time;
            let expected = to_velocity(
                network.config().prediction,
                answer.value().to_vec::<f32>().unwrap(),
                &noisy,
                time,
            );
            let mut pass = editor.pass(&editor.positive, number, &slot.text).unwrap();
            // Twice, because a cache that a pass changed would show in the second.
            for _ in 0..2 {
                let velocity = pass.velocity(&network, &parameters, &noisy, time).unwrap();
                close(&velocity, &expected, number);
            }
        }
        editor.add(latents[number].clone(), slot.picture.task(), slot.text.clone()).unwrap();
    }
}

fn close(ours: &[f32], expected: &[f32], slot: usize) {
    assert_eq!(ours.len(), expected.len(), "slot {slot}");
    let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    assert!(largest > 1e-3, "slot {slot}: nothing to compare");
    for (i, (a, b)) in ours.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 2e-5 * largest, "slot {slot} at {i}: {a}, expected {b}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any chain of masks in any turn, any way of carrying turns, with and without the options that
    /// the paper does not have, in both kinds of attention.
    #[test]
    fn a_cached_pass_equals_one_over_the_whole_session(
        masks in prop::collection::vec((any::<bool>(), any::<bool>()), 1..5),
        is_full in any::<bool>(),
        has_options in any::<bool>(),
        turn_tokens in prop::sample::select(vec![
            TurnTokens::Sequence, TurnTokens::Added, TurnTokens::None,
        ]),
        seed in 0u64..100,
    ) {
        let attention = if is_full { AttentionKind::Full } else { AttentionKind::BlockCausal };
        let chains: Vec<Chain> =
            masks.into_iter().map(|(current, next)| Chain { current, next }).collect();
        compare(network_config(attention, turn_tokens, has_options), &chains, seed);
    }
}

#[test]
fn turns_see_earlier_outputs_and_guidance_counts() {
    let vocabulary = Vocabulary::new(["make", "it", "red", "brighter"]);
    for attention in [AttentionKind::BlockCausal, AttentionKind::Full] {
        let config = network_config(attention, TurnTokens::Sequence, false);
        let (network, parameters) = Network::new(config, &vocabulary, 3).unwrap();
        let run = |scale: f32, first: &str, second: &str, concepts: usize| -> Vec<f32> {
            let config = SamplingConfig {
                steps: 3,
                shift: 1.0,
                guidance: Guidance { scale, ..Guidance::default() },
                seed: 7,
                chain: Chain { current: true, next: false },
            };
            let mut editor =
                Editor::new(&network, &parameters, &vocabulary, Codec::Pixels, SIZE, config)
                    .unwrap();
            for i in 0..concepts {
                let key = Key::new(1, Stream::Test, i as u64);
                editor.show(key.normal_tensor(LATENT).unwrap()).unwrap();
            }
            let mut steps = Vec::new();
            editor.turn(first, |done, all| steps.push((done, all))).unwrap();
            assert_eq!(steps, (1..=6).map(|done| (done, 6)).collect::<Vec<_>>());
            let output = editor.turn(second, |_, _| ()).unwrap();
            assert!(output.current_mask.is_some() && output.next_mask.is_none());
            output.image.to_vec::<f32>().unwrap()
        };
        let base = run(1.0, "make it red", "brighter", 1);
        assert_eq!(base, run(1.0, "make it red", "brighter", 1), "the same seed, the same picture");
        assert_ne!(base, run(1.0, "make it", "brighter", 1), "the first turn's text is context");
        assert_ne!(base, run(1.0, "make it red", "red", 1), "the turn's own text counts");
        assert_ne!(base, run(2.0, "make it red", "brighter", 1), "guidance counts");
        assert_ne!(base, run(1.0, "make it red", "brighter", 2), "a second concept is seen");
        assert_ne!(base, run(1.0, "make it red", "brighter", 0), "a story starts from text alone");
    }
}

#[test]
fn an_emulated_device_makes_the_same_pictures() {
    let vocabulary = Vocabulary::new(["make", "it", "red", "brighter"]);
    let place = Accelerator::open("emulated:6".parse().unwrap()).unwrap();
    for attention in [AttentionKind::BlockCausal, AttentionKind::Full] {
        let config = network_config(attention, TurnTokens::Sequence, true);
        let (network, parameters) = Network::new(config, &vocabulary, 3).unwrap();
        let run = |parameters: &Parameters| -> Vec<f32> {
            let config = SamplingConfig {
                steps: 2,
                shift: 1.0,
                guidance: Guidance { scale: 1.5, ..Guidance::default() },
                seed: 7,
                chain: Chain { current: false, next: true },
            };
            let mut editor =
                Editor::new(&network, parameters, &vocabulary, Codec::Pixels, SIZE, config)
                    .unwrap();
            editor.show(Key::new(1, Stream::Test, 0).normal_tensor(LATENT).unwrap()).unwrap();
            editor.turn("make it red", |_, _| ()).unwrap().image.to_vec::<f32>().unwrap()
        };
        let expected = run(&parameters);
        let ours = run(&parameters.to_place(Some(&place)).unwrap());
        assert_eq!(ours.len(), expected.len());
        for (i, (a, b)) in ours.iter().zip(&expected).enumerate() {
            assert!(
                (a - b).abs() <= 1e-4 * b.abs().max(1.0),
                "{attention:?} at {i}: {a}, host {b}"
            );
        }
    }
}
