//! Heads with more features than the kernels have registers for, such as the one head of 512 in the
//! 3B model's autoencoder: the scores of a stretch of queries as a matrix, its softmax, and products.

use super::Attention;
use crate::accelerator::{Accelerator, Rows, TensorArguments, copy};
use crate::ops::{Binary, Concat, Matmul, Operation, Softmax, ready};
use crate::{DType, Result, Tensor};
use std::ops::Range;

/// Bytes that the scores of a stretch of queries take at most, beyond those of one query.
const SCORES: usize = 64 << 20;

/// Queries that see the same keys.
struct Stretch {
    queries: Range<usize>,
    keys: [Range<usize>; 2],
}

impl Stretch {
    /// All that see a key, in order.
    fn all(op: &Attention) -> Vec<Self> {
        let mut all = Vec::new();
        for block in op.mask.blocks() {
            let whole = |range: &Range<u32>| range.start as usize..range.end as usize;
            let keys = [whole(&block.prefix), whole(&block.own)];
            let seen = keys[0].len() + keys[1].len();
            let step = (SCORES / DType::F32.size() / seen.max(1)).max(1);
            let queries = whole(&block.queries);
            for start in queries.clone().step_by(step).take_while(|_| seen > 0) {
                let queries = start..queries.end.min(start + step);
                all.push(Self { queries, keys: keys.clone() });
            }
        }
        all
    }

    /// Rows of k or v that the queries see, of one head.
    fn seen(&self, place: &Accelerator, rows: &Tensor) -> Result<Tensor> {
        let parts = self.keys.iter().filter(|range| !range.is_empty());
        let parts = parts.map(|range| rows.narrow(0, range.start, range.len()));
        let parts: Vec<Tensor> = parts.collect::<Result<_>>()?;
        match &parts[..] {
            [one] => Ok(one.clone()),
            _ => one(Concat { axis: 0 }.forward_on(place, &parts.iter().collect::<Vec<_>>())?),
        }
    }

    /// Adds rows to those that [`Self::seen`] took.
    fn add(&self, place: &Accelerator, sums: &Tensor, rows: &Tensor) -> Result<()> {
        let mut done = 0;
        for range in self.keys.iter().filter(|range| !range.is_empty()) {
            let to = sums.narrow(0, range.start, range.len())?;
            let more = rows.narrow(0, done, range.len())?;
            copy(place, &to, &one(Binary::Add.forward_on(place, &[&to, &more])?)?)?;
            done += range.len();
        }
        Ok(())
    }

    fn of(&self, rows: &Tensor) -> Result<Tensor> {
        rows.narrow(0, self.queries.start, self.queries.len())
    }
}

fn one(mut results: Vec<Tensor>) -> Result<Tensor> {
    Ok(results.swap_remove(0))
}

/// The columns of one head.
fn head(op: &Attention, rows: &Tensor, index: usize) -> Result<Tensor> {
    let dim = rows.shape()[1] / op.heads;
    rows.narrow(1, index * dim, dim)
}

/// A product of two matrices, each turned or not.
fn product(
    place: &Accelerator,
    (a, transpose_a): (&Tensor, bool),
    (b, transpose_b): (&Tensor, bool),
    dtype: DType,
) -> Result<Tensor> {
    let op = Matmul { transpose_a, transpose_b, has_bias: false, result: Some(dtype) };
    one(op.forward_on(place, &[a, b])?)
}

