//! Tiles of tensor-core (bf16) or plain (f32) products, see `ptx/kernels/matmul`.

use super::{Matmul, Sizes};
use crate::accelerator::{Accelerator, TensorArguments};
use crate::ops::{Binary, Operation, ready, result_dtype};
use crate::{DType, Result, Tensor};

/// Bytes of one copy of the kernels with tiles.
pub(super) const COPY: usize = 16;

/// The kernel adds the bias.
const BIAS: u32 = 1;

/// Most rows of a result that is added up from parts.
const MOST_ROWS: usize = 65_535;

/// Least part of a long sum that a CTA of its own takes.
const LEAST_PART: usize = 512;

/// Tiles by dtype, the largest first.
const TILES_BF16: [(usize, usize); 3] = [(128, 256), (128, 128), (64, 64)];
const TILES_F32: [(usize, usize); 2] = [(128, 128), (64, 64)];

/// The largest tile, and the shared memory that it takes.
const LARGEST: ((usize, usize), usize) = ((128, 256), 144 << 10);

/// An operand as kernels walk it.
pub(super) struct Operand {
    pub(super) tensor: Tensor,
    /// Elements from a line of it to the next.
    pub(super) lead: usize,
    /// Elements from a matrix of the batch to the next.
    step: usize,
    /// Lines are columns of the matrix, as the op sees it.
    pub(super) is_turned: bool,
}

impl Operand {
    /// An operand of `batch` matrices, or one tall one.
    pub(super) fn new(input: &Tensor, dtype: DType, is_turned: bool, batch: usize) -> Result<Self> {
        let input = input.to_dtype(dtype)?;
        let (shape, strides, rank) = (input.shape(), input.strides(), input.shape().rank());
        let (rows, cols) = (shape[rank - 2], shape[rank - 1]);
        let (row_step, col_step) = (strides[rank - 2], strides[rank - 1]);
        // A view of one matrix is taken as it is where one of its axes is dense.
        if rank == 2 && batch == 1 {
            if col_step == 1 && row_step >= cols {
                return Ok(Self { tensor: input, lead: row_step, step: 0, is_turned });
            }
            if row_step == 1 && col_step >= rows {
                let is_turned = !is_turned;
                return Ok(Self { tensor: input, lead: col_step, step: 0, is_turned });
            }
        }
        let tensor = input.contiguous()?;
        Ok(Self { tensor, lead: cols, step: rows * cols, is_turned })
    }

    pub(super) fn is_aligned(&self) -> Result<bool> {
        let unit = COPY / self.tensor.dtype().size();
        let address = self.tensor.device_address()?;
        Ok(address.is_multiple_of(COPY as u64)
            && self.lead.is_multiple_of(unit)
            && self.step.is_multiple_of(unit))
    }
}

/// How a product is cut into CTAs.
pub(super) struct Plan {
    pub(super) tile: String,
    /// Length of each part of the sums, and how many there are.
    part: usize,
    pub(super) parts: usize,
}

impl Plan {
    pub(super) fn new(place: &Accelerator, dtype: DType, sizes: &Sizes, is_aligned: bool) -> Self {
        let &Sizes { batch, m, n, k } = sizes;
        let processors = place.device().limits().multiprocessors as usize;
        let ctas = |(rows, cols): (usize, usize)| batch * m.div_ceil(rows) * n.div_ceil(cols);
        let tiles: &[_] = if dtype == DType::BF16 { &TILES_BF16 } else { &TILES_F32 };
        let smallest = tiles[tiles.len() - 1];
        let shared_bytes = place.device().limits().shared_bytes;
        let fills = |tile: &&(usize, usize)| {
            ctas(**tile) >= processors && (**tile != LARGEST.0 || shared_bytes >= LARGEST.1)
        };
        let tile = *tiles.iter().find(fills).unwrap_or(&smallest);
        let name = if is_aligned { format!("{}x{}", tile.0, tile.1) } else { "any".to_owned() };
        let is_cut = batch == 1 && m <= MOST_ROWS;
        let wanted = if is_cut { processors / ctas(tile).max(1) } else { 1 };
        let parts = wanted.min(k / LEAST_PART).max(1);
        let part = k.div_ceil(parts).next_multiple_of(64);
        Self { tile: name, part: part.min(k), parts: k.div_ceil(part.min(k)) }
    }
}

