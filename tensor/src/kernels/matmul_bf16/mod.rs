//! C = A B for bf16 operands of any layout, added up in f32.
//!
//! Both operands are packed so that pairs of neighbours along the depth lie together, which is what
//! the dot-product instruction of AVX512-BF16 takes; other levels widen the pairs and multiply in
//! f32. A task owns a block of C and walks the depth from front to back, so the bits do not depend on
//! the number of threads.

mod block;
mod pack;
#[cfg(test)]
mod tests;

use super::disjoint::Disjoint;
use super::product::{COLUMN_STEP, ROW_STEP};
use super::runs::for_each;
use super::simd::Simd;
use block::Block;
use half::bf16;
use pack::{Pack, Side, WIDEST};

/// Rows and columns of a task's block of C: multiples of every level's tile.
const BLOCK_ROWS: usize = 128;
const BLOCK_COLS: usize = 192;

/// Multiply-adds below which a call is not worth a second thread.
const SERIAL_WORK: usize = 1 << 18;

/// Extent of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows of A and C.
    pub rows: usize,
    /// Columns of B and C.
    pub cols: usize,
    /// Columns of A, rows of B.
    pub depth: usize,
}

/// A matrix in a slice: element (row, col) at `row * row_step + col * col_step`. Fast where one of
/// the steps is 1.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The numbers.
    pub data: &'a [bf16],
    /// Distance between rows.
    pub row_step: usize,
    /// Distance between columns.
    pub col_step: usize,
}

impl<'a> Matrix<'a> {
    /// `data` is `[rows, cols]`.
    pub fn row_major(data: &'a [bf16], cols: usize) -> Self {
        Self { data, row_step: cols, col_step: 1 }
    }

    /// The same numbers with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { row_step: self.col_step, col_step: self.row_step, ..self }
    }

    fn check(&self, name: &str, rows: usize, cols: usize) {
        if rows > 0 && cols > 0 {
            let last = (rows - 1) * self.row_step + (cols - 1) * self.col_step;
            assert!(last < self.data.len(), "matmul: {name}, {rows} x {cols}, leaves its slice");
        }
    }
}

/// Numbers of workspace that [`matmul`] needs.
pub fn workspace(size: Size) -> usize {
    let Size { rows, cols, depth } = size;
    let pairs = depth.div_ceil(2);
    2 * pairs * (rows.next_multiple_of(ROW_STEP) + cols.next_multiple_of(COLUMN_STEP))
}

/// Arguments of [`matmul`].
#[derive(Debug)]
pub struct Matmul<'a> {
    /// Extent.
    pub size: Size,
    /// \[rows, depth\].
    pub a: Matrix<'a>,
    /// \[depth, cols\].
    pub b: Matrix<'a>,
    /// \[rows, cols\], row-major.
    pub c: &'a mut [f32],
    /// Whether the product is added to what `c` holds; else `c` is written.
    pub accumulates: bool,
    /// [`workspace`] numbers, of any value.
    pub workspace: &'a mut [bf16],
}

/// Computes C.
///
/// # Panics
/// Where lengths do not fit.
pub fn matmul(simd: Simd, args: Matmul<'_>) {
    let Matmul { size, a, b, c, accumulates, workspace: memory } = args;
    let Size { rows, cols, depth } = size;
    a.check("a", rows, depth);
    b.check("b", depth, cols);
    assert_eq!(c.len(), rows * cols, "matmul: c is [{rows}, {cols}]");
    let needed = workspace(size);
    assert!(memory.len() >= needed, "matmul: workspace holds {}, needs {needed}", memory.len());
    if depth == 0 && !accumulates {
        c.fill(0.0);
    }
    if rows == 0 || cols == 0 || depth == 0 {
        return;
    }

    let is_serial = rows * cols * depth < SERIAL_WORK;
    let each = |count: usize, work: &(dyn Fn(usize) + Send + Sync)| {
        if is_serial { (0..count).for_each(work) } else { for_each(count, work) }
    };
    let pairs = depth.div_ceil(2);
    let (packed_a, packed_b) = memory.split_at_mut(2 * pairs * rows.next_multiple_of(ROW_STEP));
    let places = Disjoint::new(packed_a);
    each(rows.div_ceil(BLOCK_ROWS), &|index| {
        let lines = index * BLOCK_ROWS..rows.min((index + 1) * BLOCK_ROWS);
        simd.run(Pack { from: a, lines, depth, side: Side::Rows, to: &places });
    });
    let places = Disjoint::new(packed_b);
    each(cols.div_ceil(WIDEST), &|index| {
        let lines = index * WIDEST..cols.min((index + 1) * WIDEST);
        simd.run(Pack { from: b.transposed(), lines, depth, side: Side::Columns, to: &places });
    });

    let (packed_a, packed_b): (&[bf16], &[bf16]) = (packed_a, packed_b);
    let c = Disjoint::new(c);
    let across = cols.div_ceil(BLOCK_COLS);
    each(rows.div_ceil(BLOCK_ROWS) * across, &|index| {
        let (row, col) = (index / across * BLOCK_ROWS, index % across * BLOCK_COLS);
        simd.run_with_bf16(Block {
            rows: row..rows.min(row + BLOCK_ROWS),
            cols: col..cols.min(col + BLOCK_COLS),
            pairs,
            a: packed_a,
            b: packed_b,
            c: &c,
            leading: cols,
            accumulates,
        });
    });
}

const _: () = assert!(BLOCK_COLS.is_multiple_of(WIDEST) && BLOCK_ROWS.is_multiple_of(ROW_STEP));
