//! Vector kernels, one pass a stream: every stream writes its own rows of the joint sequence.

use super::{Inputs, QkNormRotary, Stream, StreamGradients};
use crate::kernels::Simd;
use crate::kernels::qk_norm_rotary::{self as kernel, Backward, Heads, Joint, Table};
use crate::ops::{as_indices, dense, fresh, slice};
use crate::{DType, Result, Tensor};
use std::borrow::Cow;

/// One stream's inputs as contiguous f32, and its rows.
struct Operands<'a> {
    qkv: Cow<'a, Tensor>,
    weight_q: Cow<'a, Tensor>,
    weight_k: Cow<'a, Tensor>,
    rows: Cow<'a, [u32]>,
}

impl<'a> Operands<'a> {
    fn new(stream: &Stream<'a, Tensor>) -> Result<Self> {
        Ok(Self {
            qkv: dense(stream.qkv)?,
            weight_q: dense(stream.weight_q)?,
            weight_k: dense(stream.weight_k)?,
            rows: as_indices(stream.rows)?,
        })
    }

    /// Tables are in the order of the joint sequence, so a token's row is its position, too.
    fn stream(&self) -> kernel::Stream<'_> {
        kernel::Stream {
            qkv: slice(&self.qkv),
            stride: self.qkv.shape()[1],
            weight_q: Some(slice(&self.weight_q)),
            weight_k: Some(slice(&self.weight_k)),
            rows: &self.rows,
            positions: &self.rows,
        }
    }
}

impl QkNormRotary {
    fn kernel_heads(&self) -> Heads {
        let &Self { heads, head_dim, rotated, epsilon, .. } = self;
        Heads { heads, head_dim, rotated, epsilon }
    }
}

pub(super) fn forward(op: &QkNormRotary, inputs: &Inputs<'_, Tensor>) -> Result<[Tensor; 4]> {
    let (cos, sin) = (dense(inputs.cos)?, dense(inputs.sin)?);
    let tokens = cos.shape()[0];
    let joint = || Tensor::uninit([tokens, op.heads * op.head_dim], DType::F32);
    let (mut q, mut k, mut v) = (joint()?, joint()?, joint()?);
    let mut inverse_rms = Tensor::uninit([tokens, 2 * op.heads], DType::F32)?;
    for stream in &inputs.streams {
        let operands = Operands::new(stream)?;
        let table = Table { cos: slice(&cos), sin: slice(&sin) };
        let joint = Joint {
            q: fresh(&mut q),
            k: fresh(&mut k),
            v: fresh(&mut v),
            inverse_rms: fresh(&mut inverse_rms),
        };
        kernel::forward(Simd::detect(), op.kernel_heads(), operands.stream(), table, joint);
    }
    Ok([q, k, v, inverse_rms])
}

pub(super) fn backward(
    op: &QkNormRotary,
    inputs: &Inputs<'_, Tensor>,
    inverse_rms: &Tensor,
    grads: [&Tensor; 3],
) -> Result<Vec<StreamGradients>> {
    let (cos, sin) = (dense(inputs.cos)?, dense(inputs.sin)?);
    let [dq, dk, dv] = grads.map(dense);
    let (dq, dk, dv) = (dq?, dk?, dv?);
    let heads = op.kernel_heads();
    let mut all = Vec::with_capacity(inputs.streams.len());
    for stream in &inputs.streams {
        let operands = Operands::new(stream)?;
        let like = |t: &Tensor| Tensor::uninit(t.shape(), DType::F32);
        let mut gradients = StreamGradients {
            qkv: like(&operands.qkv)?,
            weight_q: like(&operands.weight_q)?,
            weight_k: like(&operands.weight_k)?,
        };
        let needed = kernel::backward_workspace(&heads, operands.rows.len());
        let mut workspace = Tensor::uninit([needed], DType::F32)?;
        let args = Backward {
            inverse_rms: slice(inverse_rms),
            dq: slice(&dq),
            dk: slice(&dk),
            dv: slice(&dv),
            dqkv: fresh(&mut gradients.qkv),
            d_weight_q: Some(fresh(&mut gradients.weight_q)),
            d_weight_k: Some(fresh(&mut gradients.weight_k)),
            workspace: fresh(&mut workspace),
        };
        let table = Table { cos: slice(&cos), sin: slice(&sin) };
        kernel::backward(Simd::detect(), heads, operands.stream(), table, args);
        all.push(gradients);
    }
    Ok(all)
}
