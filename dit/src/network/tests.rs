//! Gradients of the whole network.

use super::*;
use crate::config::{FeedForward, TextProjection};
use crate::model::{Need, expected_parameters};
use crate::tasks::conversation::{conversation, network_config};
use crate::tasks::{Example, Options};

/// Gradient of every parameter on a conversation with masks, whose slots are all targets.
fn gradients(config: &NetworkConfig) -> Vec<(String, Option<Tensor>)> {
    let vocabulary = Vocabulary::new(["make", "it", "red", "remove", "the", "left", "brighter"]);
    let (network, parameters) = Network::new(config.clone(), &vocabulary, 5).unwrap();
    let mut slots = conversation(&[[true, true], [true, false], [false, true]]);
    slots.iter_mut().for_each(|slot| slot.is_target = true);
    let latent = |i| Key::new(1, Stream::Test, i).normal_tensor([4, 6, 3]).unwrap();
    let latents = (0..slots.len() as u64).map(latent).collect();
    let examples = [Example { slots, latents, sample: 0 }];
    let batch = Batch::new(&examples, config, &vocabulary, &Options::default()).unwrap();
    let g = Graph::recording(&parameters);
    let loss = network.loss(&g, &batch, ForwardOptions::default()).unwrap();
    let per_task = errors_per_task(&loss.errors.to_vec().unwrap(), &batch.slots);
    assert!(per_task.iter().all(|&(error, count)| error > 0.0 && count > 0), "all tasks count");
    let gradients = g.backward(&loss.total).unwrap().into_parameters();
    parameters.iter().map(|(_, name, _)| name.to_owned()).zip(gradients).collect()
}

fn is_zero(gradient: &Tensor) -> bool {
    gradient.to_vec::<f32>().unwrap().iter().all(|&x| x == 0.0)
}

#[test]
fn every_parameter_gets_a_gradient() {
    for attention in [AttentionKind::BlockCausal, AttentionKind::Full] {
        for turn_tokens in [TurnTokens::Sequence, TurnTokens::Added] {
            for (text_projection, feed_forward, has_options) in [
                (TextProjection::Identity, FeedForward::Swiglu, true),
                (TextProjection::Linear, FeedForward::Gelu, false),
                (TextProjection::Mlp, FeedForward::Swiglu, true),
            ] {
                let mut config = network_config(attention, turn_tokens, has_options);
                (config.model.text_projection, config.model.feed_forward) =
                    (text_projection, feed_forward);
                config.model.qkv_bias = !has_options;
                config.model.output_norm = has_options;
                let gradients = gradients(&config);
                let unused: Vec<String> = expected_parameters(&config.model)
                    .into_iter()
                    .filter(|(_, _, need)| *need != Need::Used)
                    .map(|(name, _, _)| name)
                    .collect();
                for (name, gradient) in gradients.iter().filter(|(name, _)| !unused.contains(name))
                {
                    let gradient = gradient.as_ref().unwrap_or_else(|| {
                        panic!("{name} gets no gradient: {attention:?} {turn_tokens:?}")
                    });
                    assert!(
                        !is_zero(gradient),
                        "{name} gets zeros: {attention:?} {turn_tokens:?} {text_projection:?}"
                    );
                }
            }
        }
    }
}
