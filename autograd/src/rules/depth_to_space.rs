//! Depth to space: every value goes back to its channel; frames that were left out get zeros.

use super::Saved;
use vincie_tensor::ops::DepthToSpace;
use vincie_tensor::{Result, Tensor};

pub(super) fn backward(
    op: &DepthToSpace,
    saved: &Saved,
    grad: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    Ok(vec![Some(op.backward(saved.shapes[0], grad)?)])
}
