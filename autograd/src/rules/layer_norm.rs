//! Layer norm with weight and bias.

use super::{Keep, Saved};
use vincie_tensor::ops::LayerNorm;
use vincie_tensor::{Result, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(u32::MAX).and_results(0b110);

pub(super) fn backward(
    op: &LayerNorm,
    saved: &Saved,
    grad: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    let moments = [saved.result(1), saved.result(2)];
    let gradients = op.backward(&saved.all_inputs(), moments, grad)?;
    let affine = gradients.affine.into_iter().flatten();
    Ok([gradients.x].into_iter().chain(affine).map(Some).collect())
}
