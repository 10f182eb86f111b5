//! q/k norm, rotary and joining: a result that nothing used counts as zeros.

use super::{Keep, Saved};
use vincie_tensor::ops::QkNormRotary;
use vincie_tensor::{Result, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(u32::MAX).and_results(0b1000);

pub(super) fn backward(
    op: &QkNormRotary,
    saved: &Saved,
    grads: &[Option<Tensor>],
) -> Result<Vec<Option<Tensor>>> {
    let tokens = saved.result(3).shape()[0];
    let full = |i: usize| match &grads[i] {
        Some(grad) => Ok(grad.clone()),
        None => saved.result(3).zeros_beside([tokens, op.heads * op.head_dim], saved.dtypes[0]),
    };
    let (q, k, v) = (full(0)?, full(1)?, full(2)?);
    let streams = op.backward(&saved.all_inputs(), saved.result(3), [&q, &k, &v])?;
    let mut gradients = Vec::with_capacity(4 * streams.len() + 2);
    for stream in streams {
        gradients.extend([Some(stream.qkv), Some(stream.weight_q), Some(stream.weight_k), None]);
    }
    gradients.extend([None, None]);
    Ok(gradients)
}
