//! Sum or mean over an axis: the gradient repeats along it.

use super::Saved;
use vincie_tensor::ops::Reduce;
use vincie_tensor::{Result, Tensor};

pub(super) fn backward(op: &Reduce, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    Ok(vec![Some(op.backward(saved.shapes[0], grad)?)])
}
