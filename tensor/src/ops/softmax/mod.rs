//! Softmax along the innermost axis.

mod cpu;
mod gpu;

use super::{Operation, Spec, arity, float, place_of};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Error, Result, Tensor};

/// Parameters of the op: the input is `x` `[.., C]`, the result `e^(scale x)` over its sum along the
/// innermost axis, in the input's type. A row of nothing but minus infinity gives NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax {
    /// Factor on the input, not negative.
    pub scale: f32,
}

impl Softmax {
    /// Gradient of the input from the result and its gradient.
    pub fn backward(&self, output: &Tensor, grad: &Tensor) -> Result<Tensor> {
        match place_of(&[output, grad])? {
            Some(place) => gpu::backward(self, place, output, grad),
            None => cpu::backward(self, output, grad),
        }
    }
}

impl Operation for Softmax {
    const NAME: &'static str = "softmax";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 1)?;
        float(Self::NAME, "x", inputs[0])?;
        let shape = inputs[0].shape();
        if shape.rank() == 0 || !self.scale.is_finite() || self.scale < 0.0 {
            let what = format!(
                "x is {shape}, scale {}; expected at least one axis and a scale of at least 0",
                self.scale
            );
            return Err(Error::shape(Self::NAME, what));
        }
        Ok(vec![(shape, inputs[0].dtype())])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        4 * inputs[0].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::forward(self, inputs[0])?.into_dtype(inputs[0].dtype())?])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let x = &inputs[0];
        let mut result = Array::zeros(x.shape);
        let cols = x.shape.last_dim().max(1);
        for (from, to) in x.data.chunks(cols).zip(result.data.chunks_mut(cols)) {
            let scale = f64::from(self.scale);
            let top = from.iter().fold(f64::NEG_INFINITY, |top, &x| top.max(scale * x));
            for (to, &x) in to.iter_mut().zip(from) {
                *to = (scale * x - top).exp();
            }
            let sum: f64 = to.iter().sum();
            to.iter_mut().for_each(|y| *y /= sum);
        }
        vec![result]
    }
}
