//! C = A B for bf16 operands of any layout, added up in f32.
//!
//! Both operands are packed so that pairs of neighbours along the depth lie together, which is what
//! the dot-product instruction of AVX512-BF16 takes; other levels widen the pairs and multiply in
//! f32. A task owns a block of C and walks the depth from front to back, so the bits do not depend on
//! the number of threads.

use super::disjoint::Disjoint;
use super::product::{ROW_STEP, strip_width};
use super::runs::for_each;
use super::simd::{BLOCK, Kernel, Lane, Simd, transpose_pairs};
use half::bf16;
use std::marker::PhantomData;
use std::ops::Range;

/// Rows and columns of a task's block of C: multiples of every level's tile.
const BLOCK_ROWS: usize = 128;
const BLOCK_COLS: usize = 192;

/// Pairs of the depth between two visits of C: both packed operands of a tile stay in cache.
const BLOCK_PAIRS: usize = 128;

/// Columns that packed B is padded to.
const COLUMN_STEP: usize = 16;

/// Columns of the widest strip: three vectors of sixteen. A divisor of [`BLOCK_COLS`].
const WIDEST: usize = 48;

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

/// Which operand is packed: how many lines lie side by side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Rows of A, a register tile's rows to a panel.
    Rows,
    /// Columns of B, a strip's columns to a panel.
    Columns,
}

/// Walks panels: the first line of each and the lines in it, padding included. A panel holds, for
/// each pair of the depth, the pair of each line; the panels before it hold the lines before it.
/// Panels of columns start anew every [`WIDEST`] columns, so that tasks agree on them.
struct Panels<L> {
    side: Side,
    lines: Range<usize>,
    lane: PhantomData<L>,
}

impl<L: Lane> Panels<L> {
    #[inline(always)]
    fn new(side: Side, lines: &Range<usize>) -> Self {
        let step = if side == Side::Rows { ROW_STEP } else { COLUMN_STEP };
        let lines = lines.start..lines.end.next_multiple_of(step);
        Self { side, lines, lane: PhantomData }
    }
}

impl<L: Lane> Iterator for Panels<L> {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        let line = self.lines.start;
        if line >= self.lines.end {
            return None;
        }
        let width = match self.side {
            Side::Rows => L::TILE_ROWS,
            Side::Columns => {
                let end = self.lines.end.min(line - line % WIDEST + WIDEST);
                strip_width::<L>((end - line) / L::WIDTH) * L::WIDTH
            }
        };
        self.lines.start += width;
        Some((line, width))
    }
}

/// Packs lines of a matrix whose columns are the depth.
struct Pack<'a> {
    from: Matrix<'a>,
    lines: Range<usize>,
    depth: usize,
    side: Side,
    to: &'a Disjoint<'a, bf16>,
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { from, lines, depth, side, to } = self;
        let pairs = depth.div_ceil(2);
        for (line, width) in Panels::<L>::new(side, &lines) {
            // SAFETY: tasks own disjoint lines, each of which has its own part.
            let to = unsafe { to.part(2 * line * pairs, 2 * width * pairs) };
            let count = width.min(lines.end.saturating_sub(line));
            if count < width || depth % 2 != 0 {
                to.fill(bf16::ZERO);
            }
            pack_panel(from, line, count, depth, to, width);
        }
    }
}

/// Packs `count` lines from `line` on; padding is already zero.
#[inline(always)]
fn pack_panel(
    from: Matrix<'_>,
    line: usize,
    count: usize,
    depth: usize,
    to: &mut [bf16],
    width: usize,
) {
    let Matrix { data, row_step, col_step } = from;
    let whole_pairs = depth / 2;
    let (mut done_lines, mut done_pairs) = (0, 0);
    if col_step == 1 {
        // The depth is dense: pairs are moved as they are.
        done_lines = count - count % BLOCK;
        done_pairs = whole_pairs - whole_pairs % BLOCK;
        for i in (0..done_lines).step_by(BLOCK) {
            let first = (line + i) * row_step;
            assert!(data.len() >= first + 3 * row_step + 2 * done_pairs);
            assert!(to.len() >= 2 * done_pairs * width);
            for pair in (0..done_pairs).step_by(BLOCK) {
                // SAFETY: four lines and four pairs from here are inside both slices.
                unsafe {
                    transpose_pairs(
                        data.as_ptr().add(first + 2 * pair),
                        row_step,
                        to.as_mut_ptr().add(2 * (pair * width + i)),
                        width,
                    );
                }
            }
        }
    } else if row_step == 1 {
        // The lines are dense: two of them along the depth are interleaved.
        (done_lines, done_pairs) = (count, whole_pairs);
        for (pair, to) in to.chunks_exact_mut(2 * width).take(whole_pairs).enumerate() {
            let first = &data[2 * pair * col_step + line..][..count];
            let second = &data[(2 * pair + 1) * col_step + line..][..count];
            let (to, _) = to.as_chunks_mut::<2>();
            for ((to, &first), &second) in to.iter_mut().zip(first).zip(second) {
                *to = [first, second];
            }
        }
    }
    for i in 0..count {
        let start = if i < done_lines { 2 * done_pairs } else { 0 };
        for k in start..depth {
            to[2 * (k / 2 * width + i) + k % 2] = data[(line + i) * row_step + k * col_step];
        }
    }
}

