//! Columns of gathered rows, times the weight as a matrix.

use crate::accelerator::Accelerator;
use crate::kernels::convolution::{Direction, Geometry, Lattice};
use crate::ops::{Concat, Gather, Matmul, Operation, ready, result_dtype};
use crate::{Result, Tensor};

/// Bytes that the columns of one product take at most, beyond those of one row.
const COLUMNS: usize = 256 << 20;

/// Rows of a table with a row of zeros behind the last, and where to find them.
struct Table {
    rows: Tensor,
    channels: usize,
}

impl Table {
    fn new(place: &Accelerator, tensor: &Tensor) -> Result<Self> {
        let channels = tensor.shape().last_dim();
        let rows = tensor.reshape([tensor.shape().rows(), channels])?;
        let zeros = place.zeros([1, channels], tensor.dtype())?;
        Ok(Self { rows: one(Concat { axis: 0 }.forward_on(place, &[&rows, &zeros])?), channels })
    }

    /// What rows of a lattice read, one term's channels after another's.
    fn columns(
        &self,
        place: &Accelerator,
        lattice: &Lattice,
        rows: std::ops::Range<usize>,
    ) -> Result<Tensor> {
        let outside = self.rows.shape()[0] - 1;
        let mut index = Vec::with_capacity(rows.len() * lattice.terms.len());
        for row in rows.clone() {
            let at = lattice.place(row);
            let read = lattice.terms.iter().map(|term| lattice.read(at, term).unwrap_or(outside));
            index.extend(read.map(|row| row as i32));
        }
        let columns = one(Gather.forward_on(place, &[&self.rows, &indices(place, &index)?])?);
        columns.reshape([rows.len(), lattice.terms.len() * self.channels])
    }

    /// Rows of a lattice in parts whose columns are bounded.
    fn parts(&self, lattice: &Lattice) -> Vec<std::ops::Range<usize>> {
        let row = lattice.terms.len() * self.channels * self.rows.dtype().size();
        let step = (COLUMNS / row.max(1)).max(1);
        let rows = lattice.rows();
        (0..rows).step_by(step).map(|start| start..rows.min(start + step)).collect()
    }
}

fn one(mut results: Vec<Tensor>) -> Tensor {
    results.swap_remove(0)
}

fn indices(place: &Accelerator, values: &[i32]) -> Result<Tensor> {
    Tensor::from_slice(values, [values.len()])?.to_place(Some(place))
}

/// Tensors one after another along the first axis.
fn joined(place: &Accelerator, parts: &[Tensor]) -> Result<Tensor> {
    Ok(one(Concat { axis: 0 }.forward_on(place, &parts.iter().collect::<Vec<_>>())?))
}

pub(super) fn forward(
    place: &Accelerator,
    geometry: &Geometry,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let dtype = result_dtype(inputs);
    let table = Table::new(place, &ready(place, inputs[0], dtype)?)?;
    let weight = ready(place, inputs[1], dtype)?;
    let weight = weight.reshape([geometry.filters, geometry.taps() * geometry.channels])?;
    let bias = inputs.get(2);
    let product = Matmul::linear(bias.is_some());
    let mut parts = Vec::new();
    for lattice in Lattice::all(geometry, Direction::Forward) {
        for rows in table.parts(&lattice) {
            let columns = table.columns(place, &lattice, rows)?;
            let mut operands = vec![&columns, &weight];
            operands.extend(bias);
            parts.push(one(product.forward_on(place, &operands)?));
        }
    }
    if parts.is_empty() {
        return Ok(vec![place.zeros(geometry.result_shape(), dtype)?]);
    }
    Ok(vec![joined(place, &parts)?.reshape(geometry.result_shape())?])
}

pub(super) fn backward_x(
    place: &Accelerator,
    geometry: &Geometry,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    let dtype = result_dtype(&[weight, grad]);
    let (taps, channels, filters) = (geometry.taps(), geometry.channels, geometry.filters);
    let table = Table::new(place, &ready(place, grad, dtype)?)?;
    let by_tap = ready(place, weight, dtype)?.reshape([filters, taps, channels])?;
    let by_tap = by_tap.permute(&[1, 0, 2])?.contiguous()?.reshape([taps, filters * channels])?;
    let mut parts = Vec::new();
    let mut places = vec![0i32; geometry.source_rows()];
    let mut written = 0;
    for lattice in Lattice::all(geometry, Direction::Backward) {
        for row in 0..lattice.rows() {
            places[lattice.target(lattice.place(row))] = (written + row) as i32;
        }
        written += lattice.rows();
        if lattice.terms.is_empty() {
            parts.push(place.zeros([lattice.rows(), channels], dtype)?);
            continue;
        }
        let used: Vec<i32> = lattice.terms.iter().map(|term| term.tap as i32).collect();
        let weight = one(Gather.forward_on(place, &[&by_tap, &indices(place, &used)?])?);
        let weight = weight.reshape([used.len() * filters, channels])?;
        for rows in table.parts(&lattice) {
            let columns = table.columns(place, &lattice, rows)?;
            parts.push(one(Matmul::default().forward_on(place, &[&columns, &weight])?));
        }
    }
    if parts.is_empty() {
        return place.zeros(geometry.x_shape(), dtype);
    }
    let rows = joined(place, &parts)?;
    let places = indices(place, &places)?;
    one(Gather.forward_on(place, &[&rows, &places])?).reshape(geometry.x_shape())
}

pub(super) fn backward_weight(
    place: &Accelerator,
    geometry: &Geometry,
    x: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    let dtype = result_dtype(&[x, grad]);
    let table = Table::new(place, &ready(place, x, dtype)?)?;
    let grad = ready(place, grad, dtype)?;
    let grad = grad.reshape([geometry.result_rows(), geometry.filters])?;
    let product = Matmul { transpose_a: true, ..Matmul::default() };
    let mut sum: Option<Tensor> = None;
    for lattice in Lattice::all(geometry, Direction::Forward) {
        for rows in table.parts(&lattice) {
            let of_rows = grad.narrow(0, rows.start, rows.len())?;
            let columns = table.columns(place, &lattice, rows)?;
            let part = one(product.forward_on(place, &[&of_rows, &columns])?).to_f32()?;
            sum = Some(match sum {
                Some(sum) => one(crate::ops::Binary::Add.forward_on(place, &[&sum, &part])?),
                None => part,
            });
        }
    }
    match sum {
        Some(sum) => sum.to_dtype(dtype)?.reshape(geometry.weight_shape()),
        None => place.zeros(geometry.weight_shape(), dtype),
    }
}
