//! Tiles of scores with an online softmax, hidden ones skipped, see `ptx/kernels/attention`.

use super::tables::{Key, Owner, Tables};
use super::{Attention, wide};
use crate::accelerator::{Accelerator, TensorArguments, copy};
use crate::ops::{ready, result_dtype};
use crate::{DType, Result, Tensor};

/// Head sizes that kernels come in; others are filled up with zeros.
const DIMS: [usize; 4] = [16, 32, 64, 128];

/// Threads of the kernel behind `delta`, and bytes that each takes.
const DELTA_BYTES: usize = 256 * 16;

/// Queries from which on a CTA takes 128 of them.
const MANY: usize = 2048;

/// What is common to both passes.
struct Shape {
    dtype: DType,
    heads: usize,
    /// Features of a head, and in the kernels.
    dim: usize,
    padded: usize,
    queries: usize,
    keys: usize,
    scale_log2: f32,
}

impl Shape {
    fn new(op: &Attention, inputs: &[&Tensor], dtype: DType) -> Self {
        let (q, k) = (inputs[0].shape(), inputs[1].shape());
        let dim = q[1] / op.heads;
        let padded = DIMS.into_iter().find(|&padded| padded >= dim).unwrap_or(dim);
        let scale_log2 = op.scale * std::f32::consts::LOG2_E;
        let (queries, keys) = (q[0], k[0]);
        Self { dtype, heads: op.heads, dim, padded, queries, keys, scale_log2 }
    }

    /// Whether heads have more features than the kernels.
    fn is_wide(&self) -> bool {
        self.dim > DIMS[3]
    }

    /// Rows of a tile of the CTA's own side, and of one that it visits.
    fn tile(&self, rows: usize) -> (usize, usize) {
        match self.dtype {
            DType::BF16 if rows >= MANY => (128, 64),
            DType::BF16 => (64, 64),
            _ => (32, 32),
        }
    }

    fn tables(&self, op: &Attention, place: &Accelerator, owner: Owner) -> Result<(Tables, usize)> {
        let own = if owner == Owner::Queries { self.queries } else { self.keys };
        let (rows, cols) = self.tile(own);
        let (queries, keys) = (self.queries, self.keys);
        let key = Key { mask: (*op.mask).clone(), owner, queries, keys, rows, cols };
        Ok((place.tables(key)?, rows))
    }

    /// An operand with heads of the kernels' size, where the kernels can copy 16 bytes at a time.
    fn operand(&self, place: &Accelerator, input: &Tensor) -> Result<Tensor> {
        let input = ready(place, input, self.dtype)?;
        if self.padded == self.dim && input.device_address()?.is_multiple_of(16) {
            return Ok(input);
        }
        let rows = input.shape()[0];
        let padded = place.zeros([rows, self.heads, self.padded], self.dtype)?;
        let heads = input.reshape([rows, self.heads, self.dim])?;
        copy(place, &padded.narrow(2, 0, self.dim)?, &heads)?;
        padded.reshape([rows, self.width()])
    }

    /// A result without the features that were filled up.
    fn result(&self, padded: Tensor) -> Result<Tensor> {
        if self.padded == self.dim {
            return Ok(padded);
        }
        let rows = padded.shape()[0];
        let heads = padded.reshape([rows, self.heads, self.padded])?.narrow(2, 0, self.dim)?;
        heads.contiguous()?.reshape([rows, self.heads * self.dim])
    }

    fn width(&self) -> usize {
        self.heads * self.padded
    }
}

