//! Rows of a table by index: embedding look-up, and any reordering of rows. Its gradient adds rows
//! back in index order, so a row taken twice gets the sum in a fixed order.

mod gpu;

use super::{Operation, Spec, arity, as_indices, dense, float, indices, place_of, slice};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Element, Error, Result, Shape, Tensor};
use half::bf16;
use rayon::prelude::*;

/// Rows handled by one task.
const CHUNK: usize = 256;

/// Parameters of the op: inputs are a table `[V, C]` and indices i32 `[n]`; the result is `[n, C]`.
#[derive(Clone, Copy, Debug)]
pub struct Gather;

impl Operation for Gather {
    const NAME: &'static str = "gather";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 2)?;
        let (table, rows) = (inputs[0], inputs[1]);
        float(Self::NAME, "table", table)?;
        if table.shape().rank() != 2 || rows.shape().rank() != 1 {
            let what = format!(
                "table {} and indices {}; expected [V, C] and [n]",
                table.shape(),
                rows.shape()
            );
            return Err(Error::shape(Self::NAME, what));
        }
        indices(Self::NAME, "indices", rows, rows.count(), table.shape()[0])?;
        Ok(vec![(Shape::from([rows.count(), table.shape()[1]]), table.dtype())])
    }

    fn flops(&self, _: &[&Tensor]) -> u64 {
        0
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let (table, rows) = (inputs[0].contiguous()?, as_indices(inputs[1])?);
        Ok(vec![match table.dtype() {
            DType::F32 => copy_rows::<f32>(&table, &rows)?,
            DType::BF16 => copy_rows::<bf16>(&table, &rows)?,
            DType::I32 => copy_rows::<i32>(&table, &rows)?,
            DType::U8 => copy_rows::<u8>(&table, &rows)?,
        }])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let mut result = Array::zeros([inputs[1].data.len(), inputs[0].shape[1]]);
        for (to, row) in inputs[1].indices().enumerate() {
            result.row_mut(to).copy_from_slice(inputs[0].row(row));
        }
        vec![result]
    }
}

/// The rows of a contiguous table, which may be a file that is much larger than they are.
fn copy_rows<T: Element>(table: &Tensor, rows: &[u32]) -> Result<Tensor> {
    let width = table.shape()[1];
    let source = table.as_slice::<T>().expect("the table is contiguous and of this type");
    Tensor::build([rows.len(), width], |all: &mut [T]| {
        if width == 0 {
            return;
        }
        all.par_chunks_mut(CHUNK * width).zip(rows.par_chunks(CHUNK)).for_each(|(to, rows)| {
            for (to, &row) in to.chunks_exact_mut(width).zip(rows) {
                to.copy_from_slice(&source[row as usize * width..][..width]);
            }
        });
    })
}

impl Gather {
    /// Gradient of the table: `grad` `[n, C]` added to rows of zeros `[V, C]`.
    pub fn backward(&self, table_rows: usize, rows: &Tensor, grad: &Tensor) -> Result<Tensor> {
        if let Some(place) = place_of(&[rows, grad])? {
            return gpu::backward(place, table_rows, rows, grad);
        }
        let (rows, grad) = (as_indices(rows)?, dense(grad)?);
        let width = grad.shape()[1];
        Tensor::build([table_rows, width], |all: &mut [f32]| {
            all.fill(0.0);
            for (&row, from) in rows.iter().zip(slice(&grad).chunks_exact(width.max(1))) {
                for (to, from) in all[row as usize * width..][..width].iter_mut().zip(from) {
                    *to += from;
                }
            }
        })
    }
}
