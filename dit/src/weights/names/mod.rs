//! The naming table: official tensor names and shapes of every model of the released checkpoints, and
//! what else may stand in their files. Each list is made from sizes, and the sizes are read off the
//! shapes of a checkpoint. (The transformer's own list is [`crate::model::expected_parameters`].)

mod encoders;
mod vae16;
mod vae8;

pub use encoders::{QwenSizes, T5Sizes};
pub use vae8::Vae8Sizes;
pub use vae16::Vae16Sizes;

use super::Checkpoint;
use crate::config::ModelConfig;
use crate::model::{Need, expected_parameters};
use crate::{Error, Result};
use std::fmt;
use vincie_tensor::{MAX_RANK, Shape};

/// A list of tensors: name, shape, and whether a checkpoint must hold it.
pub type Expected = Vec<(String, Shape, Need)>;

/// A model whose checkpoint is recognised, with the sizes that its shapes tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// The diffusion transformer.
    Transformer(ModelConfig),
    /// The autoencoder of the 3B: 8 x smaller, attention in the middle.
    Vae8(Vae8Sizes),
    /// The autoencoder of the 7B: 16 x smaller, no attention.
    Vae16(Vae16Sizes),
    /// The first Qwen, the text encoder of the 3B.
    Qwen(QwenSizes),
    /// A T5 encoder, the text encoder of the 7B.
    T5(T5Sizes),
}

impl Known {
    /// Recognises a checkpoint by its names, and reads its sizes off its shapes. `Err` where the names
    /// are those of no model here, or shapes contradict each other.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let checked = |name: &str| checkpoint.shape(name).filter(|shape| shape.len() <= MAX_RANK);
        let shape_of = |name: &str| checked(name).map(Shape::new);
        let has = |name: &str| checkpoint.shape(name).is_some();
        if has("vid_in.proj.weight") || has("vid_in.img_proj.weight") {
            return Ok(Self::Transformer(ModelConfig::infer(shape_of)?));
        }
        if has("encoder.conv_in.weight") && has("decoder.conv_in.weight") {
            return match has("encoder.final_block.resnets.0.conv1.weight") {
                true => Vae16Sizes::infer(shape_of).map(Self::Vae16),
                false => Vae8Sizes::infer(shape_of).map(Self::Vae8),
            };
        }
        if has("transformer.wte.weight") {
            return QwenSizes::infer(shape_of).map(Self::Qwen);
        }
        if has("encoder.final_layer_norm.weight") {
            return T5Sizes::infer(shape_of).map(Self::T5);
        }
        let first = checkpoint.names().into_iter().take(3).collect::<Vec<_>>().join(", ");
        Err(Error::format(
            checkpoint.path(),
            format!(
                "holds no transformer, autoencoder or text encoder that is known: {first}, ..."
            ),
        ))
    }

    /// What its checkpoint holds.
    pub fn expected(&self) -> Expected {
        match self {
            Self::Transformer(config) => expected_parameters(config),
            Self::Vae8(sizes) => sizes.expected(),
            Self::Vae16(sizes) => sizes.expected(),
            Self::Qwen(sizes) => sizes.expected(),
            Self::T5(sizes) => sizes.expected(),
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transformer(config) => write!(
                f,
                "diffusion transformer: width {}, {} layers ({} with separate weights), {} heads of {}, \
                 {} channels in and {} out, text width {}",
                config.dim,
                config.layers,
                config.separate_layers,
                config.heads,
                config.head_dim,
                config.visual_in,
                config.visual_out,
                config.text_in,
            ),
            Self::Vae8(sizes) => {
                write!(f, "autoencoder 8 x {}: widths {:?}", sizes.latent, sizes.encoder)
            }
            Self::Vae16(sizes) => write!(
                f,
                "autoencoder 16 x {}: widths {:?} and {:?}",
                sizes.latent, sizes.encoder, sizes.decoder
            ),
            Self::Qwen(sizes) => write!(
                f,
                "Qwen text encoder: width {}, {} layers, vocabulary of {}",
                sizes.dim, sizes.layers, sizes.vocabulary
            ),
            Self::T5(sizes) => write!(
                f,
                "T5 text encoder: width {}, {} layers, {} heads, vocabulary of {}",
                sizes.dim, sizes.layers, sizes.heads, sizes.vocabulary
            ),
        }
    }
}

