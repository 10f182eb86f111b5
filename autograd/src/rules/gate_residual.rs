//! Gate and residual: the residual takes the gradient as it is.

use super::{Keep, Saved};
use vincie_tensor::ops::GateResidual;
use vincie_tensor::{Result, Tensor};

/// Everything but the residual.
pub(super) const KEEP: Keep = Keep::inputs(0b10111);

pub(super) fn backward(
    op: &GateResidual,
    saved: &Saved,
    grad: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    let inputs = [saved.input(0), saved.input(1), saved.input(2), saved.input(4)];
    let gradients = op.backward(inputs, grad)?;
    let residual = Some(grad.clone());
    Ok(vec![
        Some(gradients.x),
        Some(gradients.gate),
        Some(gradients.gate_parameter),
        residual,
        None,
    ])
}
