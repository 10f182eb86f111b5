//! `silu(gate) * up`.

use super::{Keep, Saved};
use vincie_tensor::ops::Swiglu;
use vincie_tensor::{Result, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(0b11);

pub(super) fn backward(op: &Swiglu, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    let (gate, up) = op.backward(saved.input(0), saved.input(1), grad)?;
    Ok(vec![Some(gate), Some(up)])
}
