//! `silu(gate) * up`, the activation of a SwiGLU feed-forward layer.

mod cpu;
mod gpu;

use super::{Operation, Spec, arity, float, place_of, result_dtype, shaped};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Result, Tensor};

/// Parameters of the op: inputs `gate` and `up` of one shape.
#[derive(Clone, Copy, Debug)]
pub struct Swiglu;

impl Swiglu {
    /// Gradients of `gate` and `up`.
    pub fn backward(&self, gate: &Tensor, up: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
        match place_of(&[gate, up, grad])? {
            Some(place) => gpu::backward(place, gate, up, grad),
            None => cpu::backward(gate, up, grad),
        }
    }
}

impl Operation for Swiglu {
    const NAME: &'static str = "swiglu";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 2)?;
        float(Self::NAME, "gate", inputs[0])?;
        float(Self::NAME, "up", inputs[1])?;
        shaped(Self::NAME, "up", inputs[1], inputs[0].shape())?;
        Ok(vec![(inputs[0].shape(), result_dtype(inputs))])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        5 * inputs[0].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::forward(inputs[0], inputs[1])?.into_dtype(result_dtype(inputs))?])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let pairs = inputs[0].data.iter().zip(&inputs[1].data);
        let data = pairs.map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
        vec![Array::new(inputs[0].shape, data)]
    }
}
