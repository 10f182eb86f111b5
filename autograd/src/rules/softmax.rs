//! Softmax along the innermost axis: the gradient is of the result alone.

use super::{Keep, Saved};
use vincie_tensor::ops::Softmax;
use vincie_tensor::{Result, Tensor};

pub(super) const KEEP: Keep = Keep::NOTHING.and_results(0b1);

pub(super) fn backward(op: &Softmax, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    Ok(vec![Some(op.backward(saved.result(0), grad)?)])
}
