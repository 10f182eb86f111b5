//! From projected features to attention's inputs in one pass: split into q, k, v, RMS norm of q and
//! k per head, rotary embedding, and joining of the text and video streams in the attention's order
//! (VINCIE 3B specification, sections 1.6 and 1.8).

mod cpu;
mod gpu;

use super::{Operation, Spec, float, indices, place_of, result_dtype, shaped};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Error, Result, Shape, Tensor};

/// Parameters of the op.
///
/// Inputs are, for each of `streams` streams with `n` tokens: `qkv` `[n, 3 heads head_dim]` (q, k, v,
/// each head after head), `weight_q` `[head_dim]`, `weight_k` `[head_dim]` and `rows` i32 `[n]`, the
/// place of each token in the joint sequence of length `L`, the sum of all `n`. Then `cos` and `sin`
/// `[L, rotated / 2]` follow. All `rows` together are a permutation of `0..L`.
///
/// Results are q, k and v `[L, heads head_dim]` and `1 / rms` of q and k f32 `[L, 2 heads]`, which the
/// gradient uses and which carries none itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QkNormRotary {
    /// Attention heads.
    pub heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Features rotated, in pairs `(2i, 2i + 1)` from the first; the rest pass through.
    pub rotated: usize,
    /// Added to the mean square before the root.
    pub epsilon: f32,
    /// Token streams with weights of their own that are joined.
    pub streams: usize,
}

/// The inputs by name.
pub(crate) struct Inputs<'a, T> {
    pub(crate) streams: Vec<Stream<'a, T>>,
    pub(crate) cos: &'a T,
    pub(crate) sin: &'a T,
}

/// One stream's inputs by name.
pub(crate) struct Stream<'a, T> {
    pub(crate) qkv: &'a T,
    pub(crate) weight_q: &'a T,
    pub(crate) weight_k: &'a T,
    pub(crate) rows: &'a T,
}

/// Gradients of one stream's float inputs.
pub struct StreamGradients {
    /// `[n, 3 heads head_dim]`.
    pub qkv: Tensor,
    /// `[head_dim]`.
    pub weight_q: Tensor,
    /// `[head_dim]`.
    pub weight_k: Tensor,
}

impl QkNormRotary {
    fn named<'a, T>(&self, inputs: &[&'a T]) -> Inputs<'a, T> {
        let stream = |s: &[&'a T]| Stream { qkv: s[0], weight_q: s[1], weight_k: s[2], rows: s[3] };
        let streams = inputs[..4 * self.streams].chunks_exact(4).map(stream).collect();
        Inputs { streams, cos: inputs[4 * self.streams], sin: inputs[4 * self.streams + 1] }
    }

    /// Gradients per stream from the inputs, the saved `1 / rms` and the gradients of q, k and v.
    pub fn backward(
        &self,
        inputs: &[&Tensor],
        inverse_rms: &Tensor,
        grads: [&Tensor; 3],
    ) -> Result<Vec<StreamGradients>> {
        match place_of(&[inverse_rms, grads[0], grads[1], grads[2]])? {
            Some(place) => gpu::backward(self, place, &self.named(inputs), inverse_rms, grads),
            None => cpu::backward(self, &self.named(inputs), inverse_rms, grads),
        }
    }
}

