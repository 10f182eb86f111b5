//! Repetition: the gradient is the sum over the repeats.

use super::Saved;
use vincie_tensor::ops::Binary;
use vincie_tensor::{Result, Tensor};

pub(super) fn backward(saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    Ok(vec![Some(Binary::unbroadcast(grad, saved.shapes[0])?)])
}
