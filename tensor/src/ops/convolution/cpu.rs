//! Products of gathered rows, see [`crate::kernels::convolution`].

use crate::kernels::Simd;
use crate::kernels::convolution::{self, Direction, Gather, Geometry, Weight};
use crate::ops::{dense, fresh, result_dtype, slice};
use crate::{DType, Result, Tensor};

pub(super) fn forward(
    geometry: &Geometry,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    gather(geometry, Direction::Forward, x, weight, bias)
}

pub(super) fn backward_x(geometry: &Geometry, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let dx = gather(geometry, Direction::Backward, grad, weight, None)?;
    dx.into_dtype(result_dtype(&[weight, grad]))
}

fn gather(
    geometry: &Geometry,
    direction: Direction,
    from: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (from, weight, bias) = (dense(from)?, dense(weight)?, bias.map(dense).transpose()?);
    let shape = match direction {
        Direction::Forward => geometry.result_shape(),
        Direction::Backward => geometry.x_shape(),
    };
    let mut to = Tensor::uninit(shape, DType::F32)?;
    let mut workspace = Tensor::uninit([convolution::workspace(geometry, direction)], DType::F32)?;
    let args = Gather {
        geometry,
        direction,
        from: slice(&from),
        weight: slice(&weight),
        bias: bias.as_deref().map(slice),
        to: fresh(&mut to),
        workspace: fresh(&mut workspace),
    };
    convolution::gather(Simd::detect(), args);
    Ok(to)
}

pub(super) fn backward_weight(geometry: &Geometry, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (x, grad) = (dense(x)?, dense(grad)?);
    let mut to = Tensor::uninit(geometry.weight_shape(), DType::F32)?;
    let args = Weight { geometry, source: slice(&x), gradient: slice(&grad), to: fresh(&mut to) };
    convolution::weight_gradient(Simd::detect(), args);
    Ok(to)
}