/// The checkpoint under the names of the table: old attention names become today's, and what no model
/// here uses is left out.
pub fn official(checkpoint: Checkpoint) -> Result<Checkpoint> {
    // A T5 shares one word table under two names; a file of the encoder alone may hold only the other.
    let only_other = checkpoint.shape("shared.weight").is_none();
    checkpoint.renamed(|name| match name {
        "encoder.embed_tokens.weight" if only_other => Some("shared.weight".to_owned()),
        name => canonical(name),
    })
}

/// Today's name of a tensor that a released file may hold under another; `None` for one that no
/// encoder or decoder needs: the halves of language models behind what is used here, and position tables.
pub fn canonical(name: &str) -> Option<String> {
    let is_ignored = name == "lm_head.weight"
        || name == "encoder.embed_tokens.weight"
        || (name.starts_with("decoder.") && (name.contains(".layer.") || is_t5_decoder(name)))
        || name.ends_with(".rotary_emb.inv_freq")
        || (name.ends_with(".attn.bias") && name.starts_with("transformer.h."));
    if is_ignored {
        return None;
    }
    // The attention of autoencoders before diffusers 0.15.
    const OLD: [(&str, &str); 4] =
        [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];
    for (old, new) in OLD {
        for kind in ["weight", "bias"] {
            if name.contains(".attentions.")
                && let Some(before) = name.strip_suffix(&format!(".{old}.{kind}"))
            {
                return Some(format!("{before}.{new}.{kind}"));
            }
        }
    }
    Some(name.to_owned())
}

/// Whether a name outside the layers belongs to the decoder of a T5.
fn is_t5_decoder(name: &str) -> bool {
    ["decoder.embed_tokens.weight", "decoder.final_layer_norm.weight"].contains(&name)
}

/// The list being made.
#[derive(Debug, Default)]
struct List(Expected);

impl List {
    fn add(&mut self, name: String, dims: &[usize]) {
        self.0.push((name, Shape::new(dims), Need::Used));
    }

    /// A convolution or linear layer: weight, and a bias for every output.
    fn layer(&mut self, name: &str, dims: &[usize]) {
        self.add(format!("{name}.weight"), dims);
        self.add(format!("{name}.bias"), &dims[..1]);
    }

    /// A norm's weight and bias.
    fn norm(&mut self, name: &str, width: usize) {
        self.layer(name, &[width]);
    }

    /// A residual block from `from` to `to` channels.
    fn residual(&mut self, name: &str, from: usize, to: usize) {
        self.norm(&format!("{name}.norm1"), from);
        self.layer(&format!("{name}.conv1"), &[to, from, 3, 3, 3]);
        self.norm(&format!("{name}.norm2"), to);
        self.layer(&format!("{name}.conv2"), &[to, to, 3, 3, 3]);
        if from != to {
            self.layer(&format!("{name}.conv_shortcut"), &[to, from, 1, 1, 1]);
        }
    }
}

/// Reads sizes off shapes by name.
struct Reader<F>(F);

impl<F: Fn(&str) -> Option<Shape>> Reader<F> {
    /// The first sizes of a tensor's shape; `Err` where it is missing or has fewer axes.
    fn dims<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        let shape = (self.0)(name).ok_or_else(|| {
            Error::invalid(format!("checkpoint: {name} is missing, so the sizes are not known"))
        })?;
        shape.get(..N).and_then(|dims| dims.try_into().ok()).ok_or_else(|| {
            Error::invalid(format!("checkpoint: {name} is {shape}; expected {N} axes or more"))
        })
    }

    /// How many numbers from 0 on have a tensor, up to a bound that no model reaches.
    fn count(&self, name: impl Fn(usize) -> String) -> usize {
        (0..1024).take_while(|&i| (self.0)(&name(i)).is_some()).count()
    }

    /// The temporal taps of a kernel; 1 or as many as `deep` for a two-dimensional one.
    fn taps(&self, name: &str, deep: usize) -> Result<usize> {
        Ok(match (self.0)(name) {
            Some(shape) if shape.rank() == 5 => shape[2],
            _ => deep,
        })
    }
}
