//! Group norm: x, weight and bias from one call.

use super::{Keep, Saved};
use vincie_tensor::ops::GroupNorm;
use vincie_tensor::{Result, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(0b111).and_results(0b10);

pub(super) fn backward(
    op: &GroupNorm,
    saved: &Saved,
    grad: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    let gradients = op.backward(&saved.all_inputs(), saved.result(1), grad)?;
    Ok(vec![Some(gradients.x), Some(gradients.weight), Some(gradients.bias)])
}
