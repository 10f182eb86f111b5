//! Joined tensors: each gets its range of the gradient.

use super::Saved;
use vincie_tensor::ops::Concat;
use vincie_tensor::{Result, Tensor};

pub(super) fn backward(op: &Concat, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    let sizes: Vec<usize> = saved.shapes.iter().map(|shape| shape[op.axis]).collect();
    Ok(op.backward(&sizes, grad)?.into_iter().map(Some).collect())
}
