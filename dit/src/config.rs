//! The model's sizes and options: a table of presets, the official configuration files, and what a
//! checkpoint's shapes tell.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vincie_tensor::Shape;

/// How text features reach the model's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextProjection {
    /// They have it already.
    Identity,
    /// One linear layer (3B).
    Linear,
    /// Linear, GELU, linear, RMS norm with weight (7B).
    Mlp,
}

/// Where the time axis of visual positions starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VisualOffset {
    /// At the sample's text length (3B, rope `mmrope3d`).
    TextLength,
    /// At 0 (7B, rope `mmrope3d_v3`): visual positions do not depend on the text.
    Zero,
}

/// The feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedForward {
    /// `proj_out(silu(proj_in_gate x) * proj_in x)`, no biases.
    Swiglu,
    /// `proj_out(gelu_tanh(proj_in x))` with biases.
    Gelu,
}

/// Sizes and options of the transformer (VINCIE 3B specification, section 1.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width `D` of the residual stream, text and video alike.
    pub dim: usize,
    /// Blocks.
    pub layers: usize,
    /// First blocks, which have separate weights for text and video.
    pub separate_layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Features of a head; `heads * head_dim` may differ from `dim`.
    pub head_dim: usize,
    /// Channels of a latent pixel going in: noisy, condition, mask.
    pub visual_in: usize,
    /// Channels of a latent pixel coming out.
    pub visual_out: usize,
    /// Latent pixels along each side of a patch.
    pub patch: usize,
    /// Width of the text features.
    pub text_in: usize,
    /// How they reach `dim`.
    pub text_projection: TextProjection,
    /// Features of a head set aside for rotation, a third for each axis.
    pub rotary_dim: usize,
    /// Where visual time positions start.
    pub visual_offset: VisualOffset,
    /// The feed-forward layer.
    pub feed_forward: FeedForward,
    /// Ratio of the feed-forward width to `dim` before rounding.
    pub expand: usize,
    /// Whether the q, k, v projection has a bias.
    pub qkv_bias: bool,
    /// Whether the output is normalised and modulated.
    pub output_norm: bool,
    /// Rows of the TURN table; 0 where the model has none.
    pub turn_rows: usize,
    /// Whether patch layers carry the 7B's names (`img_proj`).
    pub image_projection_names: bool,
}

/// Names and sizes of the preset table:
/// dim, layers, separate, heads, head_dim, in, out, patch, text, rotary.
const PRESETS: [(&str, [usize; 10]); 5] = [
    ("nano", [256, 6, 2, 4, 64, 7, 3, 4, 256, 64]),
    ("small", [512, 8, 2, 8, 64, 33, 16, 2, 512, 64]),
    ("base", [1024, 16, 2, 16, 64, 33, 16, 2, 1024, 64]),
    ("3b", [2560, 32, 10, 20, 128, 33, 16, 2, 5120, 128]),
    ("7b", [3584, 32, 12, 32, 128, 97, 48, 1, 4096, 120]),
];

impl ModelConfig {
    /// A preset by name: `nano`, `small`, `base`, `3b`, `7b`.
    pub fn preset(name: &str) -> Result<Self> {
        let Some((_, sizes)) = PRESETS.iter().find(|(preset, _)| *preset == name) else {
            let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
            return Err(Error::invalid(format!("preset '{name}' is none of {}", names.join(", "))));
        };
        let &[
            dim,
            layers,
            separate_layers,
            heads,
            head_dim,
            visual_in,
            visual_out,
            patch,
            text_in,
            rotary_dim,
        ] = sizes;
        let is_7b = name == "7b";
        Ok(Self {
            dim,
            layers,
            separate_layers,
            heads,
            head_dim,
            visual_in,
            visual_out,
            patch,
            text_in,
            text_projection: match (is_7b, text_in == dim) {
                (true, _) => TextProjection::Mlp,
                (false, true) => TextProjection::Identity,
                (false, false) => TextProjection::Linear,
            },
            rotary_dim,
            visual_offset: if is_7b { VisualOffset::Zero } else { VisualOffset::TextLength },
            feed_forward: FeedForward::Swiglu,
            expand: 4,
            qkv_bias: false,
            output_norm: true,
            turn_rows: 64,
            image_projection_names: is_7b,
        })
    }

