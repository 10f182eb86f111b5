//! A range of an axis: the rest gets zeros.

use super::Saved;
use vincie_tensor::ops::Narrow;
use vincie_tensor::{Result, Tensor};

pub(super) fn backward(op: &Narrow, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    Ok(vec![Some(op.backward(saved.shapes[0], grad)?)])
}
