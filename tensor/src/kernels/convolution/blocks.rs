//! The product of gathered rows and packed weights. A task owns a block of rows and columns and adds
//! the taps up in order, so the bits do not depend on the number of threads.

use super::lattice::Lattice;
use super::pack::{Panel, Panels, pack};
use super::{Direction, Geometry};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::product::COLUMN_STEP;
use crate::kernels::runs::for_each;
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd};

/// Rows of a task's block, a multiple of every level's tile.
const BLOCK_ROWS: usize = 256;

/// Columns of a task's block, roughly.
const BLOCK_COLS: usize = 192;

/// Channels between two visits of the sums: a panel of that many rows stays in the first cache.
const BLOCK_DEPTH: usize = 128;

/// A row of zeros in the list of rows.
const OUTSIDE: usize = usize::MAX;

/// Arguments of [`gather`].
#[derive(Debug)]
pub struct Gather<'a> {
    /// Sizes.
    pub geometry: &'a Geometry,
    /// Which product.
    pub direction: Direction,
    /// What is read: the source \[B, T, H, W, channels\], or the gradient of the result
    /// \[B, T', H', W', filters\].
    pub from: &'a [f32],
    /// \[filters, taps, channels\].
    pub weight: &'a [f32],
    /// \[columns\], added to every row.
    pub bias: Option<&'a [f32]>,
    /// What is written, the other of the two.
    pub to: &'a mut [f32],
    /// [`workspace`] floats, of any value.
    pub workspace: &'a mut [f32],
}

/// Floats of workspace that [`gather`] needs: the weights, packed.
pub fn workspace(geometry: &Geometry, direction: Direction) -> usize {
    let (depth, cols) = extent(geometry, direction);
    geometry.taps() * depth * cols.next_multiple_of(COLUMN_STEP)
}

/// Channels of what is read and of what is written.
fn extent(geometry: &Geometry, direction: Direction) -> (usize, usize) {
    match direction {
        Direction::Forward => (geometry.channels, geometry.filters),
        Direction::Backward => (geometry.filters, geometry.channels),
    }
}

/// Computes a convolution, or the gradient of its source.
///
/// # Panics
/// Where lengths do not fit.
pub fn gather(simd: Simd, args: Gather<'_>) {
    let Gather { geometry, direction, from, weight, bias, to, workspace: memory } = args;
    let (depth, cols) = extent(geometry, direction);
    let (source, result) = (geometry.source_rows(), geometry.result_rows());
    let (rows_from, rows_to) = match direction {
        Direction::Forward => (source, result),
        Direction::Backward => (result, source),
    };
    assert_eq!(from.len(), rows_from * depth, "convolution: {rows_from} x {depth} are read");
    assert_eq!(to.len(), rows_to * cols, "convolution: {rows_to} x {cols} are written");
    assert_eq!(weight.len(), geometry.weights(), "convolution: weights of {geometry:?}");
    assert!(bias.is_none_or(|bias| bias.len() == cols), "convolution: bias is [{cols}]");
    let needed = workspace(geometry, direction);
    assert!(memory.len() >= needed, "convolution: workspace needs {needed} floats");
    if to.is_empty() {
        return;
    }
    let panels = simd.run(Panels(cols));
    let packed = &mut memory[..needed];
    pack(simd, geometry, direction, weight, &panels, packed);
    let packed = &*packed;
    let mut strips: Vec<&[Panel]> = Vec::new();
    let mut rest = &panels[..];
    while let Some(first) = rest.first() {
        let here = rest.iter().take_while(|p| p.first - first.first < BLOCK_COLS).count();
        strips.push(&rest[..here]);
        rest = &rest[here..];
    }
    let to = Disjoint::new(to);
    for lattice in Lattice::all(geometry, direction) {
        let rows = lattice.rows();
        for_each(rows.div_ceil(BLOCK_ROWS) * strips.len(), |index| {
            let first = index / strips.len() * BLOCK_ROWS;
            let panels = strips[index % strips.len()];
            let columns: usize = panels.iter().map(|panel| panel.width).sum();
            with_scratch(BLOCK_ROWS * columns + BLOCK_DEPTH, |scratch| {
                simd.run(Block {
                    lattice: &lattice,
                    first,
                    rows: BLOCK_ROWS.min(rows - first),
                    panels,
                    taps: geometry.taps(),
                    depth,
                    from,
                    packed,
                    bias,
                    to: &to,
                    cols,
                    scratch,
                });
            });
        });
    }
}

