//! Sum or mean over one axis, added in index order.

mod gpu;

pub(crate) use gpu::{sum_columns, write_sum};

use super::{Operation, Spec, arity, dense, float, slice};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Error, Result, Shape, Tensor};

/// What becomes of the entries of the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean; an empty axis gives zeros.
    Mean,
}

/// Parameters of the op: the result keeps the axis with size 1 and is f32.
#[derive(Clone, Copy, Debug)]
pub struct Reduce {
    /// Sum or mean.
    pub reduction: Reduction,
    /// The axis that shrinks to 1.
    pub axis: usize,
}

impl Reduce {
    fn split(&self, shape: Shape) -> (usize, usize, usize, f64) {
        let size = shape[self.axis];
        let factor = match self.reduction {
            Reduction::Sum => 1.0,
            Reduction::Mean => 1.0 / size.max(1) as f64,
        };
        let outer = shape[..self.axis].iter().product();
        (outer, size, shape[self.axis + 1..].iter().product(), factor)
    }

    /// Gradient: `grad` repeated along the axis and scaled.
    pub fn backward(&self, input: Shape, grad: &Tensor) -> Result<Tensor> {
        let (_, _, _, factor) = self.split(input);
        let repeated = grad.expand(input)?;
        let mut out = Vec::with_capacity(1);
        out.extend(
            super::Op::from(super::Unary::Affine { scale: factor as f32, shift: 0.0 })
                .forward(&[&repeated])?,
        );
        Ok(out.swap_remove(0))
    }
}

impl Operation for Reduce {
    const NAME: &'static str = "reduce";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 1)?;
        float(Self::NAME, "x", inputs[0])?;
        let shape = inputs[0].shape();
        if self.axis >= shape.rank() {
            return Err(Error::shape(Self::NAME, format!("axis {} of {shape}", self.axis)));
        }
        Ok(vec![(shape.with_dim(self.axis, 1), DType::F32)])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        inputs[0].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let input = dense(inputs[0])?;
        let (outer, size, inner, factor) = self.split(input.shape());
        let data = slice(&input);
        let result = Tensor::build(input.shape().with_dim(self.axis, 1), |all: &mut [f32]| {
            let mut sums = vec![0f64; inner];
            for o in 0..outer {
                sums.fill(0.0);
                for row in data[o * size * inner..(o + 1) * size * inner].chunks_exact(inner.max(1))
                {
                    for (sum, &value) in sums.iter_mut().zip(row) {
                        *sum += f64::from(value);
                    }
                }
                for (to, sum) in all[o * inner..].iter_mut().zip(&sums) {
                    *to = (sum * factor) as f32;
                }
            }
        })?;
        Ok(vec![result])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let (outer, size, inner, factor) = self.split(inputs[0].shape);
        let mut result = Array::zeros(inputs[0].shape.with_dim(self.axis, 1));
        for o in 0..outer {
            for s in 0..size {
                for i in 0..inner {
                    result.data[o * inner + i] +=
                        factor * inputs[0].data[(o * size + s) * inner + i];
                }
            }
        }
        vec![result]
    }
}
