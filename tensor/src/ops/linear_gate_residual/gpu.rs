//! One kernel for bf16 factors and an f32 residual, else those of both ops.

use super::LinearGateResidual;
use crate::accelerator::Accelerator;
use crate::ops::Operation;
use crate::ops::matmul::gated::{End, gated};
use crate::{Result, Tensor};

pub(super) fn forward(
    op: &LinearGateResidual,
    place: &Accelerator,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let end = End::GateResidual {
        bias: op.has_bias.then(|| inputs[6]),
        gate: inputs[2],
        parameter: inputs[3],
        residual: inputs[4],
        groups: inputs[5],
    };
    if let Some(results) = gated(place, inputs[0], inputs[1], end, op.keeps_product)? {
        return Ok(results);
    }
    let linear = |op: &_, inputs: &[&Tensor]| Operation::forward_on(op, place, inputs);
    let gate = |op: &_, inputs: &[&Tensor]| Operation::forward_on(op, place, inputs);
    op.apart(inputs, linear, gate)
}
