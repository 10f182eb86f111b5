//! Layer norm with optional weight and bias: `(x - mean) / sqrt(variance + epsilon) * weight + bias`
//! (Ba et al., "Layer normalization").

mod cpu;
mod gpu;

use super::{Operation, Spec, arity, float, place_of, result_dtype, shaped};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Error, Result, Shape, Tensor};

/// Parameters of the op. Inputs are `x` `[.., C]` and, where `is_affine`, `weight` `[C]` and `bias`
/// `[C]`. Results are `y` like `x`, and mean and 1 / deviation f32 `[rows]`, which the gradient uses and
/// which carry none themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance before the root.
    pub epsilon: f32,
    /// Weight and bias per channel follow `x`.
    pub is_affine: bool,
}

/// Gradients of the inputs, where the op has them.
pub struct LayerNormGradients {
    /// Like `x`.
    pub x: Tensor,
    /// Of weight and bias, f32 `[C]`.
    pub affine: Option<[Tensor; 2]>,
}

impl LayerNorm {
    /// Gradients from the inputs, the saved mean and 1 / deviation and the gradient of `y`.
    pub fn backward(
        &self,
        inputs: &[&Tensor],
        moments: [&Tensor; 2],
        grad: &Tensor,
    ) -> Result<LayerNormGradients> {
        match place_of(&[inputs[0], grad])? {
            Some(place) => gpu::backward(self, place, inputs, moments, grad),
            None => cpu::backward(self, inputs, moments, grad),
        }
    }
}

impl Operation for LayerNorm {
    const NAME: &'static str = "layer_norm";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, if self.is_affine { 3 } else { 1 })?;
        for (argument, input) in ["x", "weight", "bias"].iter().zip(inputs) {
            float(Self::NAME, argument, input)?;
        }
        let shape = inputs[0].shape();
        if shape.rank() == 0 {
            return Err(Error::shape(Self::NAME, "x is a scalar; expected [.., C]"));
        }
        for (argument, input) in ["weight", "bias"].iter().zip(&inputs[1..]) {
            shaped(Self::NAME, argument, input, [shape.last_dim()])?;
        }
        let moment = (Shape::from([shape.rows()]), DType::F32);
        Ok(vec![(shape, result_dtype(inputs)), moment, moment])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        (if self.is_affine { 7 } else { 5 }) * inputs[0].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let [y, mean, inverse] = cpu::forward(self, inputs)?;
        Ok(vec![y.into_dtype(result_dtype(inputs))?, mean, inverse])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let mut y = inputs[0].clone();
        let (rows, cols) = (y.shape.rows(), y.shape.last_dim());
        let (mut means, mut inverses) = (Array::zeros([rows]), Array::zeros([rows]));
        if cols == 0 {
            return vec![y, means, inverses];
        }
        for (r, (mean, inverse)) in means.data.iter_mut().zip(&mut inverses.data).enumerate() {
            let row = y.row_mut(r);
            *mean = row.iter().sum::<f64>() / cols as f64;
            let variance = row.iter().map(|x| (x - *mean) * (x - *mean)).sum::<f64>() / cols as f64;
            *inverse = 1.0 / (variance + f64::from(self.epsilon)).sqrt();
            for (c, value) in row.iter_mut().enumerate() {
                *value = (*value - *mean) * *inverse;
                if self.is_affine {
                    *value = *value * inputs[1].data[c] + inputs[2].data[c];
                }
            }
        }
        vec![y, means, inverses]
    }
}
