//! The text encoders (VINCIE 3B specification, section 3; 7B specification, section 3).

use super::{Expected, List, Reader};
use crate::Result;
use vincie_tensor::Shape;

/// Sizes of a first-generation Qwen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QwenSizes {
    /// Rows of the word table.
    pub vocabulary: usize,
    /// Width.
    pub dim: usize,
    /// Layers.
    pub layers: usize,
    /// Width of the feed-forward layer.
    pub hidden: usize,
}

impl QwenSizes {
    /// Those of Qwen-14B.
    pub fn official() -> Self {
        Self { vocabulary: 152_064, dim: 5120, layers: 40, hidden: 13_696 }
    }

    /// Reads the sizes off a checkpoint's shapes.
    pub fn infer(shape_of: impl Fn(&str) -> Option<Shape>) -> Result<Self> {
        let reader = Reader(shape_of);
        let [vocabulary, dim] = reader.dims("transformer.wte.weight")?;
        let [hidden] = reader.dims("transformer.h.0.mlp.w1.weight")?;
        let layers = reader.count(|i| format!("transformer.h.{i}.ln_1.weight"));
        Ok(Self { vocabulary, dim, layers, hidden })
    }

    /// Every tensor that the encoder uses.
    pub fn expected(&self) -> Expected {
        let mut list = List::default();
        let Self { vocabulary, dim, layers, hidden } = *self;
        list.add("transformer.wte.weight".to_owned(), &[vocabulary, dim]);
        for i in 0..layers {
            let layer = format!("transformer.h.{i}");
            list.add(format!("{layer}.ln_1.weight"), &[dim]);
            list.layer(&format!("{layer}.attn.c_attn"), &[3 * dim, dim]);
            list.add(format!("{layer}.attn.c_proj.weight"), &[dim, dim]);
            list.add(format!("{layer}.ln_2.weight"), &[dim]);
            list.add(format!("{layer}.mlp.w1.weight"), &[hidden, dim]);
            list.add(format!("{layer}.mlp.w2.weight"), &[hidden, dim]);
            list.add(format!("{layer}.mlp.c_proj.weight"), &[dim, hidden]);
        }
        list.add("transformer.ln_f.weight".to_owned(), &[dim]);
        list.0
    }
}

/// Sizes of a T5 encoder with a gated feed-forward layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct T5Sizes {
    /// Rows of the word table.
    pub vocabulary: usize,
    /// Width.
    pub dim: usize,
    /// Layers.
    pub layers: usize,
    /// Heads.
    pub heads: usize,
    /// Width of all heads together.
    pub inner: usize,
    /// Width of the feed-forward layer.
    pub hidden: usize,
    /// Buckets of relative positions.
    pub buckets: usize,
}

/// Where the biases of relative positions stand.
const BIAS: &str = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";

impl T5Sizes {
    /// Those of Flan-UL2.
    pub fn official() -> Self {
        let (vocabulary, dim, layers, heads) = (32_128, 4096, 32, 16);
        Self { vocabulary, dim, layers, heads, inner: 4096, hidden: 16_384, buckets: 32 }
    }

    /// Reads the sizes off a checkpoint's shapes.
    pub fn infer(shape_of: impl Fn(&str) -> Option<Shape>) -> Result<Self> {
        let reader = Reader(shape_of);
        let [vocabulary, dim] = reader.dims("shared.weight")?;
        let [inner] = reader.dims("encoder.block.0.layer.0.SelfAttention.q.weight")?;
        let [hidden] = reader.dims("encoder.block.0.layer.1.DenseReluDense.wi_0.weight")?;
        let [buckets, heads] = reader.dims(BIAS)?;
        let layers = reader.count(|i| format!("encoder.block.{i}.layer.0.layer_norm.weight"));
        Ok(Self { vocabulary, dim, layers, heads, inner, hidden, buckets })
    }

    /// Every tensor that the encoder uses.
    pub fn expected(&self) -> Expected {
        let mut list = List::default();
        let Self { vocabulary, dim, layers, heads, inner, hidden, buckets } = *self;
        list.add("shared.weight".to_owned(), &[vocabulary, dim]);
        for i in 0..layers {
            let layer = format!("encoder.block.{i}.layer");
            for name in ["q", "k", "v"] {
                list.add(format!("{layer}.0.SelfAttention.{name}.weight"), &[inner, dim]);
            }
            list.add(format!("{layer}.0.SelfAttention.o.weight"), &[dim, inner]);
            if i == 0 {
                list.add(BIAS.to_owned(), &[buckets, heads]);
            }
            list.add(format!("{layer}.0.layer_norm.weight"), &[dim]);
            for name in ["wi_0", "wi_1"] {
                list.add(format!("{layer}.1.DenseReluDense.{name}.weight"), &[hidden, dim]);
            }
            list.add(format!("{layer}.1.DenseReluDense.wo.weight"), &[dim, hidden]);
            list.add(format!("{layer}.1.layer_norm.weight"), &[dim]);
        }
        list.add("encoder.final_layer_norm.weight".to_owned(), &[dim]);
        list.0
    }
}
