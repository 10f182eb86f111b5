//! Elementwise functions of one tensor.

mod cpu;
mod gpu;

use super::{Operation, Spec, arity, float, place_of};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Result, Tensor};

pub use crate::kernels::elementwise::Unary;

impl Unary {
    /// Function and derivative in f64, the text that the kernels are checked against.
    fn value(self, x: f64) -> f64 {
        match self {
            Self::Affine { scale, shift } => f64::from(scale) * x + f64::from(shift),
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::Exp => x.exp(),
            Self::Tanh => x.tanh(),
            Self::Square => x * x,
        }
    }

    /// Gradient of the input from the input and the result's gradient.
    pub fn backward(self, input: &Tensor, grad: &Tensor) -> Result<Tensor> {
        match place_of(&[input, grad])? {
            Some(place) => gpu::backward(self, place, input, grad),
            None => cpu::backward(self, input, grad),
        }
    }
}

impl Operation for Unary {
    const NAME: &'static str = "unary";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 1)?;
        float(Self::NAME, "x", inputs[0])?;
        Ok(vec![(inputs[0].shape(), inputs[0].dtype())])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        let per_element = match self {
            Self::Affine { .. } => 2,
            Self::Square => 1,
            Self::Exp => 1,
            Self::Silu | Self::Sigmoid | Self::Tanh => 4,
            Self::GeluTanh => 10,
        };
        per_element * inputs[0].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::forward(*self, inputs[0])?.to_dtype(inputs[0].dtype())?])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let data = inputs[0].data.iter().map(|&x| self.value(x)).collect();
        vec![Array::new(inputs[0].shape, data)]
    }
}
