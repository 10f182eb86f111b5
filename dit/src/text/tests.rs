//! Folders of small text models with random weights.

use super::{Computation, open};
use crate::train::scratch::Scratch;
use crate::weights::save;
use serde_json::json;
use std::fs;
use std::path::Path;
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{DType, Tensor};

/// Writes weights of these names and shapes.
fn write_weights(folder: &Path, shapes: &[(String, Vec<usize>)], dtype: DType) {
    let tensor = |(number, (name, shape)): (usize, &(String, Vec<usize>))| {
        let key = Key::new(5, Stream::Test, number as u64);
        let normal = key.normal_tensor(shape.as_slice()).unwrap().to_vec::<f32>().unwrap();
        // Norms' weights about 1, matrices small enough that nothing grows.
        let is_vector = shape.len() == 1;
        let value = |x: &f32| if is_vector { 1.0 + 0.1 * x } else { 0.2 * x };
        let values: Vec<f32> = normal.iter().map(value).collect();
        let tensor = Tensor::from_slice(&values, shape.as_slice()).unwrap();
        (name.clone(), tensor.to_dtype(dtype).unwrap())
    };
    let tensors: Vec<(String, Tensor)> = shapes.iter().enumerate().map(tensor).collect();
    let named = tensors.iter().map(|(name, tensor)| (name.clone(), tensor));
    save(&folder.join("model.safetensors"), named).unwrap();
}

/// A Qwen of two layers over bytes and special strings.
fn qwen(folder: &Path, dtype: DType) {
    let config = super::qwen::Config {
        vocabulary: 480,
        dim: 16,
        layers: 2,
        heads: 2,
        head_dim: 8,
        hidden: 24,
        epsilon: 1e-6,
        rotary_base: 10_000.0,
    };
    write_weights(folder, &config.parameters(), dtype);
    fs::write(folder.join("config.json"), json!({"kv_channels": 8}).to_string()).unwrap();
    fs::write(folder.join("qwen.tiktoken"), super::qwen::tests::vocabulary()).unwrap();
}

/// A T5 of two layers over a few pieces.
fn t5(folder: &Path, dtype: DType) {
    let mut shapes = vec![("shared.weight".to_owned(), vec![16, 12])];
    let bias = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
    shapes.push((bias.to_owned(), vec![8, 2]));
    shapes.push(("encoder.final_layer_norm.weight".to_owned(), vec![12]));
    for layer in 0..2 {
        for (part, shape) in [
            ("0.layer_norm", vec![12]),
            ("0.SelfAttention.q", vec![10, 12]),
            ("0.SelfAttention.k", vec![10, 12]),
            ("0.SelfAttention.v", vec![10, 12]),
            ("0.SelfAttention.o", vec![12, 10]),
            ("1.layer_norm", vec![12]),
            ("1.DenseReluDense.wi_0", vec![20, 12]),
            ("1.DenseReluDense.wi_1", vec![20, 12]),
            ("1.DenseReluDense.wo", vec![12, 20]),
        ] {
            shapes.push((format!("encoder.block.{layer}.layer.{part}.weight"), shape));
        }
    }
    write_weights(folder, &shapes, dtype);
    let config = json!({"d_model": 12, "feed_forward_proj": "gated-silu", "num_heads": 2});
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let document = super::t5::tests::document();
    fs::write(folder.join("tokenizer.json"), document.to_string()).unwrap();
}

