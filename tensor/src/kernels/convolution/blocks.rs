//! The product of gathered rows and packed weights. A task owns a block of rows and columns and adds
//! the taps up in order, so the bits do not depend on the number of threads.

use super::lattice::Lattice;
use super::pack::{OUTSIDE, Panel, Panels, Strip, pack};
use super::{Direction, Geometry, winograd};
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
pub(super) const BLOCK_DEPTH: usize = 128;

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

/// Floats of workspace that [`gather`] needs: the packed weights, and where Winograd's way is taken what
/// it keeps of a chunk of tiles.
pub fn workspace(geometry: &Geometry, direction: Direction) -> usize {
    if winograd::fits(geometry, direction) {
        return winograd::workspace(geometry, direction);
    }
    let (depth, cols) = extent(geometry, direction);
    geometry.taps() * depth * cols.next_multiple_of(COLUMN_STEP)
}

/// Channels of what is read and of what is written.
pub(super) fn extent(geometry: &Geometry, direction: Direction) -> (usize, usize) {
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
    if winograd::fits(geometry, direction) {
        let workspace = &mut memory[..needed];
        let args = Gather { geometry, direction, from, weight, bias, to, workspace };
        return winograd::run(simd, args);
    }
    let panels = simd.run(Panels(cols));
    let packed = &mut memory[..needed];
    pack(simd, geometry, direction, weight, &panels, packed);
    let packed = &*packed;
    let strips = strips(&panels);
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

/// Panels in stretches of about [`BLOCK_COLS`] columns.
pub(super) fn strips(panels: &[Panel]) -> Vec<&[Panel]> {
    let (mut strips, mut rest) = (Vec::new(), panels);
    while let Some(first) = rest.first() {
        let here = rest.iter().take_while(|p| p.first - first.first < BLOCK_COLS).count();
        strips.push(&rest[..here]);
        rest = &rest[here..];
    }
    strips
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
        let mut is_written = false;
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
                        adds: is_written,
                    };
                    strip.add::<L>(panel.width);
                }
                is_written = true;
            }
        }
        if !is_written {
            sums.fill(0.0);
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
