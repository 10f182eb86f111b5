//! Rows copied by threads; gradients added up by whoever owns the row, in the order of the indices.

use super::Gather;
use crate::accelerator::{Accelerator, TensorArguments};
use crate::ops::ready;
use crate::{DType, Result, Tensor};

/// Bytes of one access.
const ACCESS: usize = 16;

pub(super) fn forward(_: &Gather, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let table = ready(place, inputs[0], inputs[0].dtype())?;
    let rows = ready(place, inputs[1], DType::I32)?;
    let (n, cols, dtype) = (rows.count(), table.shape()[1], table.dtype());
    let y = place.uninit([n, cols], dtype)?;
    if y.count() > 0 {
        let width = ACCESS / dtype.size();
        let is_wide =
            cols.is_multiple_of(width) && table.device_address()?.is_multiple_of(ACCESS as u64);
        let access = if is_wide { "wide" } else { "any" };
        let kernel = place.kernel(&format!("gather_forward_{dtype}_{access}"))?;
        let launch = kernel.launch().tensor(&table)?.tensor(&rows)?.tensor(&y)?.size(n).size(cols);
        let units = if is_wide { cols / width } else { cols };
        launch.dim("units", units).submit(place.stream())?;
    }
    Ok(vec![y])
}

pub(super) fn backward(
    place: &Accelerator,
    table_rows: usize,
    rows: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    let (rows, dy) = (ready(place, rows, DType::I32)?, ready(place, grad, grad.dtype())?);
    let cols = dy.shape()[1];
    let d_table = place.uninit([table_rows, cols], DType::F32)?;
    if d_table.count() > 0 {
        let kernel = place.kernel(&format!("gather_backward_{}", dy.dtype()))?;
        let launch = kernel.launch().tensor(&rows)?.tensor(&dy)?.tensor(&d_table)?;
        let launch = launch.size(rows.count()).size(cols).dim("v", table_rows);
        launch.submit(place.stream())?;
    }
    Ok(d_table)
}