fn encode(folder: &Path, prompts: &[&str], dtype: Option<DType>) -> Vec<Vec<f32>> {
    let encoder = open(folder, Computation { place: None, dtype }).unwrap();
    let mut seen = Vec::new();
    let features = encoder.encode(prompts, &mut |done, all| seen.push((done, all))).unwrap();
    assert_eq!(seen.last(), Some(&(2, 2)), "both layers are reported");
    for (prompt, features) in prompts.iter().zip(&features) {
        let tokens = encoder.tokens(prompt).unwrap().len();
        assert_eq!(*features.dims(), [tokens, encoder.dim()]);
    }
    features.iter().map(|features| features.to_vec::<f32>().unwrap()).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Writes a small model of one of the kinds.
type Write = fn(&Path, DType);

#[test]
fn prompts_do_not_see_each_other() {
    for (write, a, b) in
        [(qwen as Write, "the <|im_start|> e", "in"), (t5 as Write, "ab a</s>", "b")]
    {
        let scratch = Scratch::new("text-model");
        write(scratch.path(), DType::F32);
        let both = encode(scratch.path(), &[a, "", b], None);
        let dim = both[1].len();
        assert_eq!(both[0].len() % dim, 0, "an empty prompt is its end token");
        for (prompt, features) in [a, "", b].iter().zip(&both) {
            let alone = &encode(scratch.path(), &[prompt], None)[0];
            assert!(largest_difference(alone, features) < 1e-5, "{prompt}");
        }
        // Rounding to bf16 is 2^-9 a step; features are about 1.
        let rounded = encode(scratch.path(), &[a], Some(DType::BF16));
        let difference = largest_difference(&rounded[0], &both[0]);
        assert!(difference > 0.0 && difference < 0.1, "{difference}");
        let stored = Scratch::new("text-model-bf16");
        write(stored.path(), DType::BF16);
        assert_eq!(
            encode(stored.path(), &[a], None),
            rounded,
            "stored in bf16 it computes in bf16"
        );
        let encoder = open(scratch.path(), Computation::default()).unwrap();
        assert!(encoder.encode(&[], &mut |_, _| {}).unwrap().is_empty());
    }
}

#[test]
fn what_features_depend_on_is_in_the_fingerprint() {
    for write in [qwen as Write, t5] {
        let scratch = Scratch::new("text-fingerprint");
        write(scratch.path(), DType::F32);
        let fingerprint =
            |dtype| open(scratch.path(), Computation { place: None, dtype }).unwrap().fingerprint();
        let first = fingerprint(None);
        assert_eq!(first, fingerprint(Some(DType::F32)));
        assert_ne!(first, fingerprint(Some(DType::BF16)));
        fs::write(scratch.path().join("notes.txt"), "not of the model").unwrap();
        assert_eq!(first, fingerprint(None));
        let config = scratch.path().join("config.json");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text + " ").unwrap();
        assert_ne!(first, fingerprint(None));
    }
}

#[test]
fn folders_that_are_no_text_model_are_refused_in_one_line() {
    let refusal = |folder: &Path| {
        let line = open(folder, Computation::default()).map(drop).unwrap_err().to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    };
    let scratch = Scratch::new("text-refused");
    assert!(refusal(scratch.path()).contains("tokenizer.json"));
    assert!(refusal(&scratch.path().join("absent")).contains("absent"));
    for (write, file, text, word) in [
        (qwen as Write, "config.json", r#"{"kv_channels": 5}"#, "kv_channels"),
        (qwen, "config.json", r#"{"kv_channels": 8, "hidden_size": 7}"#, "hidden_size is 7"),
        (qwen, "config.json", r#"{"kv_channels": 8, "rotary_pct": 0.5}"#, "rotary_pct 0.5"),
        (qwen, "config.json", "{", "line 1"),
        (qwen, "qwen.tiktoken", "", "0x00"),
        (t5, "config.json", r#"{"num_layers": 3}"#, "num_layers is 3"),
        (t5, "config.json", r#"{"feed_forward_proj": "relu"}"#, "relu"),
        (t5, "config.json", r#"{"relative_attention_max_distance": 2}"#, "max_distance 2"),
        (t5, "tokenizer.json", "{}", "model"),
    ] {
        let scratch = Scratch::new("text-refused");
        write(scratch.path(), DType::F32);
        fs::write(scratch.path().join(file), text).unwrap();
        let line = refusal(scratch.path());
        assert!(line.contains(word), "{file} {text}: {line}");
    }
    // Weights of the other model.
    let (a, b) = (Scratch::new("text-qwen"), Scratch::new("text-t5"));
    qwen(a.path(), DType::F32);
    t5(b.path(), DType::F32);
    let weights = "model.safetensors";
    fs::copy(b.path().join(weights), a.path().join(weights)).unwrap();
    assert!(refusal(a.path()).contains("transformer.wte.weight"));
    // A token without a row: the tokenizer belongs to another model.
    let encoder = {
        fs::write(b.path().join("tokenizer.json"), {
            let mut document = super::t5::tests::document();
            document["added_tokens"][3]["id"] = json!(16);
            document.to_string()
        })
        .unwrap();
        open(b.path(), Computation::default()).unwrap()
    };
    assert!(encoder.encode(&["a"], &mut |_, _| {}).is_ok());
    let line = encoder.encode(&["<x>"], &mut |_, _| {}).unwrap_err().to_string();
    assert!(line.contains("token 16"), "{line}");
}
