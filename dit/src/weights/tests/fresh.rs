//! New checkpoints: laid out as the released ones, the same for the same seed, whole.

use crate::config::{ModelConfig, TextProjection};
use crate::train::scratch::Scratch;
use crate::weights::fresh::{Fresh, Part, Release};
use crate::weights::names::{Known, QwenSizes, T5Sizes, Vae8Sizes, Vae16Sizes};
use crate::weights::release::survey;
use crate::weights::{Checkpoint, Dtype};
use std::fs;

#[test]
fn sizes_are_told_without_writing() {
    let all = |release, dtype| {
        let parts = vec![Part::Dit, Part::Vae];
        Fresh { release, parts, layers: None, dtype, seed: 1 }
    };
    // Rotary buffers: 32 of 21 and of 20 values in f32.
    let three = 4 * (3_391_803_456 + 250_648_227) + 4 * 32 * 21;
    assert_eq!(all(Release::Three, Dtype::F32).bytes().unwrap(), three);
    let seven = 2 * (7_310_132_784 + 552_773_347) + 4 * 32 * 20;
    assert_eq!(all(Release::Seven, Dtype::BF16).bytes().unwrap(), seven);
    let none = Fresh { layers: Some(0), ..all(Release::Seven, Dtype::BF16) };
    assert!(none.bytes().unwrap_err().to_string().contains("0 layers"));
}

#[test]
fn fewer_layers_keep_the_shape_of_a_release() {
    let fresh = |layers| {
        let parts = vec![Part::Dit];
        Fresh { release: Release::Three, parts, layers: Some(layers), dtype: Dtype::BF16, seed: 1 }
    };
    for (layers, separate) in [(1, 0), (4, 3), (20, 10), (32, 10), (99, 10)] {
        let Known::Transformer(config) = fresh(layers).model(Part::Dit).unwrap() else { panic!() };
        assert_eq!((config.layers, config.separate_layers), (layers.min(32), separate));
    }
}

/// Both releases in small sizes.
fn small(release: Release) -> Vec<(Part, Known)> {
    let preset = if release == Release::Three { "nano" } else { "7b" };
    let mut config = ModelConfig::preset(preset).unwrap();
    (config.dim, config.layers, config.separate_layers) = (48, 2, 1);
    (config.heads, config.head_dim, config.rotary_dim, config.text_in) = (2, 24, 24, 64);
    config.text_projection = match release {
        Release::Three => TextProjection::Linear,
        Release::Seven => TextProjection::Mlp,
    };
    let dit = (Part::Dit, Known::Transformer(config));
    let widths = [vec![16, 32], vec![32, 16]];
    let [encoder, decoder] = widths.clone();
    match release {
        Release::Three => {
            let vae = Vae8Sizes {
                encoder,
                decoder,
                halves_time: vec![false],
                doubles_time: vec![true],
                ..Vae8Sizes::official()
            };
            let text = QwenSizes { vocabulary: 300, dim: 64, layers: 2, hidden: 88 };
            vec![dit, (Part::Vae, Known::Vae8(vae)), (Part::Text, Known::Qwen(text))]
        }
        Release::Seven => {
            let vae =
                Vae16Sizes { encoder, decoder, doubles_time: vec![true], ..Vae16Sizes::official() };
            let sizes = T5Sizes::official();
            let text = T5Sizes {
                vocabulary: 300,
                dim: 64,
                layers: 2,
                heads: 2,
                inner: 64,
                hidden: 96,
                ..sizes
            };
            vec![dit, (Part::Vae, Known::Vae16(vae)), (Part::Text, Known::T5(text))]
        }
    }
}

