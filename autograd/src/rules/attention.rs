//! Attention: needs everything, recomputes the scores tile by tile.

use super::{Keep, Saved};
use vincie_tensor::ops::Attention;
use vincie_tensor::{Result, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(0b111).and_results(0b11);

pub(super) fn backward(
    op: &Attention,
    saved: &Saved,
    grad: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    let inputs = [saved.input(0), saved.input(1), saved.input(2)];
    let [q, k, v] = op.backward(inputs, saved.result(0), saved.result(1), grad)?;
    Ok(vec![Some(q), Some(k), Some(v)])
}
