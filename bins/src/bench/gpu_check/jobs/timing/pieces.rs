//! Single ops.

use super::super::Wrong;
use super::clock::Clock;
use super::{Kind, Layout, Rows};
use crate::bench::gpu_check::protocol::Told;
use std::sync::Arc;
use vincie_autograd::Parameters;
use vincie_autograd::optimizer::{AdamW, AdamWConfig, Clip};
use vincie_tensor::ops::{Attention, AttentionMask, GateResidual, Matmul, RmsNorm, Swiglu};
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{DType, Op, Tensor};

/// Groups of rows that share a modulation.
const GROUPS: usize = 4;

/// Normal values on the device. Large tensors repeat a stretch, which the host makes sooner; zeros
/// would take less power, and more clock.
fn draw(clock: &Clock<'_>, number: u64, shape: &[usize], dtype: Kind) -> Result<Tensor, Wrong> {
    const STRETCH: usize = (1 << 22) + 1;
    let count: usize = shape.iter().product();
    let all = Key::new(11, Stream::Test, number).normal_tensor([count.min(STRETCH)])?;
    let all = match count <= STRETCH {
        true => all,
        false => {
            let part = all.to_vec::<f32>()?;
            Tensor::build([count], |out: &mut [f32]| {
                for out in out.chunks_mut(STRETCH) {
                    out.copy_from_slice(&part[..out.len()]);
                }
            })?
        }
    };
    let on = all.reshape(shape)?.to_place(Some(clock.place))?;
    Ok(if dtype == Kind::Bf16 { on.to_dtype(DType::BF16)? } else { on })
}

fn bytes(tensors: &[&Tensor]) -> f64 {
    tensors.iter().map(|tensor| tensor.bytes() as f64).sum()
}

pub(super) fn copy(clock: &Clock<'_>, bytes: usize) -> Result<Told, Wrong> {
    let stream = clock.place.stream();
    let from = stream.allocate::<u32>(bytes / 4, "copy")?;
    let to = stream.allocate::<u32>(bytes / 4, "copy")?;
    stream.zero(&from)?;
    let measured = clock.measure(|| Ok(stream.copy(&to, &from)?))?;
    Ok(clock.told(measured, 0.0, 2.0 * bytes as f64))
}

pub(super) fn product(
    clock: &Clock<'_>,
    layout: Layout,
    dtype: Kind,
    [m, n, k]: [usize; 3],
) -> Result<Told, Wrong> {
    let (transpose_a, transpose_b) = (layout == Layout::Tn, layout == Layout::Nt);
    let a = draw(clock, 1, &if transpose_a { [k, m] } else { [m, k] }, dtype)?;
    let b = draw(clock, 2, &if transpose_b { [n, k] } else { [k, n] }, dtype)?;
    let op = Op::from(Matmul { transpose_a, transpose_b, ..Matmul::default() });
    let size = if dtype == Kind::Bf16 { 2.0 } else { 4.0 };
    let traffic = bytes(&[&a, &b]) + size * (m * n) as f64;
    let measured = clock.measure(|| op.forward(&[&a, &b]).map(drop))?;
    Ok(clock.told(measured, 2.0 * m as f64 * n as f64 * k as f64, traffic))
}

/// Sizes of attention.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) heads: usize,
    pub(super) dim: usize,
    pub(super) length: usize,
    pub(super) frames: usize,
}