    /// Reads the official configuration's `dit.model` table.
    pub fn from_official(value: &Value) -> Result<Self> {
        let number = |key: &str| -> Result<usize> {
            let number = value.get(key).and_then(Value::as_u64);
            number.map(|n| n as usize).ok_or_else(|| {
                Error::invalid(format!("model config: {key} is missing or no whole number"))
            })
        };
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let text_in = match value.get("txt_in_dim") {
            Some(Value::Array(widths)) if widths.len() == 1 => widths[0].as_u64(),
            Some(width) => width.as_u64(),
            None => None,
        };
        let text_in = text_in.ok_or_else(|| {
            Error::invalid("model config: txt_in_dim is no number or list of one number")
        })? as usize;
        let patch: Vec<u64> = value
            .get("patch_size")
            .and_then(Value::as_array)
            .map(|sizes| sizes.iter().filter_map(Value::as_u64).collect())
            .unwrap_or_default();
        let &[1, patch_height, patch_width] = patch.as_slice() else {
            return Err(Error::invalid(format!(
                "model config: patch_size {patch:?}; expected [1, p, p]"
            )));
        };
        if patch_height != patch_width {
            return Err(Error::invalid(format!(
                "model config: patch_size {patch:?}; expected [1, p, p]"
            )));
        }
        let dim = number("vid_dim")?;
        let config = Self {
            dim,
            layers: number("num_layers")?,
            separate_layers: number("mm_layers")?,
            heads: number("heads")?,
            head_dim: number("head_dim")?,
            visual_in: number("vid_in_channels")?,
            visual_out: number("vid_out_channels")?,
            patch: patch_height as usize,
            text_in,
            text_projection: match text("txt_proj_type") {
                Some("mlp") => TextProjection::Mlp,
                _ if text_in == dim => TextProjection::Identity,
                _ => TextProjection::Linear,
            },
            rotary_dim: number("rope_dim")?,
            visual_offset: match text("rope_type") {
                Some("mmrope3d") => VisualOffset::TextLength,
                Some("mmrope3d_v3") => VisualOffset::Zero,
                other => {
                    return Err(Error::invalid(format!(
                        "model config: rope_type {other:?}; expected mmrope3d or mmrope3d_v3"
                    )));
                }
            },
            feed_forward: match text("mlp_type") {
                Some("swiglu") | None => FeedForward::Swiglu,
                Some("normal") => FeedForward::Gelu,
                Some(other) => {
                    return Err(Error::invalid(format!(
                        "model config: mlp_type '{other}'; expected swiglu or normal"
                    )));
                }
            },
            expand: number("expand_ratio")?,
            qkv_bias: value.get("qk_bias").and_then(Value::as_bool).unwrap_or(false),
            output_norm: text("vid_out_norm").is_some(),
            turn_rows: value.get("prompt_ids").and_then(Value::as_u64).unwrap_or(0) as usize,
            image_projection_names: text("patch_type") == Some("v2"),
        };
        config.validate()?;
        Ok(config)
    }

    /// Reads the configuration off a checkpoint's tensor names and shapes. Two things are not in
    /// them: the rotary width, where the buffers are absent, is taken from the known models, and the
    /// position rule from the names of the patch layers.
    pub fn infer(shape_of: impl Fn(&str) -> Option<Shape>) -> Result<Self> {
        let need = |name: &str| {
            shape_of(name).ok_or_else(|| {
                Error::invalid(format!(
                    "checkpoint: {name} is missing, so the model's sizes are not known"
                ))
            })
        };
        let image_projection_names = shape_of("vid_in.img_proj.weight").is_some();
        let patch_layer = if image_projection_names { "img_proj" } else { "proj" };
        let visual_in = need(&format!("vid_in.{patch_layer}.weight"))?;
        let visual_out = need(&format!("vid_out.{patch_layer}.weight"))?;
        let has = |block: usize, name: &str| shape_of(&format!("blocks.{block}.{name}")).is_some();
        let layers = (0..)
            .take_while(|&i| {
                has(i, "attn.proj_qkv.vid.weight") || has(i, "attn.proj_qkv.all.weight")
            })
            .count();
        let separate_layers =
            (0..layers).take_while(|&i| has(i, "attn.proj_qkv.vid.weight")).count();
        let branch = if separate_layers > 0 { "vid" } else { "all" };
        let qkv = need(&format!("blocks.0.attn.proj_qkv.{branch}.weight"))?;
        let head_dim = need(&format!("blocks.0.attn.norm_q.{branch}.weight"))?.count().max(1);
        let dim = visual_in.first().copied().unwrap_or(0);
        let feed_forward = if has(0, &format!("mlp.{branch}.proj_in_gate.weight")) {
            FeedForward::Swiglu
        } else {
            FeedForward::Gelu
        };
        let (text_projection, text_in) = if let Some(first) = shape_of("txt_in.0.0.0.weight") {
            (TextProjection::Mlp, first.last_dim())
        } else if let Some(only) = shape_of("txt_in.weight") {
            (TextProjection::Linear, only.last_dim())
        } else {
            (TextProjection::Identity, dim)
        };
        // The patch area divides the input width; the channels are 2 c + 1 in and c out.
        let (wide, narrow) = (visual_in.last_dim(), visual_out.first().copied().unwrap_or(0));
        let area = wide.saturating_sub(2 * narrow).max(1);
        let patch = area.isqrt();
        if patch * patch != area || wide % area != 0 {
            return Err(Error::invalid(format!(
                "checkpoint: vid_in is {visual_in} and vid_out {visual_out}; expected p² (2c + 1) in and p² c out"
            )));
        }
        let rotary_dim = match shape_of("blocks.0.attn.rope.rope.freqs") {
            Some(freqs) if image_projection_names => 6 * freqs.count(),
            _ if image_projection_names => 120.min(head_dim),
            _ => head_dim,
        };
        let config = Self {
            dim,
            layers,
            separate_layers,
            heads: qkv.first().copied().unwrap_or(0) / 3 / head_dim,
            head_dim,
            visual_in: wide / area,
            visual_out: narrow / area,
            patch,
            text_in,
            text_projection,
            rotary_dim,
            visual_offset: if image_projection_names {
                VisualOffset::Zero
            } else {
                VisualOffset::TextLength
            },
            feed_forward,
            expand: 4,
            qkv_bias: has(0, &format!("attn.proj_qkv.{branch}.bias")),
            output_norm: shape_of("vid_out_norm.weight").is_some(),
            turn_rows: shape_of("prompt_id_embedding.embedding.weight").map_or(0, |table| table[0]),
            image_projection_names,
        };
        config.validate()?;
        Ok(config)
    }

