//! Elementwise kernels for equal shapes, strided ones where something repeats.

use super::Binary;
use crate::accelerator::{Accelerator, TensorArguments, axes, elementwise, strides};
use crate::ops::reduce::{Reduce, Reduction};
use crate::ops::{Operation, ready, result_dtype};
use crate::{Result, Shape, Tensor};

impl Binary {
    /// What kernels call the operation.
    fn kernel(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
        }
    }
}

pub(super) fn forward(op: &Binary, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let (dtype, [a, b]) = (result_dtype(inputs), [inputs[0], inputs[1]]);
    let shape = a.shape().broadcast(&b.shape()).expect("checked shapes");
    let y = place.uninit(shape, dtype)?;
    if a.shape() == b.shape() && a.is_contiguous() && b.is_contiguous() {
        let (a, b) = (ready(place, a, dtype)?, ready(place, b, dtype)?);
        elementwise(place, &format!("binary_{}", op.kernel()), &[&a, &b, &y], |launch| launch)?;
        return Ok(vec![y]);
    }
    if y.count() == 0 {
        return Ok(vec![y]);
    }
    let (a, b) = (a.to_dtype(dtype)?.expand(shape)?, b.to_dtype(dtype)?.expand(shape)?);
    let axes = axes([&a, &b]);
    let name = format!("binary_strided_{}_{dtype}_r{}", op.kernel(), axes.len());
    let kernel = place.kernel(&name)?;
    let launch = kernel.launch().tensor(&y)?.tensor(&a)?.tensor(&b)?.size(y.count());
    strides(launch, &axes).submit(place.stream())?;
    Ok(vec![y])
}

/// Sums over the axes along which a tensor of `shape` was repeated, neighbouring axes at once.
pub(super) fn unbroadcast(place: &Accelerator, grad: &Tensor, shape: Shape) -> Result<Tensor> {
    let missing = grad.shape().rank() - shape.rank();
    let is_repeated =
        |axis: usize| axis < missing || shape[axis - missing] == 1 && grad.shape()[axis] != 1;
    // Stretches of axes that are all repeated, or all not.
    let mut stretches: Vec<(usize, bool)> = Vec::new();
    for (axis, &size) in grad.shape().iter().enumerate() {
        match stretches.last_mut() {
            Some((all, repeated)) if *repeated == is_repeated(axis) => *all *= size,
            _ => stretches.push((size, is_repeated(axis))),
        }
    }
    let sizes: Vec<usize> = stretches.iter().map(|(size, _)| *size).collect();
    let mut sum = grad.reshape(Shape::new(&sizes))?;
    for axis in (0..stretches.len()).filter(|&axis| stretches[axis].1) {
        let op = Reduce { reduction: Reduction::Sum, axis };
        sum = op.forward_on(place, &[&sum])?.swap_remove(0);
    }
    sum.reshape(shape)
}
