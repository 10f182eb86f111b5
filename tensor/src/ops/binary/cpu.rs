//! Kernels: one pass for equal shapes and for a row that repeats over rows; views of repeated
//! elements for everything else.

use super::Binary;
use crate::kernels::{Simd, elementwise};
use crate::ops::{dense, slice};
use crate::{Result, Shape, Tensor};

pub(super) fn forward(op: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.shape() == b.shape() {
        return run(op, a.shape(), &*dense(a)?, &*dense(b)?);
    }
    let shape = a.shape().broadcast(&b.shape()).expect("checked shapes");
    // Whole rows of an operand that repeats over all rows are read again and again from cache.
    let repeats =
        |t: &Tensor| t.count() == shape.last_dim() && t.shape().last_dim() == shape.last_dim();
    let whole = |t: &Tensor| -> Result<Tensor> {
        Ok(if repeats(t) { dense(t)?.into_owned() } else { dense(&t.expand(shape)?)?.into_owned() })
    };
    run(op, shape, &whole(a)?, &whole(b)?)
}

fn run(op: Binary, shape: Shape, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Tensor::build(shape, |to: &mut [f32]| {
        elementwise::binary(Simd::detect(), op, slice(a), slice(b), to)
    })
}

pub(super) fn unbroadcast(grad: &Tensor, shape: Shape) -> Result<Tensor> {
    if grad.shape() == shape {
        return Ok(grad.clone());
    }
    let from = grad.shape();
    let missing = from.rank() - shape.rank();
    let dense_grad = dense(grad)?;
    let data = slice(&dense_grad);
    // Split at the last repeated axis: everything inside it is added as a row.
    let repeated =
        (0..from.rank()).rev().find(|&axis| axis < missing || shape[axis - missing] != from[axis]);
    let inner: usize = repeated.map_or(from.count(), |axis| from[axis + 1..].iter().product());
    Tensor::build(shape, |to: &mut [f32]| {
        to.fill(0.0);
        if inner == 0 {
            return;
        }
        let outer = &from[..repeated.map_or(0, |axis| axis + 1)];
        let steps = shape.row_major_strides();
        for (position, row) in data.chunks_exact(inner).enumerate() {
            let mut rest = position;
            let mut start = 0;
            for axis in (0..outer.len()).rev() {
                let at = rest % outer[axis];
                rest /= outer[axis];
                if axis >= missing && shape[axis - missing] != 1 {
                    start += at * steps[axis - missing];
                }
            }
            for (to, &value) in to[start..start + inner].iter_mut().zip(row) {
                *to += value;
            }
        }
    })
}