/// One block of the product.
struct Block<'a> {
    lattice: &'a Lattice,
    first: usize,
    rows: usize,
    panels: &'a [Panel],
    taps: usize,
    depth: usize,
    from: &'a [f32],
    packed: &'a [f32],
    bias: Option<&'a [f32]>,
    to: &'a Disjoint<'a, f32>,
    cols: usize,
    /// The sums, a panel's rows after another's, and a row of zeros.
    scratch: &'a mut [f32],
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self {
            lattice,
            first,
            rows,
            panels,
            taps,
            depth,
            from,
            packed,
            bias,
            to,
            cols,
            scratch,
        } = self;
        let (sums, zeros) = scratch.split_at_mut(scratch.len() - BLOCK_DEPTH);
        zeros.fill(0.0);
        sums.fill(0.0);
        let mut places = [[0; 4]; BLOCK_ROWS];
        for (i, place) in places[..rows].iter_mut().enumerate() {
            *place = lattice.place(first + i);
        }
        let mut starts = [OUTSIDE; BLOCK_ROWS];
        for term in &lattice.terms {
            let mut is_read = false;
            for (start, &place) in starts.iter_mut().zip(&places[..rows]) {
                *start = lattice.read(place, term).map_or(OUTSIDE, |pixel| pixel * depth);
                is_read |= *start != OUTSIDE;
            }
            if !is_read {
                continue;
            }
            for done in (0..depth).step_by(BLOCK_DEPTH) {
                let steps = BLOCK_DEPTH.min(depth - done);
                let mut sums = &mut *sums;
                for panel in panels {
                    let (here, rest) = sums.split_at_mut(BLOCK_ROWS * panel.width);
                    sums = rest;
                    let start = (panel.first * taps + term.tap * panel.width) * depth;
                    let strip = Strip {
                        starts: &starts[..rows.next_multiple_of(L::TILE_ROWS)],
                        from,
                        zeros,
                        done,
                        steps,
                        weights: &packed[start + done * panel.width..][..steps * panel.width],
                        sums: here,
                    };
                    match (L::TILE_ROWS, panel.width / L::WIDTH) {
                        (8, 3) => strip.run::<L, 8, 3>(),
                        (8, 2) => strip.run::<L, 8, 2>(),
                        (8, _) => strip.run::<L, 8, 1>(),
                        (_, 2) => strip.run::<L, 4, 2>(),
                        (_, _) => strip.run::<L, 4, 1>(),
                    }
                }
            }
        }
        let mut sums = &*sums;
        for panel in panels {
            let (here, rest) = sums.split_at(BLOCK_ROWS * panel.width);
            sums = rest;
            let bias = bias.map(|bias| &bias[panel.first..][..panel.cols]);
            for (&place, sums) in places[..rows].iter().zip(here.chunks_exact(panel.width)) {
                let pixel = lattice.target(place);
                // SAFETY: rows of all lattices are different pixels, and tasks own their columns.
                let to = unsafe { to.part(pixel * cols + panel.first, panel.cols) };
                let sums = &sums[..panel.cols];
                match bias {
                    Some(bias) => {
                        for ((to, sum), bias) in to.iter_mut().zip(sums).zip(bias) {
                            *to = sum + bias;
                        }
                    }
                    None => to.copy_from_slice(sums),
                }
            }
        }
    }
}

/// Some channels of one tap, for the rows of a block and the columns of a panel.
struct Strip<'a> {
    /// Where each row lies in `from`, a multiple of the tile's rows of them.
    starts: &'a [usize],
    from: &'a [f32],
    zeros: &'a [f32],
    /// First channel, and how many.
    done: usize,
    steps: usize,
    /// \[steps, width\].
    weights: &'a [f32],
    /// \[rows, width\].
    sums: &'a mut [f32],
}

impl Strip<'_> {
    /// Adds to the sums, R rows and V vectors at a time.
    #[inline(always)]
    fn run<L: Lane, const R: usize, const V: usize>(self) {
        let Self { starts, from, zeros, done, steps, weights, sums } = self;
        let width = V * L::WIDTH;
        assert!(zeros.len() >= steps && weights.len() >= steps * width, "a strip's operands");
        assert!(sums.len() >= starts.len() * width, "a sum for every row");
        let (starts, _) = starts.as_chunks::<R>();
        for (starts, sums) in starts.iter().zip(sums.chunks_exact_mut(R * width)) {
            let mut rows = [zeros.as_ptr(); R];
            for (row, &start) in rows.iter_mut().zip(starts) {
                if start != OUTSIDE {
                    *row = from[start + done..][..steps].as_ptr();
                }
            }
            let mut tile = [[L::zero(); V]; R];
            // SAFETY: rows hold `steps` floats, weights `steps` times `width`, and the sums of a tile R
            // times `width`, all as was just checked.
            unsafe {
                for (r, row) in tile.iter_mut().enumerate() {
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
