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
