//! Vector kernels: two passes forward, two backward.

use super::{GroupNorm, GroupNormGradients, Sizes};
use crate::kernels::Simd;
use crate::kernels::group_norm::{self, Backward, Norm};
use crate::ops::{dense, fresh, result_dtype, slice};
use crate::{DType, Result, Tensor};

fn norm<'a>(op: &GroupNorm, sizes: &Sizes, weight: &'a [f32], bias: &'a [f32]) -> Norm<'a> {
    Norm {
        frames: sizes.frames,
        pixels: sizes.pixels,
        channels: sizes.channels,
        groups: op.groups,
        epsilon: op.epsilon,
        silu: op.silu,
        weight,
        bias,
    }
}

pub(super) fn forward(
    op: &GroupNorm,
    sizes: &Sizes,
    inputs: &[&Tensor],
) -> Result<(Tensor, Tensor)> {
    let (x, weight, bias) = (dense(inputs[0])?, dense(inputs[1])?, dense(inputs[2])?);
    let mut y = Tensor::uninit(x.shape(), DType::F32)?;
    let mut statistics = Tensor::uninit([sizes.frames, op.groups, 2], DType::F32)?;
    let norm = norm(op, sizes, slice(&weight), slice(&bias));
    let to = (fresh(&mut y), fresh(&mut statistics));
    group_norm::forward(Simd::detect(), norm, slice(&x), to.0, to.1);
    Ok((y, statistics))
}

pub(super) fn backward(
    op: &GroupNorm,
    sizes: &Sizes,
    inputs: &[&Tensor],
    statistics: &Tensor,
    grad: &Tensor,
) -> Result<GroupNormGradients> {
    let (x, weight, bias) = (dense(inputs[0])?, dense(inputs[1])?, dense(inputs[2])?);
    let dy = dense(grad)?;
    let mut dx = Tensor::uninit(x.shape(), DType::F32)?;
    let mut d_weight = Tensor::uninit(weight.shape(), DType::F32)?;
    let mut d_bias = Tensor::uninit(bias.shape(), DType::F32)?;
    let args = Backward {
        x: slice(&x),
        statistics: slice(statistics),
        dy: slice(&dy),
        dx: fresh(&mut dx),
        d_weight: fresh(&mut d_weight),
        d_bias: fresh(&mut d_bias),
    };
    let norm = norm(op, sizes, slice(&weight), slice(&bias));
    group_norm::backward(Simd::detect(), norm, args);
    let dx = dx.into_dtype(result_dtype(&[inputs[0], grad]))?;
    Ok(GroupNormGradients { x: dx, weight: d_weight, bias: d_bias })
}
