//! Axes in another order: the gradient goes back.

use super::run;
use vincie_tensor::ops::Permute;
use vincie_tensor::{Result, Tensor};

pub(super) fn backward(op: &Permute, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    Ok(vec![Some(run(op.inverse(), &[grad])?)])
}
