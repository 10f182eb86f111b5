//! Sums over rows by warps, over columns by threads; long sums in stretches that are added after.

use super::Reduce;
use crate::accelerator::{Accelerator, TensorArguments};
use crate::ops::ready;
use crate::{DType, Result, Tensor};

/// Rows that a thread adds up before another one takes over.
const ROWS: usize = 256;

/// Elements that a warp adds up before another one takes over.
const ELEMENTS: usize = 1 << 14;

pub(super) fn forward(op: &Reduce, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let (outer, size, inner, factor) = op.split(inputs[0].shape());
    let x = ready(place, inputs[0], inputs[0].dtype())?;
    let y = if inner == 1 {
        sum_rows(place, &x, outer, size, factor as f32)?
    } else {
        sum_columns(place, &x, [outer, size, inner], factor as f32)?
    };
    Ok(vec![y.reshape(inputs[0].shape().with_dim(op.axis, 1))?])
}

/// Sums, times `factor`, of the `outer` rows of `size` elements.
fn sum_rows(
    place: &Accelerator,
    x: &Tensor,
    outer: usize,
    size: usize,
    factor: f32,
) -> Result<Tensor> {
    let y = place.uninit([outer], DType::F32)?;
    if outer == 1 && size > 0 && factor == 1.0 {
        write_sum(place, x, "sum", &y)?;
    } else {
        rows(place, x, "sum", (outer, size, outer * size), factor, &y)?;
    }
    Ok(y)
}

/// `y`, one element, becomes the sum of all elements of `x` (`sum`) or of their squares (`square`).
pub(crate) fn write_sum(place: &Accelerator, x: &Tensor, function: &str, y: &Tensor) -> Result<()> {
    let size = x.count();
    if size <= ELEMENTS {
        return rows(place, x, function, (1, size, size), 1.0, y);
    }
    let stretches = size.div_ceil(ELEMENTS);
    let parts = place.uninit([stretches], DType::F32)?;
    rows(place, x, function, (stretches, ELEMENTS, size), 1.0, &parts)?;
    write_sum(place, &parts, "sum", y)
}

/// Sums of rows of `size` elements, of `total` elements in all: the last row may be shorter.
fn rows(
    place: &Accelerator,
    x: &Tensor,
    function: &str,
    (rows, size, total): (usize, usize, usize),
    factor: f32,
    y: &Tensor,
) -> Result<()> {
    if rows == 0 {
        return Ok(());
    }
    let kernel = place.kernel(&format!("reduce_rows_{function}_{}", x.dtype()))?;
    let launch = kernel.launch().tensor(x)?.tensor(y)?.size(rows).size(size);
    Ok(launch.scalar(total as u64).scalar(factor).submit(place.stream())?)
}

/// Sums, times `factor`, over the middle one of three axes.
pub(crate) fn sum_columns(
    place: &Accelerator,
    x: &Tensor,
    [outer, size, inner]: [usize; 3],
    factor: f32,
) -> Result<Tensor> {
    let splits = size.div_ceil(ROWS).max(1);
    let y = place.uninit([splits, outer, inner], DType::F32)?;
    if y.count() == 0 {
        return y.narrow(0, 0, 1)?.reshape([outer, inner]);
    }
    let kernel = place.kernel(&format!("reduce_columns_{}", x.dtype()))?;
    let launch = kernel.launch().tensor(x)?.tensor(&y)?.size(outer).size(size).size(inner);
    let last = if splits == 1 { factor } else { 1.0 };
    launch.size(ROWS).scalar(last).dim("splits", splits).submit(place.stream())?;
    if splits == 1 {
        return y.reshape([outer, inner]);
    }
    sum_columns(place, &y, [1, splits, outer * inner], factor)?.reshape([outer, inner])
}
