//! A warp a row for the errors, one warp for their weighted sum.

use super::Mse;
use crate::accelerator::{Accelerator, TensorArguments};
use crate::ops::{ready, result_dtype};
use crate::{DType, Result, Tensor};

pub(super) fn forward(_: &Mse, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let dtype = result_dtype(&inputs[..2]);
    let (prediction, target) = (ready(place, inputs[0], dtype)?, ready(place, inputs[1], dtype)?);
    let weights = ready(place, inputs[2], DType::F32)?;
    let (rows, cols) = (weights.count(), prediction.shape()[1]);
    let errors = place.uninit([rows], DType::F32)?;
    if rows > 0 {
        let kernel = place.kernel(&format!("mse_forward_{dtype}"))?;
        let launch = kernel.launch().tensor(&prediction)?.tensor(&target)?.tensor(&errors)?;
        let launch = launch.size(rows).size(cols).scalar(1.0 / cols.max(1) as f32);
        launch.submit(place.stream())?;
    }
    let loss = place.uninit([], DType::F32)?;
    let kernel = place.kernel("mse_loss")?;
    let launch = kernel.launch().tensor(&errors)?.tensor(&weights)?.tensor(&loss)?.size(rows);
    launch.submit(place.stream())?;
    Ok(vec![loss, errors])
}

pub(super) fn backward(
    place: &Accelerator,
    [prediction, target, weights]: [&Tensor; 3],
    grad: &Tensor,
) -> Result<Tensor> {
    let dtype = result_dtype(&[prediction, target]);
    let (prediction, target) = (ready(place, prediction, dtype)?, ready(place, target, dtype)?);
    let (weights, dloss) = (ready(place, weights, DType::F32)?, ready(place, grad, DType::F32)?);
    let (rows, cols) = (weights.count(), prediction.shape()[1]);
    let dx = place.uninit(prediction.shape(), dtype)?;
    if dx.count() > 0 {
        let kernel = place.kernel(&format!("mse_backward_{dtype}"))?;
        let launch = kernel.launch().tensor(&prediction)?.tensor(&target)?.tensor(&weights)?;
        let launch = launch.tensor(&dloss)?.tensor(&dx)?.size(rows).size(cols);
        launch.scalar(2.0 / cols as f32).submit(place.stream())?;
    }
    Ok(dx)
}