impl Operation for QkNormRotary {
    const NAME: &'static str = "qk_norm_rotary";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        super::arity(Self::NAME, inputs, 4 * self.streams + 2)?;
        let named = self.named(inputs);
        let width = self.heads * self.head_dim;
        let fail = |what: String| Err(Error::shape(Self::NAME, what));
        if !self.rotated.is_multiple_of(2) || self.rotated > self.head_dim {
            return fail(format!(
                "{} rotated features of {}; expected an even number within",
                self.rotated, self.head_dim
            ));
        }
        for s in &named.streams {
            let shape = s.qkv.shape();
            if shape.rank() != 2 || shape[1] != 3 * width {
                return fail(format!("qkv is {shape}; expected [n, {}]", 3 * width));
            }
            float(Self::NAME, "qkv", s.qkv)?;
            shaped(Self::NAME, "weight_q", s.weight_q, [self.head_dim])?;
            shaped(Self::NAME, "weight_k", s.weight_k, [self.head_dim])?;
        }
        let tokens: usize = named.streams.iter().map(|s| s.qkv.shape()[0]).sum();
        let mut seen = vec![false; tokens];
        for s in &named.streams {
            indices(Self::NAME, "rows", s.rows, s.qkv.shape()[0], tokens)?;
            // What went to an accelerator was checked as indices, and was made as a permutation.
            if s.rows.accelerator().is_some() {
                continue;
            }
            for &row in s.rows.to_slice::<i32>()?.iter() {
                if std::mem::replace(&mut seen[row as usize], true) {
                    return fail(format!(
                        "rows hold {row} twice; expected each of 0..{tokens} once"
                    ));
                }
            }
        }
        shaped(Self::NAME, "cos", named.cos, [tokens, self.rotated / 2])?;
        shaped(Self::NAME, "sin", named.sin, [tokens, self.rotated / 2])?;
        let qkv: Vec<&Tensor> = named.streams.iter().map(|s| s.qkv).collect();
        let (shape, dtype) = (Shape::from([tokens, width]), result_dtype(&qkv));
        let saved = (Shape::from([tokens, 2 * self.heads]), DType::F32);
        Ok(vec![(shape, dtype), (shape, dtype), (shape, dtype), saved])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        let tokens: usize =
            inputs[..4 * self.streams].iter().step_by(4).map(|qkv| qkv.shape()[0]).sum();
        (tokens * self.heads * 2 * (4 * self.head_dim + 3 * self.rotated)) as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let qkv: Vec<&Tensor> = inputs[..4 * self.streams].iter().step_by(4).copied().collect();
        let dtype = result_dtype(&qkv);
        let [q, k, v, inverse_rms] = cpu::forward(self, &self.named(inputs))?;
        Ok(vec![q.to_dtype(dtype)?, k.to_dtype(dtype)?, v.to_dtype(dtype)?, inverse_rms])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let named = self.named(&inputs.iter().collect::<Vec<_>>());
        let (heads, dim) = (self.heads, self.head_dim);
        let tokens = named.streams.iter().map(|s| s.rows.data.len()).sum();
        let mut results = [(); 3].map(|()| Array::zeros([tokens, heads * dim]));
        let mut inverse = Array::zeros([tokens, 2 * heads]);
        for s in &named.streams {
            for (n, to) in s.rows.indices().enumerate() {
                for (part, result) in results.iter_mut().enumerate() {
                    for h in 0..heads {
                        let start = (part * heads + h) * dim;
                        let mut x = s.qkv.row(n)[start..start + dim].to_vec();
                        if part < 2 {
                            let mean = x.iter().map(|v| v * v).sum::<f64>() / dim as f64;
                            let scale = 1.0 / (mean + f64::from(self.epsilon)).sqrt();
                            inverse.row_mut(to)[part * heads + h] = scale;
                            let weight = if part == 0 { s.weight_q } else { s.weight_k };
                            x.iter_mut().zip(&weight.data).for_each(|(x, w)| *x *= scale * w);
                            for i in 0..self.rotated / 2 {
                                let (cos, sin) = (named.cos.row(to)[i], named.sin.row(to)[i]);
                                let (a, b) = (x[2 * i], x[2 * i + 1]);
                                (x[2 * i], x[2 * i + 1]) = (a * cos - b * sin, b * cos + a * sin);
                            }
                        }
                        result.row_mut(to)[h * dim..(h + 1) * dim].copy_from_slice(&x);
                    }
                }
            }
        }
        let [q, k, v] = results;
        vec![q, k, v, inverse]
    }
}
