//! Group norm of each frame with an optional SiLU in the same pass: the norm of both autoencoders
//! (VINCIE 3B specification, section 2.1).

mod cpu;
mod gpu;

use super::{Operation, Spec, arity, float, place_of, result_dtype, shaped};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Error, Result, Shape, Tensor};

/// Parameters of the op. Inputs are `x` `[F, P, C]` (frames, pixels, channels), `weight` `[C]` and
/// `bias` `[C]`. Results are `y` like `x`, and mean and `1 / sqrt(variance + epsilon)` of each frame's
/// groups, f32 `[F, groups, 2]`, which the gradient uses and which carry none themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Groups of neighbouring channels, a divisor of C.
    pub groups: usize,
    /// Added to the variance before the root.
    pub epsilon: f32,
    /// The result is `z sigmoid(z)` of what the norm gives.
    pub silu: bool,
}

/// Gradients of the inputs.
pub struct GroupNormGradients {
    /// Like `x`.
    pub x: Tensor,
    /// `[C]`.
    pub weight: Tensor,
    /// `[C]`.
    pub bias: Tensor,
}

/// Sizes of one call.
struct Sizes {
    frames: usize,
    pixels: usize,
    channels: usize,
}

impl GroupNorm {
    fn sizes(&self, x: Shape) -> Result<Sizes> {
        let is_cut = x.rank() == 3 && self.groups > 0 && x[2].is_multiple_of(self.groups);
        if !is_cut {
            let what = format!(
                "x is {x}, groups {}; expected [F, P, C] with C a multiple of the groups",
                self.groups
            );
            return Err(Error::shape(Self::NAME, what));
        }
        Ok(Sizes { frames: x[0], pixels: x[1], channels: x[2] })
    }

    /// Gradients from the inputs, the saved statistics and the gradient of `y`.
    pub fn backward(
        &self,
        inputs: &[&Tensor],
        statistics: &Tensor,
        grad: &Tensor,
    ) -> Result<GroupNormGradients> {
        let sizes = self.sizes(inputs[0].shape())?;
        match place_of(&[inputs[0], statistics, grad])? {
            Some(place) => gpu::backward(self, place, &sizes, inputs, statistics, grad),
            None => cpu::backward(self, &sizes, inputs, statistics, grad),
        }
    }
}

impl Operation for GroupNorm {
    const NAME: &'static str = "group_norm";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 3)?;
        for (argument, input) in ["x", "weight", "bias"].iter().zip(inputs) {
            float(Self::NAME, argument, input)?;
        }
        let x = inputs[0].shape();
        let Sizes { frames, channels, .. } = self.sizes(x)?;
        shaped(Self::NAME, "weight", inputs[1], [channels])?;
        shaped(Self::NAME, "bias", inputs[2], [channels])?;
        let statistics = Shape::from([frames, self.groups, 2]);
        Ok(vec![(x, result_dtype(inputs)), (statistics, DType::F32)])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        (if self.silu { 9 } else { 5 }) * inputs[0].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let (y, statistics) = cpu::forward(self, &self.sizes(inputs[0].shape())?, inputs)?;
        Ok(vec![y.into_dtype(result_dtype(inputs))?, statistics])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, &self.sizes(inputs[0].shape())?, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let (x, weight, bias) = (&inputs[0], &inputs[1], &inputs[2]);
        let Sizes { frames, pixels, channels } = self.sizes(x.shape).expect("checked shapes");
        let each = channels / self.groups;
        let mut y = x.clone();
        let mut statistics = Array::zeros([frames, self.groups, 2]);
        for f in 0..frames {
            for g in 0..self.groups {
                let rows = f * pixels..(f + 1) * pixels;
                let values = || rows.clone().flat_map(|r| &x.row(r)[g * each..(g + 1) * each]);
                let count = (pixels * each).max(1) as f64;
                let mean = values().sum::<f64>() / count;
                let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
                let inverse = 1.0 / (variance + f64::from(self.epsilon)).sqrt();
                statistics.row_mut(f * self.groups + g).copy_from_slice(&[mean, inverse]);
                for row in rows {
                    for c in g * each..(g + 1) * each {
                        let n = (x.row(row)[c] - mean) * inverse;
                        let z = n * weight.data[c] + bias.data[c];
                        y.row_mut(row)[c] = if self.silu { z / (1.0 + (-z).exp()) } else { z };
                    }
                }
            }
        }
        vec![y, statistics]
    }
}
