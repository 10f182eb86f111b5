//! A linear layer into a gated residual: the rules of both ops behind each other, on the product that
//! was kept.

use super::{Keep, Saved, matmul};
use vincie_tensor::ops::{GateResidual, LinearGateResidual};
use vincie_tensor::{Error, Result, Tensor};

/// The factors, the gate's two parts and the groups; the product.
pub(super) const KEEP: Keep = Keep::inputs(0b10_1111).and_results(0b10);

pub(super) fn backward(
    op: &LinearGateResidual,
    saved: &Saved,
    grad: &Tensor,
    needed: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    if !op.keeps_product {
        return Err(Error::shape("linear_gate_residual", "gradients want keeps_product"));
    }
    let inputs = [saved.result(1), saved.input(2), saved.input(3), saved.input(5)];
    let gate = GateResidual.backward(inputs, grad)?;
    let product = gate.x.to_dtype(saved.result(1).dtype())?;
    let of_linear = [needed[0], needed[1], op.has_bias && needed[6]];
    let linear =
        matmul::gradients(&op.linear(), [saved.input(0), saved.input(1)], &product, &of_linear)?;
    let mut linear = linear.into_iter();
    let (x, weight) = (linear.next().flatten(), linear.next().flatten());
    let mut gradients = vec![x, weight, Some(gate.gate), Some(gate.gate_parameter)];
    gradients.extend([Some(grad.clone()), None]);
    gradients.extend(linear);
    Ok(gradients)
}
