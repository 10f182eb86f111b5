//! Matrix product: both gradients are products, the bias's is a sum over rows. What belongs to all
//! rows, a shared `b` and the bias, gets an f32 gradient of operands of any type, as its sum goes on
//! over uses and micro-batches.

use super::{Keep, Saved, run};
use vincie_tensor::ops::{Binary, Matmul};
use vincie_tensor::{DType, Result, Shape, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(0b11);

pub(super) fn backward(
    op: &Matmul,
    saved: &Saved,
    grad: &Tensor,
    needed: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    gradients(op, [saved.input(0), saved.input(1)], grad, needed)
}

/// Gradients of both factors and, where there is one, of the bias.
pub(super) fn gradients(
    op: &Matmul,
    [a, b]: [&Tensor; 2],
    grad: &Tensor,
    needed: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let is_bf16 = a.dtype() == DType::BF16 && b.dtype() == DType::BF16;
    let grad = &grad.to_dtype(if is_bf16 { DType::BF16 } else { grad.dtype() })?;
    let is_shared = b.shape().rank() == 2 && !op.transpose_a;
    // A `b` that all of `a` shares meets `a` and the gradient as tall matrices.
    let flat = |t: &Tensor| t.reshape([t.shape().rows(), t.shape().last_dim()]);
    let (tall_a, tall_grad) =
        if is_shared { (flat(a)?, flat(grad)?) } else { (a.clone(), grad.clone()) };
    let product = |result, x: &Tensor, transpose_a, y: &Tensor, transpose_b| {
        run(Matmul { transpose_a, transpose_b, has_bias: false, result }, &[x, y])
    };
    let sum = is_shared.then_some(DType::F32);
    let grad_a = match (needed[0], op.transpose_a) {
        (false, _) => None,
        (true, false) => {
            Some(product(None, &tall_grad, false, b, !op.transpose_b)?.reshape(a.shape())?)
        }
        (true, true) => Some(product(None, b, op.transpose_b, grad, true)?),
    };
    let grad_b = match (needed[1], op.transpose_b) {
        (false, _) => None,
        (true, true) => Some(product(sum, &tall_grad, true, &tall_a, op.transpose_a)?),
        (true, false) => Some(product(sum, &tall_a, !op.transpose_a, &tall_grad, false)?),
    };
    let mut gradients = vec![grad_a, grad_b];
    if op.has_bias {
        let shape = Shape::from([grad.shape().last_dim()]);
        gradients.push(if needed[2] { Some(Binary::unbroadcast(grad, shape)?) } else { None });
    }
    Ok(gradients)
}
