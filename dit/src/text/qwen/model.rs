//! The layers of a first-generation Qwen.

use super::Config;
use crate::text::stream::{Computation, Weights};
use crate::weights::Checkpoint;
use crate::{Error, Result};
use std::sync::Arc;
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::ops::{AttentionMask, QueryBlock, RmsNorm};
use vincie_tensor::{DType, Tensor};

/// The network, whose weights stay in their files and pass by layer by layer.
#[derive(Debug)]
pub struct Model {
    config: Config,
    weights: Weights,
}

/// What all layers share.
struct Pass {
    mask: Arc<AttentionMask>,
    /// Cosine and sine of every token's angles, `[N, 1, 1, head_dim / 2]`.
    cos: Var,
    sin: Var,
}

impl Model {
    /// Checks that the weights are all there. None is read yet.
    pub fn new(config: Config, checkpoint: Checkpoint, computation: Computation) -> Result<Self> {
        let weights = Weights::new(checkpoint, computation, "transformer.wte.weight");
        weights.check(&config.parameters())?;
        Ok(Self { config, weights })
    }

    /// Sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The open weights.
    pub fn checkpoint(&self) -> &Checkpoint {
        self.weights.checkpoint()
    }

    /// Type of activations.
    pub fn dtype(&self) -> DType {
        self.weights.dtype()
    }

    /// Last hidden states `[N, dim]` of all tokens of all prompts, one prompt after another, each seeing
    /// itself and what stands before it in its prompt. `seen` gets the residual stream behind every
    /// layer.
    pub fn forward(
        &self,
        prompts: &[Vec<u32>],
        mut seen: impl FnMut(usize, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let tokens = prompts.concat();
        let pass = self.pass(prompts)?;
        let parameters = Parameters::new();
        let g = Graph::inference(&parameters);
        let mut x = self.weights.rows("transformer.wte.weight", &tokens)?;
        self.weights.release();
        for layer in 0..self.config.layers {
            self.weights.prefetch(&format!("transformer.h.{}.", layer + 1));
            x = self.layer(&g, &pass, &format!("transformer.h.{layer}"), x)?;
            seen(layer, x.value())?;
            self.weights.release();
        }
        Ok(self.norm(&g, &x, "transformer.ln_f.weight")?.value().clone())
    }

    fn pass(&self, prompts: &[Vec<u32>]) -> Result<Pass> {
        let half = self.config.head_dim / 2;
        let mut blocks = Vec::new();
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        let mut start = 0;
        for prompt in prompts {
            let end = u32::try_from(prompt.len()).ok().and_then(|n| n.checked_add(start));
            let end = end.ok_or_else(|| Error::invalid("prompts: too many tokens"))?;
            for token in start..end {
                let queries = token..token + 1;
                blocks.push(QueryBlock { queries, prefix: start..token + 1, own: 0..0 });
                for pair in 0..half {
                    let exponent = 2.0 * pair as f64 / self.config.head_dim as f64;
                    let frequency = self.config.rotary_base.powf(-exponent);
                    let angle = f64::from(token - start) * frequency;
                    cos.push(angle.cos() as f32);
                    sin.push(angle.sin() as f32);
                }
            }
            start = end;
        }
        let table = |values: &[f32]| -> Result<Var> {
            let table = Tensor::from_slice(values, [start as usize, 1, 1, half])?;
            Ok(table.to_place(self.weights.place())?.into())
        };
        let (cos, sin) = (table(&cos)?, table(&sin)?);
        Ok(Pass { mask: Arc::new(AttentionMask::new(blocks)?), cos, sin })
    }

    fn layer(&self, g: &Graph<'_>, pass: &Pass, name: &str, x: Var) -> Result<Var> {
        let weight = |part: &str| self.weights.matrix(&format!("{name}.{part}.weight"));
        let Config { heads, head_dim, .. } = self.config;
        let width = heads * head_dim;
        let h = self.norm(g, &x, &format!("{name}.ln_1.weight"))?;
        let bias = self.weights.vector(&format!("{name}.attn.c_attn.bias"))?;
        let qkv = g.linear(&h, &weight("attn.c_attn")?, Some(&bias))?;
        let third = |i: usize| g.narrow(&qkv, 1, i * width, width);
        let (q, k) = (self.rotate(g, pass, &third(0)?)?, self.rotate(g, pass, &third(1)?)?);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let h = g.attention(&q, &k, &third(2)?, heads, scale, &pass.mask)?;
        let x = g.add(&x, &g.linear(&h, &weight("attn.c_proj")?, None)?)?;
        let h = self.norm(g, &x, &format!("{name}.ln_2.weight"))?;
        // The second matrix is the gate.
        let gate = g.linear(&h, &weight("mlp.w2")?, None)?;
        let h = g.swiglu(&gate, &g.linear(&h, &weight("mlp.w1")?, None)?)?;
        Ok(g.add(&x, &g.linear(&h, &weight("mlp.c_proj")?, None)?)?)
    }

    fn norm(&self, g: &Graph<'_>, x: &Var, weight: &str) -> Result<Var> {
        let epsilon = self.config.epsilon;
        let op = RmsNorm { epsilon, has_weight: true, is_modulated: false, result: None };
        Ok(g.apply_one(op, &[x, &self.weights.vector(weight)?])?)
    }

    /// Rotates the pairs (i, i + head_dim / 2) of every head, in f32.
    fn rotate(&self, g: &Graph<'_>, pass: &Pass, x: &Var) -> Result<Var> {
        let Config { heads, head_dim, .. } = self.config;
        let (rows, dtype) = (x.value().shape()[0], x.value().dtype());
        let pairs = g.reshape(x, [rows, heads, 2, head_dim / 2])?;
        let (a, b) = (g.narrow(&pairs, 2, 0, 1)?, g.narrow(&pairs, 2, 1, 1)?);
        let first = g.sub(&g.mul(&a, &pass.cos)?, &g.mul(&b, &pass.sin)?)?;
        let second = g.add(&g.mul(&b, &pass.cos)?, &g.mul(&a, &pass.sin)?)?;
        let rotated = g.reshape(&g.concat(&[&first, &second], 2)?, [rows, heads * head_dim])?;
        Ok(g.cast(&rotated, dtype)?)
    }
}
