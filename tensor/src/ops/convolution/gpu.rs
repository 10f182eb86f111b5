//! Products of gathered rows on tensor cores (bf16) or in f32, see `ptx/kernels/convolution`.

use super::tables::{Table, tables};
use crate::accelerator::{Accelerator, TensorArguments};
use crate::kernels::convolution::{Direction, Geometry};
use crate::ops::{Binary, Operation, ready, result_dtype};
use crate::{DType, Error, Result, Tensor};

/// Bytes of one copy of the kernels with tiles.
const COPY: usize = 16;

/// The kernel adds the bias.
const BIAS: u32 = 1;

/// Largest height and width of a frame: kernels keep places in 16 bits, with shifts beside them.
const MAX_SIDE: usize = 32_000;

/// Least pixels that a CTA of its own sums up for the gradient of the weights, and what parts are
/// multiples of.
const LEAST_PART: usize = 512;
const PART_STEP: usize = 64;

/// Tiles of pixels and columns, the largest first.
const TILES_BF16: [(usize, usize); 3] = [(128, 256), (128, 128), (64, 64)];
const TILES_F32: [(usize, usize); 2] = [(128, 128), (64, 64)];

/// The largest tile, and the shared memory that it takes.
const LARGEST: ((usize, usize), usize) = ((128, 256), 146 << 10);

/// The largest tile of the list with a CTA for every multiprocessor: its name in kernels, its sizes.
fn tile(
    place: &Accelerator,
    tiles: &[(usize, usize)],
    ctas: impl Fn((usize, usize)) -> usize,
    is_aligned: bool,
) -> (String, (usize, usize)) {
    let limits = place.device().limits();
    let smallest = tiles[tiles.len() - 1];
    if !is_aligned {
        return ("any".to_owned(), smallest);
    }
    let fills = |tile: &&(usize, usize)| {
        let fits = **tile != LARGEST.0 || limits.shared_bytes >= LARGEST.1;
        fits && ctas(**tile) >= limits.multiprocessors as usize
    };
    let tile = *tiles.iter().find(fills).unwrap_or(&smallest);
    (format!("{}x{}", tile.0, tile.1), tile)
}

fn tiles(dtype: DType) -> &'static [(usize, usize)] {
    if dtype == DType::BF16 { &TILES_BF16 } else { &TILES_F32 }
}

/// Whether 16-byte copies fit all rows.
fn is_aligned(tensors: &[&Tensor], columns: &[usize]) -> Result<bool> {
    let unit = COPY / tensors[0].dtype().size();
    let mut is_aligned = columns.iter().all(|columns| columns.is_multiple_of(unit));
    for tensor in tensors {
        is_aligned &= tensor.device_address()?.is_multiple_of(COPY as u64);
    }
    Ok(is_aligned)
}

/// `Err` where a frame is too large for the kernels.
fn check(geometry: &Geometry) -> Result<()> {
    let sides = [geometry.source[1], geometry.source[2], geometry.result[1], geometry.result[2]];
    match sides.iter().find(|&&side| side > MAX_SIDE) {
        Some(side) => {
            let what = format!("a frame has a side of {side}; at most {MAX_SIDE} on a device");
            Err(Error::shape(super::Convolution::NAME, what))
        }
        None => Ok(()),
    }
}

pub(super) fn forward(
    place: &Accelerator,
    geometry: &Geometry,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    check(geometry)?;
    let dtype = result_dtype(&inputs[..2]);
    let (x, weight) = (ready(place, inputs[0], dtype)?, ready(place, inputs[1], dtype)?);
    let bias = inputs.get(2).map(|bias| ready(place, bias, DType::F32)).transpose()?;
    let shape = geometry.result_shape();
    if shape.count() == 0 || geometry.channels == 0 {
        let zeros = place.zeros(shape, dtype)?;
        return match &bias {
            Some(bias) => Binary::Add.forward_on(place, &[&zeros, &bias.to_dtype(dtype)?]),
            None => Ok(vec![zeros]),
        };
    }
    let y = place.uninit(shape, dtype)?;
    for table in tables(place, geometry, Direction::Forward)?.iter() {
        gather(place, geometry, table, Direction::Forward, [&x, &weight, &y], bias.as_ref())?;
    }
    Ok(vec![y])
}

