//! Vector kernels over row chunks of one group.

use super::GateResidualGradients;
use crate::kernels::Simd;
use crate::kernels::gate_residual::{self, Backward, Gate};
use crate::ops::{as_indices, dense, fresh, slice};
use crate::{DType, Result, Tensor};

pub(super) fn forward(inputs: &[&Tensor]) -> Result<Tensor> {
    let [x, gate, parameter, residual] = [inputs[0], inputs[1], inputs[2], inputs[3]].map(dense);
    let (x, gate, parameter, residual) = (x?, gate?, parameter?, residual?);
    let groups = as_indices(inputs[4])?;
    let gate = Gate {
        cols: x.shape()[1],
        gate: slice(&gate),
        parameter: Some(slice(&parameter)),
        groups: &groups,
    };
    Tensor::build(x.shape(), |y: &mut [f32]| {
        gate_residual::forward(Simd::detect(), gate, slice(&x), slice(&residual), y);
    })
}

pub(super) fn backward(inputs: [&Tensor; 4], grad: &Tensor) -> Result<GateResidualGradients> {
    let [x, gate, parameter, dy] = [inputs[0], inputs[1], inputs[2], grad].map(dense);
    let (x, gate_values, parameter, dy) = (x?, gate?, parameter?, dy?);
    let groups = as_indices(inputs[3])?;
    let gate = Gate {
        cols: x.shape()[1],
        gate: slice(&gate_values),
        parameter: Some(slice(&parameter)),
        groups: &groups,
    };
    let mut dx = Tensor::uninit(x.shape(), DType::F32)?;
    let mut d_gate = Tensor::uninit(gate_values.shape(), DType::F32)?;
    let mut d_parameter = Tensor::uninit(parameter.shape(), DType::F32)?;
    let mut workspace = Tensor::uninit([gate_residual::backward_workspace(&gate)], DType::F32)?;
    let args = Backward {
        x: slice(&x),
        dy: slice(&dy),
        dx: fresh(&mut dx),
        d_gate: fresh(&mut d_gate),
        d_parameter: Some(fresh(&mut d_parameter)),
        workspace: fresh(&mut workspace),
    };
    gate_residual::backward(Simd::detect(), gate, args);
    Ok(GateResidualGradients { x: dx, gate: d_gate, gate_parameter: d_parameter })
}
