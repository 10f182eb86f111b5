//! Products through the `gemm-f32` crate, which picks its kernels by CPU feature at run time and
//! splits the result, never the sum, over threads: the bits do not depend on the thread count.

use super::{Matmul, Sizes};
use crate::ops::{dense, slice};
use crate::{DType, Result, Shape, Tensor};
use gemm_common::Parallelism;

/// Below this many multiply-adds a product stays on the calling thread.
const PARALLEL: usize = 1 << 18;

/// A matrix in a slice: `rows x cols` at the given steps.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_step: usize,
    col_step: usize,
}

impl Matrix<'_> {
    fn check(&self) {
        if self.rows > 0 && self.cols > 0 {
            let last = (self.rows - 1) * self.row_step + (self.cols - 1) * self.col_step;
            assert!(
                last < self.data.len(),
                "matrix {} x {} leaves its slice",
                self.rows,
                self.cols
            );
        }
    }
}

/// `to = a b`, or `to += a b` where `accumulate`. `to` is row-major `a.rows x b.cols`.
fn product(to: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, accumulate: bool) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "inner sizes");
    assert_eq!(to.len(), m * n, "result of {m} x {n}");
    a.check();
    b.check();
    let threads = if m * n * k < PARALLEL { Parallelism::None } else { Parallelism::Rayon(0) };
    let kernel = gemm_f32::gemm::f32::get_gemm_fn();
    // The kernels want a column-major result, so the transposed product is what is asked for.
    // SAFETY: `check` and the assertions above bound every access; `to` is exclusively borrowed.
    unsafe {
        kernel(
            n,
            m,
            k,
            to.as_mut_ptr(),
            n as isize,
            1,
            accumulate,
            b.data.as_ptr(),
            b.row_step as isize,
            b.col_step as isize,
            a.data.as_ptr(),
            a.row_step as isize,
            a.col_step as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}

/// A tensor whose last two axes the kernels can walk: f32, the rest row-major.
fn operand(input: &Tensor, collapse: bool) -> Result<(Tensor, usize, usize)> {
    let input = if input.dtype() == DType::F32 { input.clone() } else { input.to_f32()? };
    let (shape, strides, rank) = (input.shape(), input.strides(), input.shape().rank());
    let steps = (strides[rank - 2], strides[rank - 1]);
    let matrix = shape[rank - 2] * shape[rank - 1];
    let regular = if rank == 2 {
        // Any view with non-repeating steps is a matrix already.
        steps.0 >= 1 && steps.1 >= 1 && (steps.0 == 1 || steps.1 == 1)
    } else {
        input.is_contiguous()
            || (!collapse && batches_are_dense(&input, matrix) && (steps.0 == 1 || steps.1 == 1))
    };
    if regular {
        return Ok((input, steps.0, steps.1));
    }
    let input = dense(&input)?;
    Ok((input.into_owned(), shape[rank - 1], 1))
}

/// Whether consecutive matrices of a batch lie `matrix` elements apart.
fn batches_are_dense(input: &Tensor, matrix: usize) -> bool {
    let (shape, strides) = (input.shape(), input.strides());
    let mut step = matrix;
    for axis in (0..shape.rank() - 2).rev() {
        if shape[axis] != 1 && strides[axis] != step {
            return false;
        }
        step *= shape[axis];
    }
    true
}

pub(super) fn forward(
    op: &Matmul,
    sizes: &Sizes,
    shape: Shape,
    a: &Tensor,
    b: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let &Sizes { batch, m, n, k } = sizes;
    let (a, a_row, a_col) = operand(a, b.shape().rank() == 2)?;
    let (b, b_row, b_col) = operand(b, false)?;
    let bias = bias.map(dense).transpose()?;
    // A stored transpose swaps the steps, not the elements.
    let a_steps = if op.transpose_a { (a_col, a_row) } else { (a_row, a_col) };
    let b_steps = if op.transpose_b { (b_col, b_row) } else { (b_row, b_col) };
    let (a_data, b_data) = (a.strided::<f32>(), b.strided::<f32>());
    Tensor::build(shape, |all: &mut [f32]| {
        if let Some(bias) = &bias {
            for row in all.chunks_exact_mut(n.max(1)) {
                row.copy_from_slice(slice(bias));
            }
        } else if k == 0 {
            all.fill(0.0);
        }
        if m == 0 || n == 0 || k == 0 {
            return;
        }
        for (i, to) in all.chunks_exact_mut(m * n).enumerate().take(batch) {
            let left = Matrix {
                data: &a_data[i * m * k..],
                rows: m,
                cols: k,
                row_step: a_steps.0,
                col_step: a_steps.1,
            };
            let right = Matrix {
                data: &b_data[i * k * n..],
                rows: k,
                cols: n,
                row_step: b_steps.0,
                col_step: b_steps.1,
            };
            product(to, left, right, bias.is_some());
        }
    })
}
