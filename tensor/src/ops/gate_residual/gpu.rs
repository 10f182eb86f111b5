//! One pass forward; backward one for `x`, and sums by group in two.

use super::{GateResidual, GateResidualGradients};
use crate::accelerator::{Accelerator, Rows, TensorArguments};
use crate::ops::{ready, result_dtype};
use crate::{DType, Result, Tensor};

pub(super) fn forward(
    _: &GateResidual,
    place: &Accelerator,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let dtype = result_dtype(&inputs[..4]);
    let ready = |i: usize| ready(place, inputs[i], if i == 4 { DType::I32 } else { dtype });
    let (x, gate, parameter, residual) = (ready(0)?, ready(1)?, ready(2)?, ready(3)?);
    let groups = ready(4)?;
    let y = place.uninit(x.shape(), dtype)?;
    let rows = Rows::of(&[&x, &gate, &parameter, &residual, &y])?;
    if y.count() > 0 {
        let kernel = place.kernel(&format!("gate_residual_forward_{dtype}_{}", rows.access()))?;
        let launch = kernel.launch().tensor(&x)?.tensor(&gate)?.tensor(&parameter)?;
        let launch = launch.tensor(&residual)?.tensor(&groups)?.tensor(&y)?;
        let launch = launch.size(rows.rows).size(rows.cols).dim("units", rows.units());
        launch.submit(place.stream())?;
    }
    Ok(vec![y])
}

pub(super) fn backward(
    place: &Accelerator,
    inputs: [&Tensor; 4],
    grad: &Tensor,
) -> Result<GateResidualGradients> {
    let dtype = result_dtype(&[inputs[0], inputs[1], inputs[2], grad]);
    let ready = |input: &Tensor, dtype| ready(place, input, dtype);
    let (x, gate, parameter) =
        (ready(inputs[0], dtype)?, ready(inputs[1], dtype)?, ready(inputs[2], dtype)?);
    let (groups, dy) = (ready(inputs[3], DType::I32)?, ready(grad, dtype)?);
    let dx = place.uninit(x.shape(), dtype)?;
    let rows = Rows::of(&[&dy, &gate, &parameter, &dx])?;
    if dx.count() > 0 {
        let kernel = place.kernel(&format!("gate_residual_backward_{dtype}_{}", rows.access()))?;
        let launch = kernel.launch().tensor(&dy)?.tensor(&gate)?.tensor(&parameter)?;
        let launch = launch.tensor(&groups)?.tensor(&dx)?.size(rows.rows).size(rows.cols);
        launch.dim("units", rows.units()).submit(place.stream())?;
    }
    let number = gate.shape()[0];
    let d_gate = place.uninit(gate.shape(), DType::F32)?;
    let d_parameter = place.uninit([rows.cols], DType::F32)?;
    let products = place.uninit([rows.splits(), number, rows.cols], DType::F32)?;
    if products.count() > 0 {
        let kernel = place.kernel(&format!("gate_residual_sums_{dtype}"))?;
        let launch = kernel.launch().tensor(&x)?.tensor(&dy)?.tensor(&groups)?.tensor(&products)?;
        rows.split(launch, number).submit(place.stream())?;
    }
    if rows.cols > 0 {
        let kernel = place.kernel("gate_residual_finish")?;
        let launch = kernel.launch().tensor(&products)?.tensor(&d_gate)?.tensor(&d_parameter)?;
        let launch = launch.size(rows.splits()).size(number).size(rows.cols);
        launch.submit(place.stream())?;
    }
    Ok(GateResidualGradients { x: dx, gate: d_gate, gate_parameter: d_parameter })
}
