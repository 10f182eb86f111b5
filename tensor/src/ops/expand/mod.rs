//! A view repeated along axes of size 1 and along new outer axes.

use super::{Operation, Spec, arity};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Result, Shape, Tensor};

/// Parameters of the op: one input that broadcasts to `shape`.
#[derive(Clone, Copy, Debug)]
pub struct Expand {
    /// The result's shape.
    pub shape: Shape,
}

impl Operation for Expand {
    const NAME: &'static str = "expand";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 1)?;
        inputs[0].expand(self.shape)?;
        Ok(vec![(self.shape, inputs[0].dtype())])
    }

    fn flops(&self, _: &[&Tensor]) -> u64 {
        0
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].expand(self.shape)?])
    }

    fn forward_on(&self, _: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        // Views are made without a look at the elements, and copies where the tensor lies.
        self.forward(inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let mut result = Array::zeros(self.shape);
        for position in 0..result.data.len() {
            result.data[position] = inputs[0].broadcast_at(&self.shape.unravel(position));
        }
        vec![result]
    }
}
