//! f32 products through the `gemm-f32` crate, which picks its kernels by CPU feature at run time and
//! splits the result, never the sum, over threads: the bits do not depend on the thread count.
//! Where both operands are bf16, products are those of `kernels::matmul_bf16`.

use super::{Matmul, Sizes};
use crate::kernels::{Simd, matmul_bf16};
use crate::ops::{dense, result_dtype, slice};
use crate::{DType, Element, Result, Shape, Tensor};
use gemm_common::Parallelism;
use half::bf16;

/// Below this many multiply-adds a product stays on the calling thread.
const PARALLEL: usize = 1 << 18;

/// A matrix in a slice: `rows x cols` at the given steps.
#[derive(Clone, Copy)]
struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_step: usize,
    col_step: usize,
}

impl<T> Matrix<'_, T> {
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
fn product(to: &mut [f32], a: Matrix<'_, f32>, b: Matrix<'_, f32>, accumulate: bool) {
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

/// [`product`] of bf16 numbers, added up in f32.
fn product_bf16(
    to: &mut [f32],
    a: Matrix<'_, bf16>,
    b: Matrix<'_, bf16>,
    accumulates: bool,
    workspace: &mut [bf16],
) {
    let size = matmul_bf16::Size { rows: a.rows, cols: b.cols, depth: a.cols };
    let matrix = |of| {
        let Matrix { data, row_step, col_step, .. } = of;
        matmul_bf16::Matrix { data, row_step, col_step }
    };
    let args =
        matmul_bf16::Matmul { size, a: matrix(a), b: matrix(b), c: to, accumulates, workspace };
    matmul_bf16::matmul(Simd::detect(), args);
}

/// A tensor whose last two axes the kernels can walk: of that type, the rest row-major.
fn operand(input: &Tensor, dtype: DType, collapse: bool) -> Result<(Tensor, usize, usize)> {
    let input = input.to_dtype(dtype)?;
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
    Ok((input.contiguous()?, shape[rank - 1], 1))
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

/// The matrices of an operand, one of each batch entry or all of a shared one.
struct Operand {
    tensor: Tensor,
    rows: usize,
    cols: usize,
    row_step: usize,
    col_step: usize,
}

impl Operand {
    /// `[rows, cols]` as the product sees it; stored the other way round where `is_turned`.
    fn new(
        (tensor, row_step, col_step): (Tensor, usize, usize),
        is_turned: bool,
        [rows, cols]: [usize; 2],
    ) -> Self {
        // A stored transpose swaps the steps, not the elements.
        let (row_step, col_step) =
            if is_turned { (col_step, row_step) } else { (row_step, col_step) };
        Self { tensor, rows, cols, row_step, col_step }
    }

    fn matrix<T: Element>(&self, entry: usize) -> Matrix<'_, T> {
        let &Self { rows, cols, row_step, col_step, .. } = self;
        let data = &self.tensor.strided::<T>()[entry * rows * cols..];
        Matrix { data, rows, cols, row_step, col_step }
    }
}

/// The sums in f32.
pub(super) fn forward(
    op: &Matmul,
    sizes: &Sizes,
    shape: Shape,
    a: &Tensor,
    b: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let &Sizes { batch, m, n, k } = sizes;
    let dtype = result_dtype(&[a, b]);
    let a = Operand::new(operand(a, dtype, b.shape().rank() == 2)?, op.transpose_a, [m, k]);
    let b = Operand::new(operand(b, dtype, false)?, op.transpose_b, [k, n]);
    let bias = bias.map(dense).transpose()?;
    let size = matmul_bf16::Size { rows: m, cols: n, depth: k };
    let needed = if dtype == DType::BF16 { matmul_bf16::workspace(size) } else { 0 };
    let mut workspace = Tensor::uninit([needed], DType::BF16)?;
    let workspace = workspace.as_mut_slice::<bf16>().expect("a fresh tensor has one owner");
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
            if dtype == DType::BF16 {
                product_bf16(to, a.matrix(i), b.matrix(i), bias.is_some(), workspace);
            } else {
                product(to, a.matrix(i), b.matrix(i), bias.is_some());
            }
        }
    })
}
