//! Elementwise arithmetic of two tensors. Shapes broadcast: aligned at the innermost axis, size 1
//! repeats.

mod cpu;
mod gpu;

use super::{Operation, Spec, arity, float, result_dtype};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Error, Result, Shape, Tensor};

pub use crate::kernels::elementwise::Binary;

impl Binary {
    /// Sums `grad` over the axes along which an operand of shape `shape` was repeated.
    pub fn unbroadcast(grad: &Tensor, shape: Shape) -> Result<Tensor> {
        match grad.accelerator() {
            Some(place) if grad.shape() != shape => gpu::unbroadcast(place, grad, shape),
            Some(_) => Ok(grad.clone()),
            None => cpu::unbroadcast(grad, shape),
        }
    }

    fn value(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
        }
    }
}

impl Operation for Binary {
    const NAME: &'static str = "binary";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 2)?;
        let (a, b) = (inputs[0], inputs[1]);
        float(Self::NAME, "a", a)?;
        float(Self::NAME, "b", b)?;
        match a.shape().broadcast(&b.shape()) {
            Some(shape) => Ok(vec![(shape, result_dtype(inputs))]),
            None => {
                let what = format!("a is {}, b is {}; they do not broadcast", a.shape(), b.shape());
                Err(Error::shape(Self::NAME, what))
            }
        }
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        inputs[0].shape().broadcast(&inputs[1].shape()).map_or(0, |shape| shape.count() as u64)
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let result = cpu::forward(*self, inputs[0], inputs[1])?;
        Ok(vec![result.into_dtype(result_dtype(inputs))?])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let (a, b) = (&inputs[0], &inputs[1]);
        let shape = a.shape.broadcast(&b.shape).expect("checked shapes");
        let value = |i| {
            let at = shape.unravel(i);
            self.value(a.broadcast_at(&at), b.broadcast_at(&at))
        };
        vec![Array::new(shape, (0..shape.count()).map(value).collect())]
    }
}