pub(super) fn backward_x(
    place: &Accelerator,
    geometry: &Geometry,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    check(geometry)?;
    let dtype = result_dtype(&[weight, grad]);
    let (weight, dy) = (ready(place, weight, dtype)?, ready(place, grad, dtype)?);
    let shape = geometry.x_shape();
    if shape.count() == 0 || geometry.filters == 0 {
        return place.zeros(shape, dtype);
    }
    let tables = tables(place, geometry, Direction::Backward)?;
    // Pixels that no kernel met stay zero.
    let is_met = tables.iter().all(|table| !table.lattice.terms.is_empty());
    let dx = if is_met { place.uninit(shape, dtype)? } else { place.zeros(shape, dtype)? };
    for table in tables.iter().filter(|table| !table.lattice.terms.is_empty()) {
        gather(place, geometry, table, Direction::Backward, [&dy, &weight, &dx], None)?;
    }
    Ok(dx)
}

/// Rows of one lattice.
fn gather(
    place: &Accelerator,
    geometry: &Geometry,
    table: &Table,
    direction: Direction,
    [from, weight, to]: [&Tensor; 3],
    bias: Option<&Tensor>,
) -> Result<()> {
    let (dtype, m) = (from.dtype(), table.lattice.rows());
    let (pass, k, n) = match direction {
        Direction::Forward => ("forward", geometry.channels, geometry.filters),
        Direction::Backward => ("backward", geometry.filters, geometry.channels),
    };
    let is_aligned = is_aligned(&[from, weight, to], &[k, n])?;
    let ctas = |(rows, cols): (usize, usize)| m.div_ceil(rows) * n.div_ceil(cols);
    let (tile, _) = tile(place, tiles(dtype), ctas, is_aligned);
    let kernel = place.kernel(&format!("convolution_gather_{pass}_{dtype}_{tile}"))?;
    let launch = kernel.launch().tensor(from)?.tensor(weight)?.optional(bias)?.tensor(to)?;
    let launch = launch.buffer(&table.words).size(m).size(n).size(k);
    let launch = launch.size(table.lattice.terms.len()).size(geometry.taps());
    let launch = launch.scalar(if bias.is_some() { BIAS } else { 0 });
    let launch = launch.dim("pixels", from.count() / k).dim("written", to.count() / n);
    Ok(launch.submit(place.stream())?)
}

pub(super) fn backward_weight(
    place: &Accelerator,
    geometry: &Geometry,
    x: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    check(geometry)?;
    let dtype = result_dtype(&[x, grad]);
    let (x, dy) = (ready(place, x, dtype)?, ready(place, grad, dtype)?);
    let shape = geometry.weight_shape();
    let (m, n, taps) = (geometry.filters, geometry.channels, geometry.taps());
    let pixels = geometry.result_rows();
    if shape.count() == 0 || pixels == 0 {
        return place.zeros(shape, DType::F32);
    }
    let tables = tables(place, geometry, Direction::Forward)?;
    // Tiles of both types come in these sizes.
    let is_aligned = is_aligned(&[&x, &dy], &[m, n])?;
    let ctas = |(rows, cols): (usize, usize)| taps * m.div_ceil(rows) * n.div_ceil(cols);
    let (tile, size) = tile(place, &TILES_F32, ctas, is_aligned);
    let processors = place.device().limits().multiprocessors as usize;
    let parts = (2 * processors / ctas(size)).clamp(1, (pixels / LEAST_PART).max(1));
    let part = pixels.div_ceil(parts).next_multiple_of(PART_STEP);
    let parts = pixels.div_ceil(part);
    let dw = place.uninit(shape, DType::F32)?;
    let sums = match parts {
        1 => dw.clone(),
        _ => place.uninit([parts, m, taps * n], DType::F32)?,
    };
    for table in tables.iter() {
        let kernel = place.kernel(&format!("convolution_weight_{dtype}_{tile}"))?;
        let launch = kernel.launch().tensor(&x)?.tensor(&dy)?.tensor(&sums)?;
        let launch = launch.buffer(&table.words).size(m).size(n).size(pixels).size(part);
        let launch = launch.size(taps).dim("parts", parts).dim("read", x.count() / n);
        launch.submit(place.stream())?;
    }
    if parts > 1 {
        let kernel = place.kernel("matmul_reduce_f32")?;
        let launch = kernel.launch().tensor(&sums)?.null().tensor(&dw)?;
        let launch = launch.size(parts).size(m).size(taps * n).size(taps * n);
        launch.scalar(0u32).submit(place.stream())?;
    }
    Ok(dw)
}
