//! How well a motion explains a pair of pictures: correlation of small blocks, which does not see
//! brightness or contrast, and a vote over the picture's cells, which one large moving object
//! cannot win.

use super::similarity::Similarity;
use crate::sample::plane::Plane;

/// Side of the blocks whose correlation decides what a motion explains, pixels.
const BLOCK: usize = 8;
/// Blocks with a smaller standard deviation of grey values have no texture to compare.
const TEXTURE: f32 = 1.2;
/// Correlation above which a block counts as explained.
const CORRELATED: f32 = 0.7;
/// Cells across and down that vote.
const CELLS: (usize, usize) = (4, 3);
/// Textured blocks that a cell needs for a vote.
const QUORUM: usize = 2;

/// What a motion explains.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Explained {
    /// Textured blocks and explained blocks of each cell.
    cells: Vec<(usize, usize)>,
}

impl Explained {
    /// Compares `first` with `second` read through `motion`. Blocks that leave the picture do
    /// not count.
    pub(crate) fn of(first: &Plane, second: &Plane, motion: &Similarity) -> Self {
        let (second, covered) = warped(second, motion);
        let mut cells = vec![(0, 0); CELLS.0 * CELLS.1];
        for top in (0..first.height).step_by(BLOCK) {
            for left in (0..first.width).step_by(BLOCK) {
                let cell = (top * CELLS.1 / first.height) * CELLS.0 + left * CELLS.0 / first.width;
                if let Some(is_same) = compare(first, &second, &covered, left, top) {
                    cells[cell].0 += 1;
                    cells[cell].1 += usize::from(is_same);
                }
            }
        }
        Self { cells }
    }

    /// Number of blocks with texture.
    pub(crate) fn blocks(&self) -> usize {
        self.cells.iter().map(|c| c.0).sum()
    }

    /// Share of the textured blocks that are explained; 0 without texture.
    pub(crate) fn share(&self) -> f32 {
        let same: usize = self.cells.iter().map(|c| c.1).sum();
        same as f32 / self.blocks().max(1) as f32
    }

    /// Share of the voting cells in which this motion explains more than the other.
    pub(crate) fn cells_won(&self, other: &Self) -> f32 {
        let share = |cell: &(usize, usize)| cell.1 as f32 / cell.0.max(1) as f32;
        let (mut won, mut voting) = (0, 0);
        for (own, other) in self.cells.iter().zip(&other.cells) {
            if own.0.max(other.0) >= QUORUM {
                voting += 1;
                won += usize::from(share(own) > share(other));
            }
        }
        won as f32 / voting.max(1) as f32
    }
}

/// Whether a block of both pictures correlates; none without texture or outside of `covered`.
fn compare(
    first: &Plane,
    second: &Plane,
    covered: &[bool],
    left: usize,
    top: usize,
) -> Option<bool> {
    let (mut sums, mut count) = ([0.0f32; 5], 0usize);
    for y in top..(top + BLOCK).min(first.height) {
        for x in left..(left + BLOCK).min(first.width) {
            let at = y * first.width + x;
            if !covered[at] {
                return None;
            }
            let (a, b) = (first.data[at], second.data[at]);
            for (sum, value) in sums.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                *sum += value;
            }
            count += 1;
        }
    }
    let n = count as f32;
    let variance_a = (sums[2] / n - (sums[0] / n).powi(2)).max(0.0);
    let variance_b = (sums[3] / n - (sums[1] / n).powi(2)).max(0.0);
    if variance_a.sqrt() < TEXTURE {
        return None;
    }
    let covariance = sums[4] / n - sums[0] * sums[1] / (n * n);
    Some(covariance > CORRELATED * (variance_a * variance_b).sqrt())
}

/// `second` read through `motion`, on the grid of the first picture; `covered` is false where the
/// motion leaves the picture.
pub(crate) fn warped(second: &Plane, motion: &Similarity) -> (Plane, Vec<bool>) {
    let (width, height) = (second.width, second.height);
    let unit = width as f32;
    let (centre_x, centre_y) = (0.5 * (width - 1) as f32, 0.5 * (height - 1) as f32);
    let mut data = Vec::with_capacity(width * height);
    let mut covered = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = motion.apply((x as f32 - centre_x) / unit, (y as f32 - centre_y) / unit);
            let (tx, ty) = (u * unit + centre_x, v * unit + centre_y);
            data.push(second.bilinear(tx, ty));
            covered.push(
                tx >= -0.5 && ty >= -0.5 && tx <= width as f32 - 0.5 && ty <= height as f32 - 0.5,
            );
        }
    }
    (Plane::new(width, height, data), covered)
}
