//! Weights in the order in which the micro-kernel reads them: panels of columns, in each the rows of
//! all taps one after the other.

use super::{Direction, Geometry};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::product::strip_width;
use crate::kernels::runs::for_each;
use crate::kernels::simd::{BLOCK, Kernel, Lane, Simd, transpose_block};

/// Columns that a micro-kernel takes at once: the first, how many exist, and how many are packed,
/// which is whole vectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    pub(super) first: usize,
    pub(super) cols: usize,
    pub(super) width: usize,
}

/// A row of zeros in a list of rows.
pub(super) const OUTSIDE: usize = usize::MAX;

/// The panels of a product with so many columns.
pub(super) struct Panels(pub(super) usize);

impl Kernel for Panels {
    type Output = Vec<Panel>;

    #[inline(always)]
    fn run<L: Lane>(self) -> Vec<Panel> {
        let mut panels = Vec::new();
        let mut first = 0;
        while first < self.0 {
            let width = strip_width::<L>((self.0 - first).div_ceil(L::WIDTH)) * L::WIDTH;
            panels.push(Panel { first, cols: width.min(self.0 - first), width });
            first += width;
        }
        panels
    }
}

/// Packs the weight \[filters, taps, channels\]: forward, columns are filters and rows channels;
/// backward, the other way round.
pub(super) fn pack(
    simd: Simd,
    geometry: &Geometry,
    direction: Direction,
    weight: &[f32],
    panels: &[Panel],
    to: &mut [f32],
) {
    let &Geometry { channels, filters, .. } = geometry;
    let taps = geometry.taps();
    let to = Disjoint::new(to);
    let depth = match direction {
        Direction::Forward => channels,
        Direction::Backward => filters,
    };
    for_each(panels.len() * taps, |index| {
        let (panel, tap) = (panels[index / taps], index % taps);
        let start = panel.first * taps * depth + tap * depth * panel.width;
        // SAFETY: every panel and tap has its own part.
        let to = unsafe { to.part(start, depth * panel.width) };
        match direction {
            Direction::Forward => {
                let from = &weight[(panel.first * taps + tap) * channels..];
                simd.run(Turn { from, leading: taps * channels, panel, depth, to });
            }
            Direction::Backward => {
                for (filter, to) in to.chunks_exact_mut(panel.width).enumerate() {
                    let from = &weight[(filter * taps + tap) * channels + panel.first..];
                    to[..panel.cols].copy_from_slice(&from[..panel.cols]);
                    to[panel.cols..].fill(0.0);
                }
            }
        }
    });
}

/// to\[k, col\] = from\[col, k\].
struct Turn<'a> {
    from: &'a [f32],
    leading: usize,
    panel: Panel,
    depth: usize,
    to: &'a mut [f32],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { from, leading, panel, depth, to } = self;
        let Panel { cols, width, .. } = panel;
        assert!(cols == 0 || from.len() >= (cols - 1) * leading + depth, "weights are short");
        assert_eq!(to.len(), depth * width, "a panel has a place for every weight");
        if cols < width {
            to.fill(0.0);
        }
        let (whole_cols, whole_depth) = (cols - cols % BLOCK, depth - depth % BLOCK);
        for k in (0..whole_depth).step_by(BLOCK) {
            for col in (0..whole_cols).step_by(BLOCK) {
                // SAFETY: the block lies within `cols` lines of `depth`, and in the panel.
                unsafe {
                    let from = from.as_ptr().add(col * leading + k);
                    let to = to.as_mut_ptr().add(k * width + col);
                    transpose_block(from, leading, 1.0, to, width);
                }
            }
        }
        for col in 0..cols {
            let start = if col < whole_cols { whole_depth } else { 0 };
            for k in start..depth {
                to[k * width + col] = from[col * leading + k];
            }
        }
    }
}

/// Some channels of one tap, for the rows of a block and the columns of a panel.
pub(super) struct Strip<'a> {
    /// Where each row lies in `from`, a multiple of the tile's rows of them.
    pub(super) starts: &'a [usize],
    pub(super) from: &'a [f32],
    /// As many as there are steps, where a row is [`OUTSIDE`].
    pub(super) zeros: &'a [f32],
    /// First channel, and how many.
    pub(super) done: usize,
    pub(super) steps: usize,
    /// \[steps, width\].
    pub(super) weights: &'a [f32],
    /// \[rows, width\].
    pub(super) sums: &'a mut [f32],
    /// Whether the sums are added to; else they are written.
    pub(super) adds: bool,
}

impl Strip<'_> {
    /// Adds to the sums of a panel of that width.
    #[inline(always)]
    pub(super) fn add<L: Lane>(self, width: usize) {
        match (L::TILE_ROWS, width / L::WIDTH) {
            (8, 3) => self.run::<L, 8, 3>(),
            (8, 2) => self.run::<L, 8, 2>(),
            (8, _) => self.run::<L, 8, 1>(),
            (_, 2) => self.run::<L, 4, 2>(),
            (_, _) => self.run::<L, 4, 1>(),
        }
    }

    /// Adds to the sums, R rows and V vectors at a time.
    #[inline(always)]
    fn run<L: Lane, const R: usize, const V: usize>(self) {
        let Self { starts, from, zeros, done, steps, weights, sums, adds } = self;
        let width = V * L::WIDTH;
        assert!(weights.len() >= steps * width, "weights for every step");
        assert!(sums.len() >= starts.len() * width, "a sum for every row");
        let (starts, _) = starts.as_chunks::<R>();
        for (starts, sums) in starts.iter().zip(sums.chunks_exact_mut(R * width)) {
            let mut rows = [zeros.as_ptr(); R];
            for (row, &start) in rows.iter_mut().zip(starts) {
                *row = match start {
                    OUTSIDE => zeros[..steps].as_ptr(),
                    start => from[start + done..][..steps].as_ptr(),
                };
            }
            let mut tile = [[L::zero(); V]; R];
            // SAFETY: rows hold `steps` floats, weights `steps` times `width`, and the sums of a tile R
            // times `width`, all as was just checked.
            unsafe {
                for (r, row) in tile.iter_mut().enumerate().filter(|_| adds) {
                    for (v, sum) in row.iter_mut().enumerate() {
                        *sum = L::load(sums.as_ptr().add(r * width + v * L::WIDTH));
                    }
                }
                let mut weights = weights.as_ptr();
                for step in 0..steps {
                    let mut columns = [L::zero(); V];
                    for (v, column) in columns.iter_mut().enumerate() {
                        *column = L::load(weights.add(v * L::WIDTH));
                    }
                    for (row, &from) in tile.iter_mut().zip(&rows) {
                        let x = L::splat(*from.add(step));
                        for (sum, &column) in row.iter_mut().zip(&columns) {
                            *sum = column.mul_add(x, *sum);
                        }
                    }
                    weights = weights.add(width);
                }
                for (r, row) in tile.iter().enumerate() {
                    for (v, sum) in row.iter().enumerate() {
                        sum.store(sums.as_mut_ptr().add(r * width + v * L::WIDTH));
                    }
                }
            }
        }
    }
}