/// One block of C.
struct Block<'a> {
    rows: Range<usize>,
    cols: Range<usize>,
    pairs: usize,
    a: &'a [bf16],
    b: &'a [bf16],
    c: &'a Disjoint<'a, f32>,
    leading: usize,
    accumulates: bool,
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        for first in (0..self.pairs).step_by(BLOCK_PAIRS) {
            let steps = first..self.pairs.min(first + BLOCK_PAIRS);
            for (col, width) in Panels::<L>::new(Side::Columns, &self.cols) {
                match (L::TILE_ROWS, width / L::WIDTH) {
                    (8, 3) => self.strip::<L, 8, 3>(&steps, col),
                    (8, 2) => self.strip::<L, 8, 2>(&steps, col),
                    (8, _) => self.strip::<L, 8, 1>(&steps, col),
                    (_, 2) => self.strip::<L, 4, 2>(&steps, col),
                    (_, _) => self.strip::<L, 4, 1>(&steps, col),
                }
            }
        }
    }
}

impl Block<'_> {
    /// V vectors of columns, all rows of the block, some of the depth.
    #[inline(always)]
    fn strip<L: Lane, const R: usize, const V: usize>(&self, steps: &Range<usize>, col: usize) {
        let width = V * L::WIDTH;
        let panel = |data: &'_ [bf16], line: usize, lines: usize| {
            let start = 2 * (line * self.pairs + steps.start * lines);
            let len = 2 * steps.len() * lines;
            assert!(data.len() >= start + len, "a panel lies inside the packed operand");
            start
        };
        let b = panel(self.b, col, width);
        let count = width.min(self.cols.end.saturating_sub(col));
        if count == 0 {
            return;
        }
        let adds = self.accumulates || steps.start > 0;
        for row in (self.rows.start..self.rows.end).step_by(R) {
            let a = panel(self.a, row, R);
            let mut sums = [[L::zero(); V]; R];
            // SAFETY: both panels hold every step, as was just checked.
            unsafe {
                let (mut a, mut b) = (self.a.as_ptr().add(a), self.b.as_ptr().add(b));
                for _ in 0..steps.len() {
                    let mut columns = [L::load_pairs(b); V];
                    for (v, column) in columns.iter_mut().enumerate() {
                        *column = L::load_pairs(b.add(2 * v * L::WIDTH));
                    }
                    for (r, row) in sums.iter_mut().enumerate() {
                        let x = L::splat_pair(a.add(2 * r));
                        for (sum, &column) in row.iter_mut().zip(&columns) {
                            *sum = sum.add_products(x, column);
                        }
                    }
                    a = a.add(2 * R);
                    b = b.add(2 * width);
                }
            }
            // Indices of `sums` are constants everywhere, so that it stays in registers.
            let here = R.min(self.rows.end - row);
            if here == R && count == width {
                for (r, sums) in sums.iter().enumerate() {
                    // SAFETY: tasks own disjoint blocks of C, whose rows do not overlap.
                    let to = unsafe { self.c.part((row + r) * self.leading + col, width) };
                    for (v, sum) in sums.iter().enumerate() {
                        let to = &mut to[v * L::WIDTH..];
                        let sum = if adds { L::read(to) + *sum } else { *sum };
                        sum.write(to);
                    }
                }
                continue;
            }
            let mut tile = [0.0; 8 * WIDEST];
            for (r, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    sum.write(&mut tile[r * width + v * L::WIDTH..]);
                }
            }
            for (r, sums) in tile.chunks_exact(width).enumerate().take(here) {
                // SAFETY: as above.
                let to = unsafe { self.c.part((row + r) * self.leading + col, count) };
                for (to, sum) in to.iter_mut().zip(sums) {
                    *to = if adds { *to + sum } else { *sum };
                }
            }
        }
    }
}

