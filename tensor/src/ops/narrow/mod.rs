//! A view of a range of entries of one axis.

use super::{Operation, Spec, arity};
use crate::accelerator::{self, Accelerator};
use crate::reference::Array;
use crate::{Result, Tensor};

/// Parameters of the op.
#[derive(Clone, Copy, Debug)]
pub struct Narrow {
    /// The axis that is cut.
    pub axis: usize,
    /// First entry kept.
    pub start: usize,
    /// Number of entries kept.
    pub length: usize,
}

impl Operation for Narrow {
    const NAME: &'static str = "narrow";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 1)?;
        let view = inputs[0].narrow(self.axis, self.start, self.length)?;
        Ok(vec![(view.shape(), view.dtype())])
    }

    fn flops(&self, _: &[&Tensor]) -> u64 {
        0
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].narrow(self.axis, self.start, self.length)?])
    }

    fn forward_on(&self, _: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        // Views are made without a look at the elements, and copies where the tensor lies.
        self.forward(inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let input = &inputs[0];
        let mut result = Array::zeros(input.shape.with_dim(self.axis, self.length));
        for position in 0..result.data.len() {
            let mut at = result.shape.unravel(position);
            at[self.axis] += self.start;
            result.data[position] = input.broadcast_at(&at);
        }
        vec![result]
    }
}

impl Narrow {
    /// Gradient: zeros of the input's shape with `grad` in the range that was kept.
    pub fn backward(&self, input: crate::Shape, grad: &Tensor) -> Result<Tensor> {
        if let Some(place) = grad.accelerator() {
            let whole = place.zeros(input, grad.dtype())?;
            accelerator::copy(place, &whole.narrow(self.axis, self.start, self.length)?, grad)?;
            return Ok(whole);
        }
        let outer: usize = input[..self.axis].iter().product();
        let inner: usize = input[self.axis + 1..].iter().product();
        let grad = super::dense(grad)?;
        Tensor::build(input, |all: &mut [f32]| {
            let (step, kept) = (input[self.axis] * inner, self.length * inner);
            for o in 0..outer {
                let block = &mut all[o * step..(o + 1) * step];
                block.fill(0.0);
                block[self.start * inner..][..kept]
                    .copy_from_slice(&super::slice(&grad)[o * kept..(o + 1) * kept]);
            }
        })
    }
}