#[test]
fn releases_are_written_and_recognised() {
    for release in [Release::Three, Release::Seven] {
        let scratch = Scratch::new("fresh");
        let parts = small(release);
        let fresh = Fresh { release, parts: vec![], layers: None, dtype: Dtype::F32, seed: 1 };
        for (part, model) in &parts {
            fresh.write_part(scratch.path(), *part, model, &mut |_| {}).unwrap();
        }
        let found = survey(scratch.path()).unwrap();
        assert_eq!(found.release, release);
        for (part, model) in &parts {
            let found = found.parts.iter().find(|found| found.part == *part).unwrap();
            let weights = found.outcome.as_ref().unwrap();
            assert_eq!((&weights.model, weights.tensors), (model, model.expected().len()));
            assert!(weights.bytes / 4 == weights.values && weights.largest_layer < weights.bytes);
        }
        // One tensor fewer, and a part for another.
        let text = scratch.path().join(release.file(Part::Text));
        fs::remove_file(text.join(["qwen.tiktoken", "tokenizer.json"][release as usize])).unwrap();
        let vae = scratch.path().join(release.file(Part::Vae));
        fs::copy(scratch.path().join(release.file(Part::Dit)), vae).unwrap();
        let problems: Vec<String> = survey(scratch.path())
            .unwrap()
            .parts
            .into_iter()
            .filter_map(|f| f.outcome.err())
            .collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(
            problems[0].contains("has no tokenizer") && problems[1].contains("holds another part")
        );
    }
}

#[test]
fn values_are_a_function_of_the_seed() {
    let scratch = Scratch::new("values");
    let (part, model) = small(Release::Three).remove(1);
    let write = |seed, dtype| {
        let fresh = Fresh { release: Release::Three, parts: vec![], layers: None, dtype, seed };
        fresh.write_part(scratch.path(), part, &model, &mut |_| {}).unwrap();
        fs::read(scratch.path().join("vae.pth")).unwrap()
    };
    let first = write(1, Dtype::F32);
    assert!(first != write(2, Dtype::F32) && first == write(1, Dtype::F32));
    let floats = |name: &str| {
        let file = Checkpoint::open(&scratch.path().join("vae.pth")).unwrap();
        let count = file.shape(name).unwrap().iter().product();
        let mut all = Vec::new();
        file.floats(name, 0..count, &mut all).unwrap();
        all
    };
    let exact = floats("decoder.conv_in.weight");
    // 32 x 16 x 27 values, normal with deviation 1 / sqrt(16 x 27), within five standard errors.
    let count = exact.len() as f32;
    let mean = exact.iter().sum::<f32>() / count;
    let spread = (exact.iter().map(|v| v * v).sum::<f32>() / count).sqrt();
    assert!(mean.abs() < 0.0021 && (spread - 0.04811).abs() < 0.0015, "{mean} {spread}");
    assert_eq!(floats("decoder.conv_in.bias"), [0.0; 32]);
    assert_eq!(floats("encoder.mid_block.resnets.0.norm1.weight"), [1.0; 32]);
    write(1, Dtype::BF16);
    let rounded = floats("decoder.conv_in.weight");
    assert!(exact.iter().zip(rounded).all(|(&a, b)| half::bf16::from_f32(a).to_f32() == b));
}

#[test]
fn rotary_frequencies_are_those_of_the_page() {
    let scratch = Scratch::new("rotary");
    for release in [Release::Three, Release::Seven] {
        let (part, model) = small(release).remove(0);
        let fresh = Fresh { release, parts: vec![], layers: None, dtype: Dtype::BF16, seed: 1 };
        fresh.write_part(scratch.path(), part, &model, &mut |_| {}).unwrap();
        let file = Checkpoint::open(&scratch.path().join(release.file(part))).unwrap();
        let found = file.tensor("blocks.1.attn.rope.rope.freqs").unwrap().to_vec::<f32>().unwrap();
        let expected = [0.0, 1.0, 2.0, 3.0].map(|i: f64| 10_000f64.powf(-2.0 * i / 8.0) as f32);
        assert_eq!(found, expected);
    }
}

#[test]
fn folders_of_no_release_are_refused() {
    let scratch = Scratch::new("survey");
    let line = |path: &std::path::Path| survey(path).unwrap_err().to_string();
    assert!(line(scratch.path()).contains("no released model"));
    assert!(line(&scratch.path().join("none")).contains("is no folder"));
    fs::write(scratch.path().join("dit.pth"), b"PK").unwrap();
    let found = survey(scratch.path()).unwrap();
    let dit = found.parts.iter().find(|found| found.part == Part::Dit).unwrap();
    assert!(dit.outcome.as_ref().unwrap_err().contains("cut short"));
    fs::write(scratch.path().join("ema.pth"), b"PK").unwrap();
    assert!(line(scratch.path()).contains("of the 3B and of the 7B"));
}