const _: () = assert!(BLOCK_COLS.is_multiple_of(WIDEST) && BLOCK_ROWS.is_multiple_of(ROW_STEP));

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, whose products and sums bf16 and f32 hold exactly.
    fn numbers(n: usize, seed: usize) -> Vec<bf16> {
        (0..n).map(|i| bf16::from_f32(((i * 7919 + seed * 31) % 17) as f32 - 8.0)).collect()
    }

    /// The layouts of one operand: row-major, column-major, and neither.
    fn layouts(data: &[bf16], rows: usize, cols: usize) -> [(Vec<bf16>, usize, usize); 3] {
        let place = |row_step: usize, col_step: usize| {
            let mut out = vec![bf16::NAN; rows * row_step + cols * col_step];
            for r in 0..rows {
                for c in 0..cols {
                    out[r * row_step + c * col_step] = data[r * cols + c];
                }
            }
            (out, row_step, col_step)
        };
        [place(cols + 1, 1), place(1, rows + 2), place(2 * cols + 3, 2)]
    }

    fn run(
        simd: Simd,
        size: Size,
        a: Matrix<'_>,
        b: Matrix<'_>,
        before: Option<&[f32]>,
    ) -> Vec<f32> {
        let mut c = before.map_or_else(|| vec![f32::NAN; size.rows * size.cols], <[f32]>::to_vec);
        let mut memory = vec![bf16::NAN; workspace(size)];
        let accumulates = before.is_some();
        matmul(simd, Matmul { size, a, b, c: &mut c, accumulates, workspace: &mut memory });
        c
    }

    #[test]
    fn products_equal_plain_loops_in_every_layout() {
        for (rows, cols, depth) in [
            (0, 3, 4),
            (3, 0, 4),
            (5, 3, 0),
            (1, 1, 1),
            (7, 5, 3),
            (9, 49, 20),
            (4, 100, 33),
            (130, 210, 65),
            (40, 30, 2 * BLOCK_PAIRS + 7),
        ] {
            let size = Size { rows, cols, depth };
            let (a, b) = (numbers(rows * depth, 1), numbers(depth * cols, 2));
            let before: Vec<f32> = (0..rows * cols).map(|i| (i % 5) as f32).collect();
            let mut exact = vec![0.0; rows * cols];
            for r in 0..rows {
                for c in 0..cols {
                    let pairs =
                        (0..depth).map(|k| a[r * depth + k].to_f32() * b[k * cols + c].to_f32());
                    exact[r * cols + c] = pairs.sum();
                }
            }
            let added: Vec<f32> = exact.iter().zip(&before).map(|(x, y)| x + y).collect();
            for simd in Simd::available() {
                for (a, a_row, a_col) in &layouts(&a, rows, depth) {
                    for (b, b_row, b_col) in &layouts(&b, depth, cols) {
                        let a = Matrix { data: a, row_step: *a_row, col_step: *a_col };
                        let b = Matrix { data: b, row_step: *b_row, col_step: *b_col };
                        assert_eq!(run(simd, size, a, b, None), exact, "{simd:?} {size:?}");
                        assert_eq!(
                            run(simd, size, a, b, Some(&before)),
                            added,
                            "{simd:?} {size:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn levels_agree_but_for_rounding_and_threads_change_nothing() {
        let size = Size { rows: 150, cols: 200, depth: 300 };
        let noise = |n: usize, step: usize| -> Vec<bf16> {
            (0..n).map(|i| bf16::from_f32((i * step % 1009) as f32 / 504.0 - 1.0)).collect()
        };
        let (a, b) = (noise(150 * 300, 7919), noise(300 * 200, 104_729));
        let (a, b) = (Matrix::row_major(&a, 300), Matrix::row_major(&b, 200));
        let mut first: Option<Vec<f32>> = None;
        for simd in Simd::available() {
            let [one, two] = [1, 2].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("threads can be started").install(|| run(simd, size, a, b, None))
            });
            assert!(one == two, "{simd:?}");
            let first = first.get_or_insert(one);
            for (x, y) in first.iter().zip(&two) {
                assert!((x - y).abs() < 1e-4, "{simd:?} {x} {y}");
            }
        }
    }
}
