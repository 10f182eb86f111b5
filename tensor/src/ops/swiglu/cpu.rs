//! Vector kernels, one pass.

use crate::kernels::{Simd, swiglu};
use crate::ops::{dense, fresh, slice};
use crate::{Result, Tensor};

pub(super) fn forward(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let (gate, up) = (dense(gate)?, dense(up)?);
    Tensor::build(gate.shape(), |y: &mut [f32]| {
        swiglu::forward(Simd::detect(), slice(&gate), slice(&up), y);
    })
}

pub(super) fn backward(gate: &Tensor, up: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
    let (gate, up, grad) = (dense(gate)?, dense(up)?, dense(grad)?);
    let mut d_gate = Tensor::uninit(gate.shape(), crate::DType::F32)?;
    let mut d_up = Tensor::uninit(up.shape(), crate::DType::F32)?;
    let to = (fresh(&mut d_gate), fresh(&mut d_up));
    swiglu::backward(Simd::detect(), slice(&gate), slice(&up), slice(&grad), to.0, to.1);
    Ok((d_gate, d_up))
}
