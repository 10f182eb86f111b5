//! A warp a head of a token, stream after stream.

use super::{Inputs, QkNormRotary, Stream, StreamGradients};
use crate::accelerator::{Accelerator, TensorArguments};
use crate::ops::reduce::sum_columns;
use crate::ops::{ready, result_dtype};
use crate::{DType, Error, Result, Tensor};

/// Heads of tokens whose gradients of the weights one CTA sums up.
const HEADS: usize = 64;

/// Features of the largest head that kernels take.
const MAX_HEAD_DIM: usize = 256;

impl QkNormRotary {
    /// Pairs of features that a lane takes, or why no kernel takes such heads.
    fn pairs(&self) -> Result<usize> {
        let dim = self.head_dim;
        if !dim.is_multiple_of(2) || dim > MAX_HEAD_DIM {
            let what = format!(
                "heads of {dim} features on a device; expected an even number of at most {MAX_HEAD_DIM}"
            );
            return Err(Error::shape("qk_norm_rotary", what));
        }
        Ok(dim.div_ceil(64).next_power_of_two())
    }
}

/// One stream's inputs on the accelerator.
struct Operands {
    qkv: Tensor,
    weight_q: Tensor,
    weight_k: Tensor,
    rows: Tensor,
}

impl Operands {
    fn new(place: &Accelerator, stream: &Stream<'_, Tensor>, dtype: DType) -> Result<Self> {
        Ok(Self {
            qkv: aligned(place, stream.qkv, dtype)?,
            weight_q: aligned(place, stream.weight_q, dtype)?,
            weight_k: aligned(place, stream.weight_k, dtype)?,
            rows: ready(place, stream.rows, DType::I32)?,
        })
    }
}

/// An input whose pairs of features lie at multiples of their size.
fn aligned(place: &Accelerator, input: &Tensor, dtype: DType) -> Result<Tensor> {
    let input = ready(place, input, dtype)?;
    if input.device_address()?.is_multiple_of(2 * dtype.size() as u64) {
        return Ok(input);
    }
    let copy = place.uninit(input.shape(), dtype)?;
    crate::accelerator::copy(place, &copy, &input)?;
    Ok(copy)
}

pub(super) fn forward(
    op: &QkNormRotary,
    place: &Accelerator,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let (named, pairs) = (op.named(inputs), op.pairs()?);
    let qkv: Vec<&Tensor> = named.streams.iter().map(|stream| stream.qkv).collect();
    let dtype = result_dtype(&qkv);
    let (cos, sin) = (ready(place, named.cos, DType::F32)?, ready(place, named.sin, DType::F32)?);
    let (joint, width) = (cos.shape()[0], op.heads * op.head_dim);
    let new = || place.uninit([joint, width], dtype);
    let (q, k, v) = (new()?, new()?, new()?);
    let inverse_rms = place.uninit([joint, 2 * op.heads], DType::F32)?;
    let kernel = place.kernel(&format!("qk_norm_rotary_forward_{dtype}_p{pairs}"))?;
    for stream in &named.streams {
        let of = Operands::new(place, stream, dtype)?;
        if of.qkv.count() == 0 {
            continue;
        }
        let launch = kernel.launch().tensor(&of.qkv)?.tensor(&of.weight_q)?.tensor(&of.weight_k)?;
        let launch = launch.tensor(&of.rows)?.tensor(&cos)?.tensor(&sin)?;
        let launch = launch.tensor(&q)?.tensor(&k)?.tensor(&v)?.tensor(&inverse_rms)?;
        let launch = launch.size(of.rows.count()).size(op.heads).size(op.head_dim);
        let launch = launch.size(op.rotated / 2).scalar(1.0 / op.head_dim as f32);
        launch.scalar(op.epsilon).dim("joint", joint).submit(place.stream())?;
    }
    Ok(vec![q, k, v, inverse_rms])
}

pub(super) fn backward(
    op: &QkNormRotary,
    place: &Accelerator,
    inputs: &Inputs<'_, Tensor>,
    inverse_rms: &Tensor,
    grads: [&Tensor; 3],
) -> Result<Vec<StreamGradients>> {
    let pairs = op.pairs()?;
    let mut all: Vec<&Tensor> = inputs.streams.iter().map(|stream| stream.qkv).collect();
    all.extend(grads);
    let dtype = result_dtype(&all);
    let (cos, sin) = (ready(place, inputs.cos, DType::F32)?, ready(place, inputs.sin, DType::F32)?);
    let inverse_rms = ready(place, inverse_rms, DType::F32)?;
    let grad = |index: usize| aligned(place, grads[index], dtype);
    let (dq, dk, dv) = (grad(0)?, grad(1)?, grad(2)?);
    let (joint, dim) = (cos.shape()[0], op.head_dim);
    let kernel = place.kernel(&format!("qk_norm_rotary_backward_{dtype}_p{pairs}"))?;
    let gradients = inputs.streams.iter().map(|stream| {
        let of = Operands::new(place, stream, dtype)?;
        let d_qkv = place.uninit(of.qkv.shape(), dtype)?;
        let ctas = (of.rows.count() * op.heads).div_ceil(HEADS);
        let d_weights = place.uninit([ctas, 2, dim], DType::F32)?;
        if d_qkv.count() > 0 {
            let launch = kernel.launch().tensor(&of.qkv)?.tensor(&of.weight_q)?;
            let launch = launch.tensor(&of.weight_k)?.tensor(&of.rows)?.tensor(&cos)?;
            let launch = launch.tensor(&sin)?.tensor(&inverse_rms)?.tensor(&dq)?.tensor(&dk)?;
            let launch = launch.tensor(&dv)?.tensor(&d_qkv)?.tensor(&d_weights)?;
            let launch = launch.size(of.rows.count()).size(op.heads).size(dim);
            let launch = launch.size(op.rotated / 2).scalar(1.0 / dim as f32);
            launch.dim("joint", joint).dim("ctas", ctas).submit(place.stream())?;
        }
        let sums = sum_columns(place, &d_weights, [1, ctas, 2 * dim], 1.0)?.reshape([2, dim])?;
        Ok(StreamGradients {
            qkv: d_qkv,
            weight_q: sums.narrow(0, 0, 1)?.reshape([dim])?,
            weight_k: sums.narrow(0, 1, 1)?.reshape([dim])?,
        })
    });
    gradients.collect()
}