/// Results of the op where every query sees a key, else with zeros and minus infinity in between.
pub(super) fn forward(
    op: &Attention,
    place: &Accelerator,
    inputs: [&Tensor; 3],
    dtype: DType,
) -> Result<Vec<Tensor>> {
    let ready = |input: &Tensor| ready(place, input, dtype);
    let [q, k, v] = [ready(inputs[0])?, ready(inputs[1])?, ready(inputs[2])?];
    let (stretches, softmax) = (Stretch::all(op), Softmax { scale: op.scale });
    let seeing: usize = stretches.iter().map(|stretch| stretch.queries.len()).sum();
    let lse_shape = [op.heads, q.shape()[0]];
    let (out, lse) = if seeing == q.shape()[0] {
        (place.uninit(q.shape(), dtype)?, place.uninit(lse_shape, DType::F32)?)
    } else {
        let none = Tensor::full(lse_shape, f32::NEG_INFINITY)?;
        (place.zeros(q.shape(), dtype)?, none.to_place(Some(place))?)
    };
    for h in 0..op.heads {
        let [q, k, v, out] =
            [head(op, &q, h)?, head(op, &k, h)?, head(op, &v, h)?, head(op, &out, h)?];
        for stretch in &stretches {
            let (k, v) = (stretch.seen(place, &k)?, stretch.seen(place, &v)?);
            let scores = product(place, (&stretch.of(&q)?, false), (&k, true), DType::F32)?;
            let of_head = lse.narrow(0, h, 1)?.reshape([lse_shape[1]])?;
            let of_rows = stretch.of(&of_head)?;
            let rows = Rows::of(&[&scores])?;
            let kernel = place.kernel(&format!("attention_log_sums_{}", rows.access()))?;
            let launch = kernel.launch().tensor(&scores)?.tensor(&of_rows)?;
            let launch = launch.size(rows.rows).size(rows.cols);
            launch.scalar(op.scale * std::f32::consts::LOG2_E).submit(place.stream())?;
            let p = one(softmax.forward_on(place, &[&scores])?)?.to_dtype(dtype)?;
            let rows = product(place, (&p, false), (&v, false), dtype)?;
            copy(place, &stretch.of(&out)?, &rows)?;
        }
    }
    Ok(vec![out, lse])
}

/// Gradients of q, k and v; scores are computed again.
pub(super) fn backward(
    op: &Attention,
    place: &Accelerator,
    inputs: [&Tensor; 3],
    grad: &Tensor,
    dtype: DType,
) -> Result<[Tensor; 3]> {
    let ready = |input: &Tensor| ready(place, input, dtype);
    let [q, k, v, dy] = [ready(inputs[0])?, ready(inputs[1])?, ready(inputs[2])?, ready(grad)?];
    let softmax = Softmax { scale: op.scale };
    let dq = place.zeros(q.shape(), dtype)?;
    let [dk, dv] = [place.zeros(k.shape(), DType::F32)?, place.zeros(v.shape(), DType::F32)?];
    for h in 0..op.heads {
        let [q, k, v, dy] =
            [head(op, &q, h)?, head(op, &k, h)?, head(op, &v, h)?, head(op, &dy, h)?];
        let [dq, dk, dv] = [head(op, &dq, h)?, head(op, &dk, h)?, head(op, &dv, h)?];
        for stretch in Stretch::all(op) {
            let (k, v) = (stretch.seen(place, &k)?, stretch.seen(place, &v)?);
            let (q, dy) = (stretch.of(&q)?, stretch.of(&dy)?);
            let scores = product(place, (&q, false), (&k, true), DType::F32)?;
            let p = one(softmax.forward_on(place, &[&scores])?)?;
            let dp = product(place, (&dy, false), (&v, true), DType::F32)?;
            let ds = softmax.backward(&p, &dp)?;
            let (p, ds) = (p.to_dtype(dtype)?, ds.to_dtype(dtype)?);
            let of_v = product(place, (&p, true), (&dy, false), DType::F32)?;
            let of_k = product(place, (&ds, true), (&q, false), DType::F32)?;
            stretch.add(place, &dv, &of_v)?;
            stretch.add(place, &dk, &of_k)?;
            let of_q = product(place, (&ds, false), (&k, false), dtype)?;
            copy(place, &stretch.of(&dq)?, &of_q)?;
        }
    }
    Ok([dq, dk.to_dtype(dtype)?, dv.to_dtype(dtype)?])
}
