//! Mean squared error: only the prediction learns.

use super::{Keep, Saved};
use vincie_tensor::ops::Mse;
use vincie_tensor::{Result, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(0b111);

pub(super) fn backward(op: &Mse, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    let prediction = op.backward(saved.input(0), saved.input(1), saved.input(2), grad)?;
    Ok(vec![Some(prediction), None, None])
}