    /// `Err` with one line on the first size that cannot work.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("dim", self.dim),
            ("layers", self.layers),
            ("heads", self.heads),
            ("head_dim", self.head_dim),
            ("visual_in", self.visual_in),
            ("visual_out", self.visual_out),
            ("patch", self.patch),
            ("text_in", self.text_in),
            ("expand", self.expand),
        ];
        for (name, value) in positive {
            if !(1..=1 << 20).contains(&value) {
                return Err(Error::invalid(format!(
                    "model config: {name} is {value}; expected 1 to {}",
                    1 << 20
                )));
            }
        }
        if self.separate_layers > self.layers {
            return Err(Error::invalid(format!(
                "model config: separate_layers is {}, more than layers ({})",
                self.separate_layers, self.layers
            )));
        }
        if self.rotary_dim > self.head_dim {
            return Err(Error::invalid(format!(
                "model config: rotary_dim is {}, more than head_dim ({})",
                self.rotary_dim, self.head_dim
            )));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(Error::invalid(format!(
                "model config: head_dim is {}; expected an even number",
                self.head_dim
            )));
        }
        if self.text_projection == TextProjection::Identity && self.text_in != self.dim {
            return Err(Error::invalid(format!(
                "model config: text_in is {} and dim {}; without a text projection they must agree",
                self.text_in, self.dim
            )));
        }
        Ok(())
    }

    /// Width of the attention: `heads * head_dim`.
    pub fn attention_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of the feed-forward layer.
    pub fn hidden_dim(&self) -> usize {
        match self.feed_forward {
            FeedForward::Swiglu => (2 * self.dim * self.expand / 3).next_multiple_of(256),
            FeedForward::Gelu => self.dim * self.expand,
        }
    }

    /// Rotated features of a head: pairs on three axes.
    pub fn rotated(&self) -> usize {
        6 * (self.rotary_dim / 3 / 2)
    }

    /// Features of a patch going in.
    pub fn patch_in(&self) -> usize {
        self.patch * self.patch * self.visual_in
    }

    /// Features of a patch coming out.
    pub fn patch_out(&self) -> usize {
        self.patch * self.patch * self.visual_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_have_the_official_sizes() {
        let three = ModelConfig::preset("3b").unwrap();
        assert_eq!(
            (three.hidden_dim(), three.rotated(), three.patch_in(), three.patch_out()),
            (6912, 126, 132, 64)
        );
        let seven = ModelConfig::preset("7b").unwrap();
        assert_eq!(
            (seven.hidden_dim(), seven.rotated(), seven.attention_dim(), seven.patch_in()),
            (9728, 120, 4096, 97)
        );
        assert!(ModelConfig::preset("4b").unwrap_err().to_string().contains("nano, small"));
    }
}
