//! Softmax attention in which every query block sees a prefix of the keys and a range of its own.

mod cpu;
mod gpu;
mod mask;
pub(crate) mod tables;
mod wide;

use super::{Operation, Spec, float, place_of, result_dtype};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Error, Result, Shape, Tensor};
use std::sync::Arc;

pub use mask::{AttentionMask, QueryBlock};

/// Parameters of the op. Inputs are q `[Lq, heads D]`, k `[Lk, heads D]` and v `[Lk, heads D]`; results
/// are `softmax(scale q k^T) v` `[Lq, heads D]` and the log-sum-exp of the scores f32 `[heads, Lq]`,
/// which the gradient uses and which carries none itself. A query that sees no key yields zeros and
/// minus infinity.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Attention heads.
    pub heads: usize,
    /// Factor on the scores, `1 / sqrt(D)` in this model.
    pub scale: f32,
    /// Which keys each query sees.
    pub mask: Arc<AttentionMask>,
}

impl Attention {
    /// Gradients of q, k and v from inputs, results and the gradient of the first result.
    pub fn backward(
        &self,
        inputs: [&Tensor; 3],
        output: &Tensor,
        log_sum_exp: &Tensor,
        grad: &Tensor,
    ) -> Result<[Tensor; 3]> {
        match place_of(&[inputs[0], inputs[1], inputs[2], grad])? {
            Some(place) => gpu::backward(self, place, inputs, output, log_sum_exp, grad),
            None => cpu::backward(self, inputs, output, log_sum_exp, grad),
        }
    }
}

impl Operation for Attention {
    const NAME: &'static str = "attention";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        super::arity(Self::NAME, inputs, 3)?;
        for (argument, input) in ["q", "k", "v"].iter().zip(inputs) {
            float(Self::NAME, argument, input)?;
        }
        let (q, k, v) = (inputs[0].shape(), inputs[1].shape(), inputs[2].shape());
        let fits = q.rank() == 2 && k.rank() == 2 && q[1] == k[1] && v == k;
        if !fits || self.heads == 0 || q[1] % self.heads != 0 {
            let what = format!(
                "q is {q}, k is {k}, v is {v}; expected [Lq, H D], [Lk, H D], [Lk, H D] with H = {}",
                self.heads
            );
            return Err(Error::shape(Self::NAME, what));
        }
        self.mask.check(q[0], k[0])?;
        let dtype = result_dtype(inputs);
        Ok(vec![(q, dtype), (Shape::from([self.heads, q[0]]), DType::F32)])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        4 * self.mask.visible_pairs() * inputs[0].shape()[1] as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let (output, log_sum_exp) = cpu::forward(self, [inputs[0], inputs[1], inputs[2]])?;
        Ok(vec![output.into_dtype(result_dtype(inputs))?, log_sum_exp])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let (q, k, v) = (&inputs[0], &inputs[1], &inputs[2]);
        let dim = q.shape[1] / self.heads;
        let mut output = Array::zeros(q.shape);
        let mut log_sum_exp =
            Array::new([self.heads, q.shape[0]], vec![f64::NEG_INFINITY; self.heads * q.shape[0]]);
        for block in self.mask.blocks() {
            let keys: Vec<usize> =
                block.prefix.clone().chain(block.own.clone()).map(|key| key as usize).collect();
            for query in block.queries.clone().map(|query| query as usize) {
                for h in 0..self.heads {
                    let range = h * dim..(h + 1) * dim;
                    let score = |key: &usize| {
                        let pairs =
                            q.row(query)[range.clone()].iter().zip(&k.row(*key)[range.clone()]);
                        f64::from(self.scale) * pairs.map(|(a, b)| a * b).sum::<f64>()
                    };
                    let scores: Vec<f64> = keys.iter().map(score).collect();
                    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
                    if keys.is_empty() {
                        continue;
                    }
                    log_sum_exp.data[h * q.shape[0] + query] = top + sum.ln();
                    for (key, score) in keys.iter().zip(&scores) {
                        let weight = (score - top).exp() / sum;
                        for (to, from) in output.row_mut(query)[range.clone()]
                            .iter_mut()
                            .zip(&v.row(*key)[range.clone()])
                        {
                            *to += weight * from;
                        }
                    }
                }
            }
        }
        vec![output, log_sum_exp]
    }
}
