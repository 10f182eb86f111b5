//! For bf16 factors the product of the gate, and one kernel for all that remains; else those of the
//! three ops.

use super::{LINEAR, LinearSwiglu};
use crate::accelerator::Accelerator;
use crate::ops::matmul::gated::{End, gated, takes};
use crate::ops::{Operation, Swiglu};
use crate::{Result, Tensor};

pub(super) fn forward(
    op: &LinearSwiglu,
    place: &Accelerator,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let [x, of_gate, of_up] = [inputs[0], inputs[1], inputs[2]];
    if takes(place, x, of_up)? && takes(place, x, of_gate)? {
        let gate = LINEAR.forward_on(place, &[x, of_gate])?.swap_remove(0);
        let end = End::Swiglu { gate: &gate };
        if let Some(mut results) = gated(place, x, of_up, end, op.keeps_factors)? {
            if op.keeps_factors {
                results.insert(1, gate);
            }
            return Ok(results);
        }
    }
    let linear = |inputs: &[&Tensor]| LINEAR.forward_on(place, inputs);
    op.apart(inputs, linear, |inputs| Swiglu.forward_on(place, inputs))
}
