//! Sizes of a first-generation Qwen.

use crate::weights::Checkpoint;
use crate::{Error, Result};
use serde_json::Value;

/// Most layers that are looked for.
const MAX_LAYERS: usize = 1 << 10;

/// Width of a head where the configuration does not say it: that of all published sizes.
const HEAD_DIM: usize = 128;

/// Sizes and constants. Names in parentheses are those of `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub dim: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of a head (`kv_channels`).
    pub head_dim: usize,
    /// Width of the feed-forward layer, half of `intermediate_size`.
    pub hidden: usize,
    /// Added to the mean square before the root (`layer_norm_epsilon`).
    pub epsilon: f32,
    /// Base of the rotary frequencies (`rotary_emb_base`).
    pub rotary_base: f64,
}

impl Config {
    /// Sizes from the shapes of the weights; what shapes do not tell from `config.json`, which may be
    /// `null`, or else as published. `Err` where the two contradict each other.
    pub fn new(value: &Value, weights: &Checkpoint) -> Result<Self> {
        let fail = |what: String| Err(Error::format(weights.path(), what));
        let matrix = |name: &str| match weights.shape(name) {
            Some(&[rows, cols]) => Ok((rows, cols)),
            Some(found) => Err(format!("{name} is {found:?}; expected a matrix")),
            None => Err(format!("holds no {name}, which a Qwen encoder has")),
        };
        let sizes = || {
            let (vocabulary, dim) = matrix("transformer.wte.weight")?;
            let (width, _) = matrix("transformer.h.0.attn.c_attn.weight")?;
            let (hidden, _) = matrix("transformer.h.0.mlp.w1.weight")?;
            Ok::<_, String>((vocabulary, dim, width / 3, hidden))
        };
        let (vocabulary, dim, width, hidden) = match sizes() {
            Ok(sizes) => sizes,
            Err(what) => return fail(what),
        };
        let layer = |i: &usize| weights.shape(&format!("transformer.h.{i}.ln_1.weight")).is_some();
        let layers = (0..MAX_LAYERS).take_while(layer).count();
        let number = |key: &str| value.get(key).and_then(Value::as_u64).map(|n| n as usize);
        let head_dim = number("kv_channels").unwrap_or(HEAD_DIM);
        if head_dim == 0 || head_dim % 2 != 0 || width == 0 || width % head_dim != 0 {
            let what = format!("attention of width {width} with heads of {head_dim} (kv_channels)");
            return fail(what);
        }
        let heads = width / head_dim;
        for (key, ours) in [
            ("vocab_size", vocabulary),
            ("hidden_size", dim),
            ("num_hidden_layers", layers),
            ("num_attention_heads", heads),
            ("intermediate_size", 2 * hidden),
        ] {
            if let Some(theirs) = number(key).filter(|&theirs| theirs != ours) {
                return fail(format!("{key} is {theirs} in config.json and {ours} in the weights"));
            }
        }
        let real =
            |key: &str, default: f64| value.get(key).and_then(Value::as_f64).unwrap_or(default);
        let epsilon = real("layer_norm_epsilon", 1e-6) as f32;
        let rotary_base = real("rotary_emb_base", 10_000.0);
        if real("rotary_pct", 1.0) != 1.0 || rotary_base <= 0.0 || epsilon.is_nan() || epsilon < 0.0
        {
            return fail(format!(
                "rotary_pct {}, rotary_emb_base {rotary_base}, layer_norm_epsilon {epsilon}; expected \
                 1, a positive and a non-negative number",
                real("rotary_pct", 1.0)
            ));
        }
        Ok(Self { vocabulary, dim, layers, heads, head_dim, hidden, epsilon, rotary_base })
    }

    /// Names and shapes of all weights that are used.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let Self { vocabulary, dim, hidden, .. } = *self;
        let width = self.heads * self.head_dim;
        let mut all = vec![
            ("transformer.wte.weight".to_owned(), vec![vocabulary, dim]),
            ("transformer.ln_f.weight".to_owned(), vec![dim]),
        ];
        for i in 0..self.layers {
            let layer = [
                ("ln_1.weight", vec![dim]),
                ("attn.c_attn.weight", vec![3 * width, dim]),
                ("attn.c_attn.bias", vec![3 * width]),
                ("attn.c_proj.weight", vec![dim, width]),
                ("ln_2.weight", vec![dim]),
                ("mlp.w1.weight", vec![hidden, dim]),
                ("mlp.w2.weight", vec![hidden, dim]),
                ("mlp.c_proj.weight", vec![dim, hidden]),
            ];
            all.extend(layer.map(|(name, shape)| (format!("transformer.h.{i}.{name}"), shape)));
        }
        all
    }
}
