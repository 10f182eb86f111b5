//! Vector kernels over rows.

use super::Softmax;
use crate::kernels::{Simd, softmax};
use crate::ops::{dense, slice};
use crate::{Result, Tensor};

pub(super) fn forward(op: &Softmax, x: &Tensor) -> Result<Tensor> {
    let x = dense(x)?;
    Tensor::build(x.shape(), |y: &mut [f32]| {
        softmax::forward(Simd::detect(), x.shape().last_dim(), op.scale, slice(&x), y);
    })
}

pub(super) fn backward(op: &Softmax, output: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (y, dy) = (dense(output)?, dense(grad)?);
    Tensor::build(y.shape(), |dx: &mut [f32]| {
        let cols = y.shape().last_dim();
        softmax::backward(Simd::detect(), cols, op.scale, slice(&y), slice(&dy), dx);
    })
}