pub(super) fn forward(
    op: &Attention,
    place: &Accelerator,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let dtype = result_dtype(inputs);
    let shape = Shape::new(op, inputs, dtype);
    if shape.is_wide() {
        return wide::forward(op, place, [inputs[0], inputs[1], inputs[2]], dtype);
    }
    let out = place.uninit([shape.queries, shape.width()], dtype)?;
    let lse = place.uninit([shape.heads, shape.queries], DType::F32)?;
    if out.count() > 0 {
        let of = |input: &Tensor| shape.operand(place, input);
        let (q, k, v) = (of(inputs[0])?, of(inputs[1])?, of(inputs[2])?);
        let (tables, rows) = shape.tables(op, place, Owner::Queries)?;
        let name = format!("attention_forward_{dtype}_d{}_q{rows}", shape.padded);
        let kernel = place.kernel(&name)?;
        let launch = kernel.launch().tensor(&q)?.tensor(&k)?.tensor(&v)?;
        let launch = launch.tensor(&out)?.tensor(&lse)?;
        let launch = launch.buffer(&tables.tiles).buffer(&tables.visits).buffer(&tables.ranges);
        let launch = launch.size(shape.queries).size(shape.keys);
        let launch = (0..4).fold(launch, |launch, _| launch.size(shape.width()));
        let launch = launch.scalar(shape.scale_log2).dim("heads", shape.heads);
        launch.dim("visited", tables.visits.len()).submit(place.stream())?;
    }
    Ok(vec![shape.result(out)?, lse])
}

pub(super) fn backward(
    op: &Attention,
    place: &Accelerator,
    inputs: [&Tensor; 3],
    output: &Tensor,
    log_sum_exp: &Tensor,
    grad: &Tensor,
) -> Result<[Tensor; 3]> {
    let dtype = result_dtype(&[inputs[0], inputs[1], inputs[2], grad]);
    let shape = Shape::new(op, &inputs, dtype);
    if shape.is_wide() {
        return wide::backward(op, place, inputs, grad, dtype);
    }
    let new = |rows: usize| place.uninit([rows, shape.width()], dtype);
    let [dq, dk, dv] = [new(shape.queries)?, new(shape.keys)?, new(shape.keys)?];
    let of = |input: &Tensor| shape.operand(place, input);
    let [q, k, v, out, dy] =
        [of(inputs[0])?, of(inputs[1])?, of(inputs[2])?, of(output)?, of(grad)?];
    let lse = ready(place, log_sum_exp, DType::F32)?;
    let terms = place.uninit([shape.heads, shape.queries, 2], DType::F32)?;
    if dq.count() > 0 {
        let kernel = place.kernel(&format!("attention_delta_{dtype}_d{}", shape.padded))?;
        let launch = kernel.launch().tensor(&out)?.tensor(&dy)?.tensor(&lse)?.tensor(&terms)?;
        let launch = launch.size(shape.queries).size(shape.width()).size(shape.width());
        let rows = DELTA_BYTES / (shape.padded * dtype.size());
        launch.dim("heads", shape.heads).dim("rows", rows).submit(place.stream())?;
    }
    for (owner, name, results) in
        [(Owner::Queries, "queries", &[&dq][..]), (Owner::Keys, "keys", &[&dk, &dv][..])]
    {
        if results[0].count() == 0 {
            continue;
        }
        let (tables, rows) = shape.tables(op, place, owner)?;
        let name = format!("attention_backward_{name}_{dtype}_d{}_r{rows}", shape.padded);
        let kernel = place.kernel(&name)?;
        let mut launch = kernel.launch();
        for tensor in [&q, &k, &v, &dy, &terms].into_iter().chain(results.iter().copied()) {
            launch = launch.tensor(tensor)?;
        }
        let launch = launch.buffer(&tables.tiles).buffer(&tables.visits).buffer(&tables.ranges);
        let launch = launch.size(shape.queries).size(shape.keys);
        let strides = 4 + results.len();
        let launch = (0..strides).fold(launch, |launch, _| launch.size(shape.width()));
        let launch = launch.scalar(shape.scale_log2).dim("heads", shape.heads);
        launch.dim("visited", tables.visits.len()).submit(place.stream())?;
    }
    Ok([shape.result(dq)?, shape.result(dk)?, shape.result(dv)?])
}
