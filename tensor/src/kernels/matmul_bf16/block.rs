//! A task: one block of C, all of the depth.

use super::pack::{Panels, Side, WIDEST};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::simd::{Kernel, Lane};
use half::bf16;
use std::ops::Range;

/// Pairs of the depth between two visits of C: both packed operands of a tile stay in cache.
pub(super) const BLOCK_PAIRS: usize = 128;

/// One block of C.
pub(super) struct Block<'a> {
    pub(super) rows: Range<usize>,
    pub(super) cols: Range<usize>,
    pub(super) pairs: usize,
    pub(super) a: &'a [bf16],
    pub(super) b: &'a [bf16],
    pub(super) c: &'a Disjoint<'a, f32>,
    pub(super) leading: usize,
    pub(super) accumulates: bool,
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
