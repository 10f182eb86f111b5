//! New checkpoints in the layout of the released ones, with random weights: for trying at true size what
//! loads them, and for whatever wants the files without the training.

mod tokenizers;
mod values;

use super::names::{Known, QwenSizes, T5Sizes, Vae8Sizes, Vae16Sizes};
use super::write::{Plan, write_shards, write_torch};
use super::{Dtype, write};
use crate::config::ModelConfig;
use crate::model::Need;
use crate::{Error, Result};
use serde_json::json;
use std::fs;
use std::path::Path;
use values::Values;

/// Largest shard of a text encoder, bytes.
const SHARD: usize = 5 << 30;

/// Which released model a checkpoint is laid out as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// VINCIE-3B.
    Three,
    /// VINCIE-7B.
    Seven,
}

/// A part of a released model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The transformer.
    Dit,
    /// The autoencoder.
    Vae,
    /// The text encoder with a tokenizer.
    Text,
}

impl Release {
    /// Its name on the command line.
    pub fn preset(self) -> &'static str {
        match self {
            Self::Three => "3b",
            Self::Seven => "7b",
        }
    }

    /// Name of a part's file or folder in the release.
    pub fn file(self, part: Part) -> &'static str {
        match (self, part) {
            (Self::Three, Part::Dit) => "dit.pth",
            (Self::Three, Part::Vae) => "vae.pth",
            (Self::Three, Part::Text) => "llm14b",
            (Self::Seven, Part::Dit) => "ema.pth",
            (Self::Seven, Part::Vae) => "ema_vae.pth",
            (Self::Seven, Part::Text) => "flan-ul2",
        }
    }
}

/// What to make.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The layout.
    pub release: Release,
    /// Its parts.
    pub parts: Vec<Part>,
    /// Layers of the transformer and of the text encoder, where not as many as released.
    pub layers: Option<usize>,
    /// Type of the weights.
    pub dtype: Dtype,
    /// The same seed gives the same values, in any type and whatever other parts are made.
    pub seed: u64,
}

impl Fresh {
    /// A part's model. With fewer layers, the last one keeps shared weights as in the release.
    pub fn model(&self, part: Part) -> Result<Known> {
        let layers = |released: usize| self.layers.unwrap_or(released).min(released);
        Ok(match (self.release, part) {
            (release, Part::Dit) => {
                let mut config = ModelConfig::preset(release.preset())?;
                config.layers = layers(config.layers);
                config.separate_layers = config.separate_layers.min(config.layers - 1);
                Known::Transformer(config)
            }
            (Release::Three, Part::Vae) => Known::Vae8(Vae8Sizes::official()),
            (Release::Seven, Part::Vae) => Known::Vae16(Vae16Sizes::official()),
            (Release::Three, Part::Text) => {
                let sizes = QwenSizes::official();
                Known::Qwen(QwenSizes { layers: layers(sizes.layers), ..sizes })
            }
            (Release::Seven, Part::Text) => {
                let sizes = T5Sizes::official();
                Known::T5(T5Sizes { layers: layers(sizes.layers), ..sizes })
            }
        })
    }

    /// Bytes of all weights; `Err` for a number of layers that no model has.
    pub fn bytes(&self) -> Result<u64> {
        if self.layers == Some(0) {
            return Err(Error::invalid("a model of 0 layers; expected 1 or more"));
        }
        let parts = self.parts.iter().map(|&part| {
            let plans = self.plans(&self.model(part)?);
            Ok(plans.iter().map(|plan| plan.bytes() as u64).sum::<u64>())
        });
        parts.sum()
    }

    /// What a model's checkpoint holds. Rotary frequencies are f32 whatever the weights are.
    fn plans(&self, model: &Known) -> Vec<Plan> {
        let plan = |(name, shape, need): (String, vincie_tensor::Shape, Need)| Plan {
            name,
            dtype: if need == Need::Buffer { Dtype::F32 } else { self.dtype },
            shape: shape.to_vec(),
        };
        model.expected().into_iter().map(plan).collect()
    }

    /// Writes the parts into an existing folder. `progress` is told bytes as they are written.
    pub fn write(&self, folder: &Path, progress: &mut dyn FnMut(u64)) -> Result<()> {
        self.parts
            .iter()
            .try_for_each(|&part| self.write_part(folder, part, &self.model(part)?, progress))
    }

    /// Writes one part, whose model may be of other sizes than released.
    pub(crate) fn write_part(
        &self,
        folder: &Path,
        part: Part,
        model: &Known,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let plans = self.plans(model);
        let mut values = Values::new(self.seed, part, model);
        let mut fill = |plan: &Plan, sink: &mut write::Sink<'_>| {
            values.give(plan, &mut |bytes| {
                progress(bytes.len() as u64);
                sink(bytes)
            })
        };
        let path = folder.join(self.release.file(part));
        if part != Part::Text {
            return write_torch(&path, &plans, &mut fill);
        }
        fs::create_dir(&path).map_err(|source| Error::io(&path, source))?;
        write_shards(&path, &plans, SHARD, &mut fill)?;
        match model {
            Known::Qwen(sizes) => {
                tokenizers::qwen(&path.join("qwen.tiktoken"))?;
                document(&path.join("config.json"), &qwen_config(sizes))
            }
            Known::T5(sizes) => {
                tokenizers::t5(&path.join("tokenizer.json"))?;
                document(&path.join("config.json"), &t5_config(sizes))
            }
            Known::Transformer(_) | Known::Vae8(_) | Known::Vae16(_) => Ok(()),
        }
    }
}

fn document(path: &Path, value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    fs::write(path, text).map_err(|source| Error::io(path, source))
}

/// The public configuration of Qwen-14B (VINCIE 3B specification, section 3).
fn qwen_config(sizes: &QwenSizes) -> serde_json::Value {
    json!({
        "model_type": "qwen",
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.dim,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.dim / 128,
        "kv_channels": 128,
        "intermediate_size": 2 * sizes.hidden,
        "layer_norm_epsilon": 1e-6,
        "rotary_emb_base": 10_000,
        "rotary_pct": 1.0,
        "no_bias": true,
        "seq_length": 2048,
    })
}

/// The public configuration of Flan-UL2's encoder (VINCIE 7B specification, section 3).
fn t5_config(sizes: &T5Sizes) -> serde_json::Value {
    json!({
        "model_type": "t5",
        "architectures": ["T5EncoderModel"],
        "vocab_size": sizes.vocabulary,
        "d_model": sizes.dim,
        "d_kv": sizes.inner / sizes.heads,
        "d_ff": sizes.hidden,
        "num_layers": sizes.layers,
        "num_heads": sizes.heads,
        "relative_attention_num_buckets": sizes.buckets,
        "relative_attention_max_distance": 128,
        "layer_norm_epsilon": 1e-6,
        "feed_forward_proj": "gated-silu",
        "dense_act_fn": "silu",
        "is_gated_act": true,
        "pad_token_id": 0,
        "eos_token_id": 1,
    })
}
