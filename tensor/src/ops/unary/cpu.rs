//! Vector kernels, one pass.

use super::Unary;
use crate::kernels::{Simd, elementwise};
use crate::ops::{dense, slice};
use crate::{Result, Tensor};

pub(super) fn forward(op: Unary, x: &Tensor) -> Result<Tensor> {
    let x = dense(x)?;
    Tensor::build(x.shape(), |y: &mut [f32]| elementwise::unary(Simd::detect(), op, slice(&x), y))
}

pub(super) fn backward(op: Unary, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (x, grad) = (dense(x)?, dense(grad)?);
    Tensor::build(x.shape(), |dx: &mut [f32]| {
        elementwise::unary_backward(Simd::detect(), op, slice(&x), slice(&grad), dx);
    })
}
