//! Matrix product: both gradients are products, the bias's is a sum over rows.

use super::{Keep, Saved, run};
use vincie_tensor::ops::{Binary, Matmul};
use vincie_tensor::{Result, Shape, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(0b11);

pub(super) fn backward(
    op: &Matmul,
    saved: &Saved,
    grad: &Tensor,
    needed: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let (a, b) = (saved.input(0), saved.input(1));
    let is_shared = b.shape().rank() == 2 && !op.transpose_a;
    // A `b` that all of `a` shares meets `a` and the gradient as tall matrices.
    let flat = |t: &Tensor| t.reshape([t.shape().rows(), t.shape().last_dim()]);
    let (tall_a, tall_grad) =
        if is_shared { (flat(a)?, flat(grad)?) } else { (a.clone(), grad.clone()) };
    let product = |x: &Tensor, transpose_a, y: &Tensor, transpose_b| {
        run(Matmul { transpose_a, transpose_b, has_bias: false }, &[x, y])
    };
    let grad_a = match (needed[0], op.transpose_a) {
        (false, _) => None,
        (true, false) => Some(product(&tall_grad, false, b, !op.transpose_b)?.reshape(a.shape())?),
        (true, true) => Some(product(b, op.transpose_b, grad, true)?),
    };
    let grad_b = match (needed[1], op.transpose_b) {
        (false, _) => None,
        (true, true) => Some(product(&tall_grad, true, &tall_a, op.transpose_a)?),
        (true, false) => Some(product(&tall_a, !op.transpose_a, &tall_grad, false)?),
    };
    let mut gradients = vec![grad_a, grad_b];
    if op.has_bias {
        let shape = Shape::from([grad.shape().last_dim()]);
        gradients.push(if needed[2] { Some(Binary::unbroadcast(grad, shape)?) } else { None });
    }
    Ok(gradients)
}
