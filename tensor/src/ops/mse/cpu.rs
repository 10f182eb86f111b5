//! Vector kernels; rows are added in f64 from the first to the last.

use crate::kernels::{Simd, mse};
use crate::ops::{dense, fresh, slice};
use crate::{DType, Result, Tensor};

pub(super) fn forward(
    prediction: &Tensor,
    target: &Tensor,
    weights: &Tensor,
) -> Result<Vec<Tensor>> {
    let (prediction, target, weights) = (dense(prediction)?, dense(target)?, dense(weights)?);
    let mut errors = Tensor::uninit(weights.shape(), DType::F32)?;
    let operands = (slice(&prediction), slice(&target), slice(&weights));
    let loss = mse::forward(Simd::detect(), operands.0, operands.1, operands.2, fresh(&mut errors));
    Ok(vec![Tensor::scalar(loss)?, errors])
}

pub(super) fn backward(
    prediction: &Tensor,
    target: &Tensor,
    weights: &Tensor,
    grad: f32,
) -> Result<Tensor> {
    let (prediction, target, weights) = (dense(prediction)?, dense(target)?, dense(weights)?);
    Tensor::build(prediction.shape(), |to: &mut [f32]| {
        mse::backward(
            Simd::detect(),
            slice(&prediction),
            slice(&target),
            slice(&weights),
            grad,
            to,
        );
    })
}
