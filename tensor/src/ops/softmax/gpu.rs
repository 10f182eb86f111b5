//! A warp a row, see `ptx/kernels/softmax`.

use super::Softmax;
use crate::accelerator::{Accelerator, Rows, TensorArguments};
use crate::ops::{ready, result_dtype};
use crate::{Result, Tensor};
use std::f32::consts::LOG2_E;

pub(super) fn forward(
    op: &Softmax,
    place: &Accelerator,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let x = ready(place, inputs[0], inputs[0].dtype())?;
    let y = place.uninit(x.shape(), x.dtype())?;
    if y.count() > 0 {
        let rows = Rows::of(&[&x, &y])?;
        let name = format!("softmax_forward_{}_{}", x.dtype(), rows.access());
        let kernel = place.kernel(&name)?;
        let launch = kernel.launch().tensor(&x)?.tensor(&y)?.size(rows.rows).size(rows.cols);
        launch.scalar(op.scale * LOG2_E).submit(place.stream())?;
    }
    Ok(vec![y])
}

pub(super) fn backward(
    op: &Softmax,
    place: &Accelerator,
    output: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    let dtype = result_dtype(&[output, grad]);
    let (y, dy) = (ready(place, output, dtype)?, ready(place, grad, dtype)?);
    let dx = place.uninit(y.shape(), dtype)?;
    if dx.count() > 0 {
        let rows = Rows::of(&[&y, &dy, &dx])?;
        let kernel = place.kernel(&format!("softmax_backward_{dtype}_{}", rows.access()))?;
        let launch = kernel.launch().tensor(&y)?.tensor(&dy)?.tensor(&dx)?;
        let launch = launch.size(rows.rows).size(rows.cols).scalar(op.scale);
        launch.submit(place.stream())?;
    }
    Ok(dx)
}
