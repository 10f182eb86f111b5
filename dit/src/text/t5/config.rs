//! Sizes of a T5 encoder.

use crate::weights::Checkpoint;
use crate::{Error, Result};
use serde_json::Value;

/// Most layers that are looked for.
const MAX_LAYERS: usize = 1 << 10;

/// The gate of the feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `x / (1 + e^-x)`, as in UL2.
    Silu,
    /// GELU in its tanh form, as in Flan-T5.
    GeluTanh,
}

/// Sizes and constants. Names in parentheses are those of `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Width of the residual stream (`d_model`).
    pub dim: usize,
    /// Blocks of the encoder.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of a head (`d_kv`).
    pub head_dim: usize,
    /// Width of the feed-forward layer (`d_ff`).
    pub hidden: usize,
    /// The feed-forward layer's gate (`feed_forward_proj`).
    pub gate: Gate,
    /// Classes of distances between tokens.
    pub buckets: usize,
    /// Distance from which on all fall into the last class (`relative_attention_max_distance`).
    pub max_distance: usize,
    /// Added to the mean square before the root (`layer_norm_epsilon`).
    pub epsilon: f32,
}

/// Names of the embedding table; released files have one or both, for one tensor.
const TABLES: [&str; 2] = ["shared.weight", "encoder.embed_tokens.weight"];

/// The table of position biases, which all layers share.
pub(super) const BIAS: &str =
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";

impl Config {
    /// Sizes from the shapes of the weights; what shapes do not tell from `config.json`, which may be
    /// `null`, or else as in Flan-UL2. `Err` where the two contradict each other.
    pub fn new(value: &Value, weights: &Checkpoint) -> Result<Self> {
        let fail = |what: String| Err(Error::format(weights.path(), what));
        let matrix = |name: &str| match weights.shape(name) {
            Some(&[rows, cols]) => Ok((rows, cols)),
            Some(found) => Err(format!("{name} is {found:?}; expected a matrix")),
            None => Err(format!("holds no {name}, which an encoder with gated layers has")),
        };
        let sizes = || {
            let (vocabulary, dim) = matrix(table(weights))?;
            let (buckets, heads) = matrix(BIAS)?;
            let (width, _) = matrix("encoder.block.0.layer.0.SelfAttention.q.weight")?;
            let (hidden, _) = matrix("encoder.block.0.layer.1.DenseReluDense.wi_0.weight")?;
            Ok::<_, String>((vocabulary, dim, buckets, heads, width, hidden))
        };
        let (vocabulary, dim, buckets, heads, width, hidden) = match sizes() {
            Ok(sizes) => sizes,
            Err(what) => return fail(what),
        };
        if heads == 0 || width == 0 || width % heads != 0 || buckets < 4 || buckets % 4 != 0 {
            return fail(format!(
                "{BIAS} is [{buckets}, {heads}] with attention of width {width}; expected a multiple of \
                 4 classes, and of heads"
            ));
        }
        let layer = |i: &usize| {
            weights.shape(&format!("encoder.block.{i}.layer.0.layer_norm.weight")).is_some()
        };
        let layers = (0..MAX_LAYERS).take_while(layer).count();
        let number = |key: &str| value.get(key).and_then(Value::as_u64).map(|n| n as usize);
        let head_dim = width / heads;
        for (key, ours) in [
            ("vocab_size", vocabulary),
            ("d_model", dim),
            ("num_layers", layers),
            ("num_heads", heads),
            ("d_kv", head_dim),
            ("d_ff", hidden),
            ("relative_attention_num_buckets", buckets),
        ] {
            if let Some(theirs) = number(key).filter(|&theirs| theirs != ours) {
                return fail(format!("{key} is {theirs} in config.json and {ours} in the weights"));
            }
        }
        let gate = match value.get("feed_forward_proj").and_then(Value::as_str) {
            Some("gated-silu") | None => Gate::Silu,
            Some("gated-gelu") => Gate::GeluTanh,
            Some(other) => {
                let what = format!(
                    "feed_forward_proj {other:?} in config.json; expected gated-silu or gated-gelu"
                );
                return fail(what);
            }
        };
        let max_distance = number("relative_attention_max_distance").unwrap_or(128);
        let epsilon =
            value.get("layer_norm_epsilon").and_then(Value::as_f64).unwrap_or(1e-6) as f32;
        if max_distance <= buckets / 4 || epsilon.is_nan() || epsilon < 0.0 {
            return fail(format!(
                "relative_attention_max_distance {max_distance}, layer_norm_epsilon {epsilon}; expected \
                 above {} and a non-negative number",
                buckets / 4
            ));
        }
        Ok(Self {
            vocabulary,
            dim,
            layers,
            heads,
            head_dim,
            hidden,
            gate,
            buckets,
            max_distance,
            epsilon,
        })
    }

    /// Names and shapes of all weights that are used.
    pub fn parameters(&self, weights: &Checkpoint) -> Vec<(String, Vec<usize>)> {
        let Self { vocabulary, dim, hidden, .. } = *self;
        let width = self.heads * self.head_dim;
        let mut all = vec![
            (table(weights).to_owned(), vec![vocabulary, dim]),
            (BIAS.to_owned(), vec![self.buckets, self.heads]),
            ("encoder.final_layer_norm.weight".to_owned(), vec![dim]),
        ];
        for i in 0..self.layers {
            let layer = [
                ("0.layer_norm", vec![dim]),
                ("0.SelfAttention.q", vec![width, dim]),
                ("0.SelfAttention.k", vec![width, dim]),
                ("0.SelfAttention.v", vec![width, dim]),
                ("0.SelfAttention.o", vec![dim, width]),
                ("1.layer_norm", vec![dim]),
                ("1.DenseReluDense.wi_0", vec![hidden, dim]),
                ("1.DenseReluDense.wi_1", vec![hidden, dim]),
                ("1.DenseReluDense.wo", vec![dim, hidden]),
            ];
            let name = |name: &str| format!("encoder.block.{i}.layer.{name}.weight");
            all.extend(layer.map(|(part, shape)| (name(part), shape)));
        }
        all
    }

    /// Class of the distance `key - query` (section 3): half of the classes for either direction, the
    /// lower half of those for one distance each, the others for ever wider ranges. In single
    /// precision, as published.
    pub fn bucket(&self, distance: i64) -> usize {
        let side = self.buckets / 2;
        let base = if distance > 0 { side } else { 0 };
        let (distance, exact) = (distance.unsigned_abs() as usize, side / 2);
        if distance < exact {
            return base + distance;
        }
        let range = (self.max_distance as f64 / exact as f64).ln() as f32;
        let share = (distance as f32 / exact as f32).ln() / range * (side - exact) as f32;
        base + (exact + share as usize).min(side - 1)
    }
}

/// The embedding table's name in this checkpoint.
pub(super) fn table(weights: &Checkpoint) -> &'static str {
    let found = TABLES.into_iter().find(|name| weights.shape(name).is_some());
    found.unwrap_or(TABLES[0])
}
