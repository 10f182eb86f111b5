//! Rows of a table: the gradient's rows are added where they came from.

use super::{Keep, Saved};
use vincie_tensor::ops::Gather;
use vincie_tensor::{Result, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(0b10);

pub(super) fn backward(op: &Gather, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    Ok(vec![Some(op.backward(saved.shapes[0][0], saved.input(1), grad)?), None])
}