pub(super) fn attention(
    clock: &Clock<'_>,
    dtype: Kind,
    sizes: Heads,
    is_backward: bool,
) -> Result<Told, Wrong> {
    let Heads { heads, dim, length, frames } = sizes;
    let mask = match frames {
        1 => AttentionMask::full(length, length),
        _ => AttentionMask::block_causal(&vec![length / frames; frames]),
    };
    let pairs = mask.visible_pairs() as f64;
    let inputs = [1, 2, 3].map(|number| draw(clock, number, &[length, heads * dim], dtype));
    let [q, k, v] = inputs;
    let (q, k, v) = (q?, k?, v?);
    let op = Attention { heads, scale: 1.0 / (dim as f32).sqrt(), mask: Arc::new(mask) };
    let product = 2.0 * pairs * (heads * dim) as f64;
    let inputs = [&q, &k, &v];
    if !is_backward {
        let measured = clock.measure(|| Op::from(op.clone()).forward(&inputs).map(drop))?;
        return Ok(clock.told(measured, 2.0 * product, bytes(&inputs) + q.bytes() as f64));
    }
    let results = Op::from(op.clone()).forward(&inputs)?;
    let grad = draw(clock, 4, &[length, heads * dim], dtype)?;
    let measured =
        clock.measure(|| op.backward(inputs, &results[0], &results[1], &grad).map(drop))?;
    Ok(clock.told(measured, 5.0 * product, 8.0 * q.bytes() as f64))
}

pub(super) fn rows(
    clock: &Clock<'_>,
    what: Rows,
    dtype: Kind,
    [rows, cols]: [usize; 2],
) -> Result<Told, Wrong> {
    let x = draw(clock, 1, &[rows, cols], dtype)?;
    let other = draw(clock, 2, &[rows, cols], dtype)?;
    let groups: Vec<i32> = (0..rows).map(|row| (row * GROUPS / rows) as i32).collect();
    let groups = Tensor::from_slice(&groups, [rows])?.to_place(Some(clock.place))?;
    let shared = [3, 4].map(|number| draw(clock, number, &[GROUPS, cols], dtype));
    let [scale, shift] = shared;
    let (scale, shift) = (scale?, shift?);
    let [own_scale, own_shift] = [5, 6].map(|number| draw(clock, number, &[cols], dtype));
    let (own_scale, own_shift) = (own_scale?, own_shift?);
    let one = x.bytes() as f64;
    let norm =
        |is_modulated| RmsNorm { epsilon: 1e-5, has_weight: false, is_modulated, result: None };
    let (measured, traffic) = match what {
        Rows::RmsNorm => {
            let op = Op::from(norm(false));
            (clock.measure(|| op.forward(&[&x]).map(drop))?, 2.0 * one)
        }
        Rows::RmsNormBackward => {
            let results = Op::from(norm(false)).forward(&[&x])?;
            let work = || norm(false).backward(&[&x], &results[1], &other).map(drop);
            (clock.measure(work)?, 3.0 * one)
        }
        Rows::Modulated => {
            let op = Op::from(norm(true));
            let inputs = [&x, &scale, &shift, &own_scale, &own_shift, &groups];
            (clock.measure(|| op.forward(&inputs).map(drop))?, 2.0 * one)
        }
        Rows::GateResidual => {
            let op = Op::from(GateResidual);
            let inputs = [&x, &scale, &own_scale, &other, &groups];
            (clock.measure(|| op.forward(&inputs).map(drop))?, 3.0 * one)
        }
        Rows::Swiglu => {
            let op = Op::from(Swiglu);
            (clock.measure(|| op.forward(&[&x, &other]).map(drop))?, 3.0 * one)
        }
    };
    Ok(clock.told(measured, 0.0, traffic))
}

/// Bytes that a step of AdamW reads and writes of each f32 weight: the gradient, and three values
/// that are read and written.
const ADAMW_BYTES: f64 = 28.0;

pub(super) fn adamw(clock: &Clock<'_>, tensors: usize, elements: usize) -> Result<Told, Wrong> {
    let mut parameters = Parameters::new();
    let mut gradients = Vec::new();
    for number in 0..tensors {
        let value = draw(clock, number as u64, &[elements], Kind::F32)?;
        parameters.insert(format!("w{number}"), value);
        gradients.push(Some(draw(clock, 100 + number as u64, &[elements], Kind::F32)?));
    }
    let mut optimizer = AdamW::new(&parameters, AdamWConfig::default())?;
    optimizer.place(Some(clock.place))?;
    let clip = Clip::new(&gradients, f32::MAX)?;
    let measured = clock.measure(|| optimizer.step(&mut parameters, &gradients, 1e-4, &clip))?;
    Ok(clock.told(measured, 0.0, ADAMW_BYTES * (tensors * elements) as f64))
}
