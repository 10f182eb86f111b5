//! The official parameter names with their shapes: the one list that initialisation, binding and
//! checkpoint checks share (VINCIE 3B specification, section 1.2).

use super::Linear;
use super::embedding::FEATURES;
use crate::config::{FeedForward, ModelConfig, TextProjection};
use crate::{Error, Result};
use vincie_autograd::{ParameterId, Parameters};
use vincie_tensor::Shape;

/// How a checkpoint and the network treat an entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The network computes with it.
    Used,
    /// Official checkpoints hold it, though it never influences the output: the last block's text
    /// branch behind the attention, where the weights are separate.
    Unused,
    /// A rotary frequency buffer: recomputed, checked where present.
    Buffer,
}

/// Branches of block `block`: names of its weight sets.
pub(super) fn branches(config: &ModelConfig, block: usize) -> &'static [&'static str] {
    if block < config.separate_layers { &["txt", "vid"] } else { &["all"] }
}

/// Whether a branch of a block has a feed-forward layer: text of the last block has none.
pub(super) fn has_feed_forward(config: &ModelConfig, block: usize, branch: &str) -> bool {
    !(block + 1 == config.layers && branch == "txt")
}

/// Names of the six modulation vectors, in the order of [`super::Modulation`].
pub(super) const MODULATION: [&str; 6] =
    ["attn_shift", "attn_scale", "attn_gate", "mlp_shift", "mlp_scale", "mlp_gate"];

/// Every tensor of the state dict with its shape, in the official order.
pub fn expected_parameters(config: &ModelConfig) -> Vec<(String, Shape, Need)> {
    let mut all = Vec::new();
    let mut add =
        |name: String, dims: &[usize], need: Need| all.push((name, Shape::new(dims), need));
    let (dim, width, hidden) = (config.dim, config.attention_dim(), config.hidden_dim());
    let patch_layer = if config.image_projection_names { "img_proj" } else { "proj" };
    let used = Need::Used;
    add(format!("vid_in.{patch_layer}.weight"), &[dim, config.patch_in()], used);
    add(format!("vid_in.{patch_layer}.bias"), &[dim], used);
    match config.text_projection {
        TextProjection::Identity => {}
        TextProjection::Linear => {
            add("txt_in.weight".into(), &[dim, config.text_in], used);
            add("txt_in.bias".into(), &[dim], used);
        }
        TextProjection::Mlp => {
            add("txt_in.0.0.0.weight".into(), &[config.text_in, config.text_in], used);
            add("txt_in.0.0.0.bias".into(), &[config.text_in], used);
            add("txt_in.0.0.2.weight".into(), &[dim, config.text_in], used);
            add("txt_in.0.0.2.bias".into(), &[dim], used);
            add("txt_in.0.1.weight".into(), &[dim], used);
        }
    }
    for (layer, rows, cols) in
        [("proj_in", dim, FEATURES), ("proj_hid", dim, dim), ("proj_out", 6 * dim, dim)]
    {
        add(format!("emb_in.{layer}.weight"), &[rows, cols], used);
        add(format!("emb_in.{layer}.bias"), &[rows], used);
    }
    for i in 0..config.layers {
        for b in branches(config, i) {
            let behind = if has_feed_forward(config, i, b) { Need::Used } else { Need::Unused };
            let attention = format!("blocks.{i}.attn");
            add(format!("{attention}.proj_qkv.{b}.weight"), &[3 * width, dim], used);
            if config.qkv_bias {
                add(format!("{attention}.proj_qkv.{b}.bias"), &[3 * width], used);
            }
            add(format!("{attention}.proj_out.{b}.weight"), &[dim, width], behind);
            add(format!("{attention}.proj_out.{b}.bias"), &[dim], behind);
            add(format!("{attention}.norm_q.{b}.weight"), &[config.head_dim], used);
            add(format!("{attention}.norm_k.{b}.weight"), &[config.head_dim], used);
            if has_feed_forward(config, i, b) {
                let mlp = format!("blocks.{i}.mlp.{b}");
                match config.feed_forward {
                    FeedForward::Swiglu => {
                        add(format!("{mlp}.proj_in_gate.weight"), &[hidden, dim], used);
                        add(format!("{mlp}.proj_in.weight"), &[hidden, dim], used);
                        add(format!("{mlp}.proj_out.weight"), &[dim, hidden], used);
                    }
                    FeedForward::Gelu => {
                        add(format!("{mlp}.proj_in.weight"), &[hidden, dim], used);
                        add(format!("{mlp}.proj_in.bias"), &[hidden], used);
                        add(format!("{mlp}.proj_out.weight"), &[dim, hidden], used);
                        add(format!("{mlp}.proj_out.bias"), &[dim], used);
                    }
                }
            }
            for (k, kind) in MODULATION.iter().enumerate() {
                add(
                    format!("blocks.{i}.ada.{b}.{kind}"),
                    &[dim],
                    if k < 2 { used } else { behind },
                );
            }
        }
        add(
            format!("{}.rope.rope.freqs", format_args!("blocks.{i}.attn")),
            &[config.rotated() / 6],
            Need::Buffer,
        );
    }
    if config.output_norm {
        for name in ["vid_out_norm.weight", "vid_out_ada.out_shift", "vid_out_ada.out_scale"] {
            add(name.into(), &[dim], used);
        }
    }
    add(format!("vid_out.{patch_layer}.weight"), &[config.patch_out(), dim], used);
    add(format!("vid_out.{patch_layer}.bias"), &[config.patch_out()], used);
    if config.turn_rows > 0 {
        add(
            "prompt_id_embedding.embedding.weight".into(),
            &[config.turn_rows, config.text_in],
            used,
        );
    }
    all
}

/// Looks parameters up by name and checks their shapes.
pub(crate) struct Names<'a> {
    pub(crate) parameters: &'a Parameters,
}

impl Names<'_> {
    pub(crate) fn get(&self, name: &str, dims: &[usize]) -> Result<ParameterId> {
        let Some(id) = self.parameters.id(name) else {
            return Err(Error::invalid(format!(
                "model: parameter {name} is missing; expected shape {dims:?}"
            )));
        };
        let shape = self.parameters.value(id).shape();
        if *shape != *dims {
            return Err(Error::invalid(format!(
                "model: parameter {name} is {shape}; expected {dims:?}"
            )));
        }
        Ok(id)
    }

    pub(crate) fn vector(&self, name: &str, size: usize) -> Result<ParameterId> {
        self.get(name, &[size])
    }

    pub(crate) fn linear(
        &self,
        name: &str,
        [rows, cols]: [usize; 2],
        has_bias: bool,
    ) -> Result<Linear> {
        let weight = self.get(&format!("{name}.weight"), &[rows, cols])?;
        let bias = if has_bias { Some(self.vector(&format!("{name}.bias"), rows)?) } else { None };
        Ok(Linear { weight, bias })
    }
}
