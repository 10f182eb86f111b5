//! Convolution: the gradient of x goes back through the same kernel, the bias's is a sum over pixels.

use super::{Keep, Saved};
use vincie_tensor::ops::{Binary, Convolution};
use vincie_tensor::{Result, Shape, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(0b11);

pub(super) fn backward(
    op: &Convolution,
    saved: &Saved,
    grad: &Tensor,
    needed: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let (x, weight) = (saved.input(0), saved.input(1));
    let grad_x = needed[0].then(|| op.backward_x(x.shape(), weight, grad)).transpose()?;
    let grad_weight = needed[1].then(|| op.backward_weight(x, weight.shape(), grad)).transpose()?;
    let mut gradients = vec![grad_x, grad_weight];
    if op.has_bias {
        let shape = Shape::from([grad.shape().last_dim()]);
        gradients.push(if needed[2] { Some(Binary::unbroadcast(grad, shape)?) } else { None });
    }
    Ok(gradients)
}
