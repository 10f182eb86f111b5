//! The same elements in the same order under another shape.

use super::{Operation, Spec, arity};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Error, Result, Shape, Tensor};

/// Parameters of the op: one input, one result that shares its memory where the layout allows.
#[derive(Clone, Copy, Debug)]
pub struct Reshape {
    /// The result's shape; as many elements as the input.
    pub shape: Shape,
}

impl Operation for Reshape {
    const NAME: &'static str = "reshape";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 1)?;
        let from = inputs[0].shape();
        if from.count() != self.shape.count() {
            let what = format!(
                "{from} has {} elements, {} has {}",
                from.count(),
                self.shape,
                self.shape.count()
            );
            return Err(Error::shape(Self::NAME, what));
        }
        Ok(vec![(self.shape, inputs[0].dtype())])
    }

    fn flops(&self, _: &[&Tensor]) -> u64 {
        0
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].reshape(self.shape)?])
    }

    fn forward_on(&self, _: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        // Views are made without a look at the elements, and copies where the tensor lies.
        self.forward(inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        vec![Array::new(self.shape, inputs[0].data.clone())]
    }
}
