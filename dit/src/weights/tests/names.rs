//! The naming table against the counts of the released models.

use crate::config::ModelConfig;
use crate::model::{Need, expected_parameters};
use crate::weights::names::*;
use std::collections::HashMap;
use vincie_tensor::Shape;

/// Values in all tensors but the rotary buffers.
fn values(expected: &Expected) -> usize {
    let held = expected.iter().filter(|(.., need)| *need != Need::Buffer);
    held.map(|(_, shape, _)| shape.count()).sum()
}

fn shapes(expected: &Expected) -> HashMap<&str, Shape> {
    let shapes: HashMap<_, _> =
        expected.iter().map(|(name, shape, _)| (name.as_str(), *shape)).collect();
    assert_eq!(shapes.len(), expected.len(), "every name is there once");
    shapes
}

#[test]
fn counts_are_those_of_the_released_models() {
    let three = expected_parameters(&ModelConfig::preset("3b").unwrap());
    assert_eq!((three.len(), values(&three)), (636, 3_391_803_456));
    let seven = expected_parameters(&ModelConfig::preset("7b").unwrap());
    assert_eq!((seven.len(), values(&seven)), (667, 7_310_132_784));
    assert_eq!(values(&Vae8Sizes::official().expected()), 250_648_227);
    let vae16 = Vae16Sizes::official().expected();
    let half = |name: &str| {
        let half = vae16.iter().filter(|(tensor, ..)| tensor.starts_with(name));
        half.map(|(_, shape, _)| shape.count()).sum::<usize>()
    };
    assert_eq!((vae16.len(), values(&vae16)), (252, 552_773_347));
    assert_eq!((half("encoder."), half("decoder.")), (133_838_560, 418_934_787));
    // The head, which files hold too, has as many values as the word table.
    let head = 152_064 * 5120;
    assert_eq!(values(&QwenSizes::official().expected()) + head, 14_167_290_880);
    assert_eq!(values(&T5Sizes::official().expected()), 8_721_797_632);
}

#[test]
fn sizes_are_read_off_shapes() {
    let tiny8 = Vae8Sizes {
        image: 3,
        latent: 4,
        encoder: vec![8, 16, 24],
        decoder: vec![24, 16, 8],
        residuals: [1, 2],
        halves_time: vec![false, true],
        doubles_time: vec![true, false],
    };
    for sizes in [Vae8Sizes::official(), tiny8] {
        let expected = sizes.expected();
        let shapes = shapes(&expected);
        assert_eq!(Vae8Sizes::infer(|name| shapes.get(name).copied()).unwrap(), sizes);
    }
    let expected = Vae16Sizes::official().expected();
    let of_vae16 = shapes(&expected);
    let found = Vae16Sizes::infer(|name| of_vae16.get(name).copied()).unwrap();
    assert_eq!(found, Vae16Sizes::official());
    let expected = QwenSizes::official().expected();
    let of_qwen = shapes(&expected);
    let found = QwenSizes::infer(|name| of_qwen.get(name).copied()).unwrap();
    assert_eq!(found, QwenSizes::official());
    let expected = T5Sizes::official().expected();
    let of_t5 = shapes(&expected);
    let found = T5Sizes::infer(|name| of_t5.get(name).copied()).unwrap();
    assert_eq!(found, T5Sizes::official());
    let missing = T5Sizes::infer(|_| None).unwrap_err().to_string();
    assert!(missing.contains("shared.weight"), "{missing}");
}

#[test]
fn old_names_become_todays() {
    for (old, new) in [
        (
            "encoder.mid_block.attentions.0.query.weight",
            Some("encoder.mid_block.attentions.0.to_q.weight"),
        ),
        (
            "decoder.mid_block.attentions.0.proj_attn.bias",
            Some("decoder.mid_block.attentions.0.to_out.0.bias"),
        ),
        (
            "decoder.up_blocks.0.resnets.0.conv1.weight",
            Some("decoder.up_blocks.0.resnets.0.conv1.weight"),
        ),
        ("decoder.block.0.layer.1.EncDecAttention.q.weight", None),
        ("decoder.final_layer_norm.weight", None),
        ("lm_head.weight", None),
        ("transformer.h.3.attn.bias", None),
        ("transformer.h.3.attn.c_attn.bias", Some("transformer.h.3.attn.c_attn.bias")),
        ("key.weight", Some("key.weight")),
    ] {
        assert_eq!(canonical(old).as_deref(), new, "{old}");
    }
}
