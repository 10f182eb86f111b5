//! Elementwise kernels, 16 bytes a thread where alignment allows.

use super::Unary;
use crate::accelerator::{Accelerator, elementwise};
use crate::ops::{ready, result_dtype};
use crate::{Result, Tensor};

impl Unary {
    /// What kernels call the function.
    fn kernel(self) -> &'static str {
        match self {
            Self::Affine { .. } => "affine",
            Self::Silu => "silu",
            Self::Sigmoid => "sigmoid",
            Self::GeluTanh => "gelu_tanh",
            Self::Exp => "exp",
            Self::Tanh => "tanh",
            Self::Square => "square",
        }
    }
}

pub(super) fn forward(op: &Unary, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let x = ready(place, inputs[0], inputs[0].dtype())?;
    let y = place.uninit(x.shape(), x.dtype())?;
    elementwise(place, &format!("unary_{}", op.kernel()), &[&x, &y], |launch| match *op {
        Unary::Affine { scale, shift } => launch.scalar(scale).scalar(shift),
        _ => launch,
    })?;
    Ok(vec![y])
}

pub(super) fn backward(
    op: Unary,
    place: &Accelerator,
    input: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    if let Unary::Affine { scale, .. } = op {
        let factor = Unary::Affine { scale, shift: 0.0 };
        return Ok(forward(&factor, place, &[grad])?.swap_remove(0));
    }
    let dtype = result_dtype(&[input, grad]);
    let (x, dy) = (ready(place, input, dtype)?, ready(place, grad, dtype)?);
    let dx = place.uninit(x.shape(), dtype)?;
    let kernel = format!("unary_{}_backward", op.kernel());
    elementwise(place, &kernel, &[&x, &dy, &dx], |launch| launch)?;
    Ok(dx)
}
