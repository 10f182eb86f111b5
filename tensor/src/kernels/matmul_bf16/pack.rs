//! Operands in the order in which the micro-kernel reads them.

use super::Matrix;
use crate::kernels::disjoint::Disjoint;
use crate::kernels::product::{COLUMN_STEP, ROW_STEP, strip_width};
use crate::kernels::simd::{BLOCK, Kernel, Lane, transpose_pairs};
use half::bf16;
use std::marker::PhantomData;
use std::ops::Range;

/// Columns of the widest strip: three vectors of sixteen. A divisor of the columns of a task's block.
pub(super) const WIDEST: usize = 48;

/// Which operand is packed: how many lines lie side by side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Rows of A, a register tile's rows to a panel.
    Rows,
    /// Columns of B, a strip's columns to a panel.
    Columns,
}

/// Walks panels: the first line of each and the lines in it, padding included. A panel holds, for
/// each pair of the depth, the pair of each line; the panels before it hold the lines before it.
/// Panels of columns start anew every [`WIDEST`] columns, so that tasks agree on them.
pub(super) struct Panels<L> {
    side: Side,
    lines: Range<usize>,
    lane: PhantomData<L>,
}

impl<L: Lane> Panels<L> {
    #[inline(always)]
    pub(super) fn new(side: Side, lines: &Range<usize>) -> Self {
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
pub(super) struct Pack<'a> {
    pub(super) from: Matrix<'a>,
    pub(super) lines: Range<usize>,
    pub(super) depth: usize,
    pub(super) side: Side,
    pub(super) to: &'a Disjoint<'a, bf16>,
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
