//! The layers of a T5 encoder.

use super::config::{BIAS, Config, Gate, table};
use crate::text::stream::{Computation, Weights};
use crate::weights::Checkpoint;
use crate::{Error, Result};
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::ops::{Matmul, RmsNorm};
use vincie_tensor::{DType, Tensor};

/// Most tokens of a prompt: scores and biases grow with its square.
const MAX_PROMPT: usize = 1 << 12;

/// The network, whose weights stay in their files and pass by layer by layer.
#[derive(Debug)]
pub struct Model {
    config: Config,
    weights: Weights,
}

impl Model {
    /// Checks that the weights are all there. None is read yet.
    pub fn new(config: Config, checkpoint: Checkpoint, computation: Computation) -> Result<Self> {
        let expected = config.parameters(&checkpoint);
        let weights = Weights::new(checkpoint, computation, BIAS);
        weights.check(&expected)?;
        Ok(Self { config, weights })
    }

    /// Sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Type of activations.
    pub fn dtype(&self) -> DType {
        self.weights.dtype()
    }

    /// Last hidden states `[N, dim]` of all tokens of all prompts, one prompt after another, each seeing
    /// its own prompt. `seen` gets the residual stream before every layer.
    pub fn forward(
        &self,
        prompts: &[Vec<u32>],
        mut seen: impl FnMut(usize, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let parameters = Parameters::new();
        let g = Graph::inference(&parameters);
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let bias = self.bias(&g, longest)?;
        let mut x = self.weights.rows(table(self.weights.checkpoint()), &prompts.concat())?;
        self.weights.release();
        for layer in 0..self.config.layers {
            self.weights.prefetch(&format!("encoder.block.{}.", layer + 1));
            seen(layer, x.value())?;
            x = self.layer(&g, prompts, &bias, &format!("encoder.block.{layer}.layer"), x)?;
            self.weights.release();
        }
        Ok(self.norm(&g, &x, "encoder.final_layer_norm")?.value().clone())
    }

    /// What is added to the scores of a prompt of that length: `[heads, length, length]`, queries first.
    pub fn position_bias(&self, length: usize) -> Result<Tensor> {
        let parameters = Parameters::new();
        Ok(self.bias(&Graph::inference(&parameters), length)?.value().clone())
    }

    fn bias(&self, g: &Graph<'_>, length: usize) -> Result<Var> {
        if length > MAX_PROMPT {
            let what = format!("a prompt of {length} tokens; expected at most {MAX_PROMPT}");
            return Err(Error::invalid(what));
        }
        let class = |(query, key): (usize, usize)| self.config.bucket(key as i64 - query as i64);
        let pairs = (0..length).flat_map(|query| (0..length).map(move |key| (query, key)));
        let classes: Vec<u32> = pairs.map(|pair| class(pair) as u32).collect();
        let rows = self.weights.rows(BIAS, &classes)?;
        let rows = g.reshape(&rows, [length, length, self.config.heads])?;
        Ok(g.permute(&rows, &[2, 0, 1])?)
    }

    fn layer(
        &self,
        g: &Graph<'_>,
        prompts: &[Vec<u32>],
        bias: &Var,
        name: &str,
        x: Var,
    ) -> Result<Var> {
        let weight = |part: &str| self.weights.matrix(&format!("{name}.{part}.weight"));
        let h = self.norm(g, &x, &format!("{name}.0.layer_norm"))?;
        let q = g.linear(&h, &weight("0.SelfAttention.q")?, None)?;
        let k = g.linear(&h, &weight("0.SelfAttention.k")?, None)?;
        let v = g.linear(&h, &weight("0.SelfAttention.v")?, None)?;
        let mut parts = Vec::with_capacity(prompts.len());
        let mut start = 0;
        for prompt in prompts {
            let length = prompt.len();
            let of = |x: &Var| g.narrow(x, 0, start, length);
            parts.push(self.attention(g, &of(&q)?, &of(&k)?, &of(&v)?, bias)?);
            start += length;
        }
        let h = g.concat(&parts.iter().collect::<Vec<_>>(), 0)?;
        let x = g.add(&x, &g.linear(&h, &weight("0.SelfAttention.o")?, None)?)?;
        let h = self.norm(g, &x, &format!("{name}.1.layer_norm"))?;
        let gate = g.linear(&h, &weight("1.DenseReluDense.wi_0")?, None)?;
        let up = g.linear(&h, &weight("1.DenseReluDense.wi_1")?, None)?;
        let h = match self.config.gate {
            Gate::Silu => g.swiglu(&gate, &up)?,
            Gate::GeluTanh => g.mul(&g.gelu_tanh(&gate)?, &up)?,
        };
        Ok(g.add(&x, &g.linear(&h, &weight("1.DenseReluDense.wo")?, None)?)?)
    }

    /// `softmax(q k^T + bias) v` of one prompt, `[n, heads head_dim]`: scores are not scaled.
    fn attention(&self, g: &Graph<'_>, q: &Var, k: &Var, v: &Var, bias: &Var) -> Result<Var> {
        let Config { heads, head_dim, .. } = self.config;
        let length = q.value().shape()[0];
        let split = |x: &Var| -> Result<Var> {
            Ok(g.permute(&g.reshape(x, [length, heads, head_dim])?, &[1, 0, 2])?)
        };
        let scores = Matmul { transpose_b: true, ..Matmul::default() };
        let scores = g.apply_one(scores, &[&split(q)?, &split(k)?])?;
        let bias = g.narrow(&g.narrow(bias, 1, 0, length)?, 2, 0, length)?;
        let weights = g.softmax(&g.add(&scores, &bias)?)?;
        let mixed = g.apply_one(Matmul::default(), &[&weights, &split(v)?])?;
        Ok(g.reshape(&g.permute(&mixed, &[1, 0, 2])?, [length, heads * head_dim])?)
    }

    fn norm(&self, g: &Graph<'_>, x: &Var, name: &str) -> Result<Var> {
        let epsilon = self.config.epsilon;
        let op = RmsNorm { epsilon, has_weight: true, is_modulated: false, result: None };
        Ok(g.apply_one(op, &[x, &self.weights.vector(&format!("{name}.weight"))?])?)
    }
}