pub(super) fn forward(op: &Matmul, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let (sizes, shape) = op.sizes(inputs[0].shape(), inputs[1].shape())?;
    let Sizes { batch, m, n, k } = sizes;
    let (dtype, out) = (result_dtype(&inputs[..2]), op.result_dtype(inputs));
    // Only bf16 products come with results of another type.
    let stored = if dtype == DType::F32 { dtype } else { out };
    let bias = match op.has_bias {
        true => Some(ready(place, inputs[2], DType::F32)?),
        false => None,
    };
    if m * n * batch == 0 || k == 0 {
        let zeros = place.zeros(shape, out)?;
        return match &bias {
            Some(bias) => Binary::Add.forward_on(place, &[&zeros, &bias.to_dtype(out)?]),
            None => Ok(vec![zeros]),
        };
    }
    let is_tall = inputs[1].shape().rank() == 2 && !op.transpose_a;
    let a = if is_tall { inputs[0].reshape([m, k])? } else { inputs[0].clone() };
    let a = Operand::new(&a, dtype, op.transpose_a, batch)?;
    let b = Operand::new(inputs[1], dtype, op.transpose_b, batch)?;
    let unit = COPY / dtype.size();
    let is_aligned = a.is_aligned()? && b.is_aligned()? && n.is_multiple_of(unit);
    let plan = Plan::new(place, dtype, &sizes, is_aligned);
    let c = place.uninit(shape, stored)?;
    if plan.parts == 1 {
        launch(place, [&a, &b], bias.as_ref(), &c, &sizes, &plan)?;
        return Ok(vec![c.to_dtype(out)?]);
    }
    let parts = place.uninit([plan.parts, m, n], DType::F32)?;
    launch(place, [&a, &b], None, &parts, &sizes, &plan)?;
    let kernel = place.kernel(&format!("matmul_reduce_{stored}"))?;
    let launch = kernel.launch().tensor(&parts)?.optional(bias.as_ref())?.tensor(&c)?;
    let launch = launch.size(plan.parts).size(m).size(n).size(n);
    launch.scalar(epilogue(bias.as_ref())).submit(place.stream())?;
    Ok(vec![c.to_dtype(out)?])
}

fn epilogue(bias: Option<&Tensor>) -> u32 {
    if bias.is_some() { BIAS } else { 0 }
}

/// Starts the kernel. The entries of `c` are matrices of a batch, or parts of the sums of one.
fn launch(
    place: &Accelerator,
    [a, b]: [&Operand; 2],
    bias: Option<&Tensor>,
    c: &Tensor,
    sizes: &Sizes,
    plan: &Plan,
) -> Result<()> {
    let &Sizes { batch, m, n, k } = sizes;
    let letter = |operand: &Operand| if operand.is_turned { 't' } else { 'n' };
    let (dtype, tile) = (a.tensor.dtype(), &plan.tile);
    let name = match dtype {
        DType::BF16 => format!("matmul_{}{}_{dtype}_{}_{tile}", letter(a), letter(b), c.dtype()),
        _ => format!("matmul_{}{}_{dtype}_{tile}", letter(a), letter(b)),
    };
    // Where k runs along lines, a part begins so many elements further on; else so many lines.
    let step = |operand: &Operand, by_k: bool| match plan.parts {
        1 => operand.step,
        _ => plan.part * if by_k { 1 } else { operand.lead },
    };
    let (step_a, step_b) = (step(a, !a.is_turned), step(b, b.is_turned));
    let last = k - plan.part * (plan.parts - 1);
    let kernel = place.kernel(&name)?;
    let launch = kernel.launch().tensor(&a.tensor)?.tensor(&b.tensor)?.optional(bias)?.tensor(c)?;
    let launch = launch.size(m).size(n).size(plan.part).size(last);
    let launch = launch.size(a.lead).size(b.lead).size(n);
    let launch = launch.scalar(epilogue(bias));
    let launch = launch.scalar(step_a as u64).scalar(step_b as u64).scalar((m * n) as u64);
    Ok(launch.dim("batch", batch.max(plan.parts)).submit(place.stream())?)
}
