//! Change of element type: bf16 to f32 is exact, f32 to bf16 rounds to nearest even.

use super::{Operation, Spec, arity};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Result, Tensor};
use half::bf16;

/// Parameters of the op.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// The result's element type.
    pub dtype: DType,
}

impl Operation for Cast {
    const NAME: &'static str = "cast";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 1)?;
        Ok(vec![(inputs[0].shape(), self.dtype)])
    }

    fn flops(&self, _: &[&Tensor]) -> u64 {
        0
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].to_dtype(self.dtype)?])
    }

    fn forward_on(&self, _: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        // Tensors change their type where they lie.
        self.forward(inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let mut result = inputs[0].clone();
        if self.dtype == DType::BF16 {
            for value in &mut result.data {
                *value = bf16::from_f32(*value as f32).to_f64();
            }
        }
        vec![result]
    }
}
