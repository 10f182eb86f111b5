//! Vector kernels: one pass forward, one backward.

use super::{LayerNorm, LayerNormGradients};
use crate::kernels::Simd;
use crate::kernels::layer_norm::{self, Backward};
use crate::ops::{dense, fresh, slice};
use crate::{DType, Result, Tensor};
use std::borrow::Cow;

impl LayerNorm {
    /// The norm over weight and bias, where `affine` holds them.
    fn kernel<'a>(&self, cols: usize, affine: &'a [Cow<'_, Tensor>]) -> layer_norm::LayerNorm<'a> {
        let affine = match affine {
            [weight, bias] => Some([slice(weight), slice(bias)]),
            _ => None,
        };
        layer_norm::LayerNorm { cols, epsilon: self.epsilon, affine }
    }
}

fn affine<'t>(inputs: &[&'t Tensor]) -> Result<Vec<Cow<'t, Tensor>>> {
    inputs[1..].iter().map(|input| dense(input)).collect()
}

pub(super) fn forward(op: &LayerNorm, inputs: &[&Tensor]) -> Result<[Tensor; 3]> {
    let (x, affine) = (dense(inputs[0])?, affine(inputs)?);
    let (rows, cols) = (x.shape().rows(), x.shape().last_dim());
    let mut y = Tensor::uninit(x.shape(), DType::F32)?;
    let (mut mean, mut inverse) =
        (Tensor::zeros([rows], DType::F32)?, Tensor::zeros([rows], DType::F32)?);
    let norm = op.kernel(cols, &affine);
    let moments = [fresh(&mut mean), fresh(&mut inverse)];
    layer_norm::forward(Simd::detect(), norm, slice(&x), fresh(&mut y), moments);
    Ok([y, mean, inverse])
}

pub(super) fn backward(
    op: &LayerNorm,
    inputs: &[&Tensor],
    [mean, inverse]: [&Tensor; 2],
    grad: &Tensor,
) -> Result<LayerNormGradients> {
    let (x, dy, affine) = (dense(inputs[0])?, dense(grad)?, affine(inputs)?);
    let (rows, cols) = (x.shape().rows(), x.shape().last_dim());
    let norm = op.kernel(cols, &affine);
    let new = |dims: &[usize]| Tensor::uninit(dims, DType::F32);
    let mut dx = new(x.dims())?;
    let mut gradients = if op.is_affine { Some([new(&[cols])?, new(&[cols])?]) } else { None };
    let mut workspace = new(&[layer_norm::backward_workspace(&norm, rows)])?;
    let args = Backward {
        x: slice(&x),
        moments: [slice(mean), slice(inverse)],
        dy: slice(&dy),
        dx: fresh(&mut dx),
        d_affine: gradients.as_mut().map(|[weight, bias]| [fresh(weight), fresh(bias)]),
        workspace: fresh(&mut workspace),
    };
    layer_norm::backward(Simd::detect(), norm, args);
    Ok(LayerNormGradients { x: dx, affine: gradients })
}
