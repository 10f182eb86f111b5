//! Tensors joined along an axis.

mod gpu;

use super::{Operation, Spec, dense, float, result_dtype, slice};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Error, Result, Shape, Tensor};

/// Parameters of the op: any number of inputs whose shapes agree but along `axis`.
#[derive(Clone, Copy, Debug)]
pub struct Concat {
    /// The axis that grows.
    pub axis: usize,
}

impl Concat {
    fn result_shape(&self, shapes: impl Iterator<Item = Shape> + Clone) -> Result<Shape> {
        let Some(first) = shapes.clone().next() else {
            return Err(Error::shape(Self::NAME, "no inputs; expected at least one"));
        };
        if self.axis >= first.rank() {
            return Err(Error::shape(Self::NAME, format!("axis {} of {first}", self.axis)));
        }
        let mut size = 0;
        for shape in shapes {
            if shape.rank() != first.rank() || shape.with_dim(self.axis, first[self.axis]) != first
            {
                let what =
                    format!("{first} and {shape} differ along another axis than {}", self.axis);
                return Err(Error::shape(Self::NAME, what));
            }
            size += shape[self.axis];
        }
        Ok(first.with_dim(self.axis, size))
    }

    /// Gradients of all inputs, whose sizes along the axis are `sizes`: views of `grad`.
    pub fn backward(&self, sizes: &[usize], grad: &Tensor) -> Result<Vec<Tensor>> {
        let mut start = 0;
        sizes
            .iter()
            .map(|&size| {
                start += size;
                grad.narrow(self.axis, start - size, size)
            })
            .collect()
    }
}

impl Operation for Concat {
    const NAME: &'static str = "concat";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        for input in inputs {
            float(Self::NAME, "input", input)?;
        }
        let shape = self.result_shape(inputs.iter().map(|input| input.shape()))?;
        Ok(vec![(shape, result_dtype(inputs))])
    }

    fn flops(&self, _: &[&Tensor]) -> u64 {
        0
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let shape = self.result_shape(inputs.iter().map(|input| input.shape()))?;
        let outer: usize = shape[..self.axis].iter().product();
        let row = shape[self.axis..].iter().product::<usize>();
        let parts = inputs.iter().map(|input| dense(input)).collect::<Result<Vec<_>>>()?;
        let result = Tensor::build(shape, |all: &mut [f32]| {
            let mut start = 0;
            for part in &parts {
                let width: usize = part.shape()[self.axis..].iter().product();
                for o in 0..outer {
                    all[o * row + start..][..width]
                        .copy_from_slice(&slice(part)[o * width..][..width]);
                }
                start += width;
            }
        })?;
        Ok(vec![result.into_dtype(result_dtype(inputs))?])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let shape =
            self.result_shape(inputs.iter().map(|input| input.shape)).expect("checked shapes");
        let mut data = Vec::with_capacity(shape.count());
        for o in 0..shape[..self.axis].iter().product() {
            for input in inputs {
                let width: usize = input.shape[self.axis..].iter().product();
                data.extend_from_slice(&input.data[o * width..(o + 1) * width]);
            }
        }
        vec![Array::new(shape, data)]
    }
}
