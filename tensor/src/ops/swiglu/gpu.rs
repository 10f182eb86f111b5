//! Elementwise kernels, 16 bytes a thread where alignment allows.

use super::Swiglu;
use crate::accelerator::{Accelerator, elementwise};
use crate::ops::{ready, result_dtype};
use crate::{Result, Tensor};

pub(super) fn forward(_: &Swiglu, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let dtype = result_dtype(inputs);
    let (gate, up) = (ready(place, inputs[0], dtype)?, ready(place, inputs[1], dtype)?);
    let y = place.uninit(gate.shape(), dtype)?;
    elementwise(place, "swiglu_forward", &[&gate, &up, &y], |launch| launch)?;
    Ok(vec![y])
}

pub(super) fn backward(
    place: &Accelerator,
    gate: &Tensor,
    up: &Tensor,
    grad: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let dtype = result_dtype(&[gate, up, grad]);
    let (gate, up) = (ready(place, gate, dtype)?, ready(place, up, dtype)?);
    let dy = ready(place, grad, dtype)?;
    let (d_gate, d_up) = (place.uninit(gate.shape(), dtype)?, place.uninit(up.shape(), dtype)?);
    let tensors = [&gate, &up, &dy, &d_gate, &d_up];
    elementwise(place, "swiglu_backward", &tensors, |launch| launch)?;
    Ok((d_gate, d_up))
}
