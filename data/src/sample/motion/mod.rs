//! Camera motion between two pictures: phase correlation for large shifts, then a robust fit of
//! translation, zoom and rotation, and how much of the picture that explains.

mod blocks;
mod fft;
mod fit;
mod phase;
mod similarity;

pub use phase::{PhaseShift, phase_shift};
pub use similarity::Similarity;

use super::plane::Plane;
use blocks::Explained;
pub(crate) use blocks::warped;
pub(crate) use fit::LARGEST_ZOOM;
use fit::Pyramid;
use serde::{Deserialize, Serialize};

/// A start other than standing still must explain this much more to be believed.
const MARGIN: f32 = 0.04;
/// With this share explained no further start is tried.
const SATISFIED: f32 = 0.8;
/// With this many textured blocks or fewer nothing can be said about motion.
const FEWEST_BLOCKS: usize = 6;
/// Corners must move this far for a camera motion, picture widths: half a pixel on the pictures
/// that are compared.
const SMALLEST_MOVE: f32 = 0.004;
/// A camera motion explains this share of the blocks...
const EXPLAINED: f32 = 0.45;
/// ...is better than standing still in this share of the cells...
const CELLS_WON: f32 = 0.4;
/// ...and worse in no more than this share.
const CELLS_LOST: f32 = 0.2;

/// The motion of the whole picture from one frame to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Motion {
    /// Where content goes.
    pub similarity: Similarity,
    /// Share of the textured blocks that the motion explains, 0 to 1.
    pub explained: f32,
    /// Share that standing still explains.
    pub still: f32,
    /// Blocks with texture; with few of them nothing is known.
    pub blocks: usize,
    /// Share of the picture's 4 x 3 cells that the motion explains better than standing still.
    pub cells_won: f32,
    /// Share of the cells that it explains worse.
    pub cells_lost: f32,
    /// Height of the phase-correlation peak.
    pub peak: f32,
}

impl Motion {
    /// Whether the camera moves: far enough to see, and all over the picture. A large object
    /// that moves before a still camera does not pass.
    pub fn is_camera(&self, aspect: f32) -> bool {
        self.blocks > FEWEST_BLOCKS
            && self.similarity.displacement(aspect) > SMALLEST_MOVE
            && self.explained >= EXPLAINED
            && self.cells_won >= CELLS_WON
            && self.cells_lost <= CELLS_LOST
    }

    /// Whether the camera may be moving: the motion is visible and no worse than standing still.
    /// Over a moment that is weak evidence; summed over a second it is what tells a drive, whose
    /// scenery no single motion explains, from a still camera.
    pub fn may_be_camera(&self, aspect: f32) -> bool {
        self.blocks > FEWEST_BLOCKS
            && self.similarity.displacement(aspect) > SMALLEST_MOVE
            && self.explained >= EXPLAINED
            && self.cells_won >= self.cells_lost
    }

    /// Whether neither the motion nor standing still explains the pair.
    pub fn is_unknown(&self) -> bool {
        self.blocks > FEWEST_BLOCKS && self.explained < EXPLAINED
    }
}

/// A picture prepared for motion estimates.
#[derive(Clone, Debug)]
pub struct Prepared {
    pyramid: Pyramid,
}

impl Prepared {
    /// Prepares a luma plane.
    pub fn new(luma: &Plane) -> Self {
        Self { pyramid: Pyramid::new(luma) }
    }

    /// Height / width.
    pub fn aspect(&self) -> f32 {
        self.pyramid.aspect()
    }
}

/// The motion from `first` to `second`, however large. Both must have one size. Without texture
/// the motion is the identity and `blocks` is small.
pub fn estimate(first: &Prepared, second: &Prepared) -> Motion {
    let mut search = Search::new(first, second);
    if search.has_texture() {
        let shift = search.shift;
        let shifted = Similarity::translation(shift.x, shift.y);
        // Near standing still the finer fit wins even when no block changes sides. The others
        // are tried in turn until one explains the picture.
        let _ = search.is_satisfied_from(Similarity::IDENTITY, -0.001)
            || search.is_satisfied_from(shifted, MARGIN)
            || [0.8, 1.25, 0.6, 1.6].iter().any(|&zoom| {
                search.is_satisfied_from(Similarity { a: zoom, ..shifted }, MARGIN)
                    || search.is_satisfied_from(Similarity::scaling(zoom), MARGIN)
            });
    }
    search.result()
}

/// The motion from `first` to `second` near to `hint`, or else near to standing still or to the
/// best translation. It is several times faster than `estimate`.
pub fn follow(first: &Prepared, second: &Prepared, hint: Similarity) -> Motion {
    let mut search = Search::new(first, second);
    if search.has_texture() {
        search.is_satisfied_from(Similarity::IDENTITY, -0.001);
        if hint != Similarity::IDENTITY {
            search.is_satisfied_from(hint, MARGIN);
        }
        if search.best.1.share() < EXPLAINED {
            search
                .is_satisfied_from(Similarity::translation(search.shift.x, search.shift.y), MARGIN);
        }
    }
    search.result()
}

/// The best motion found so far.
struct Search<'a> {
    first: &'a Prepared,
    second: &'a Prepared,
    shift: PhaseShift,
    still: Explained,
    best: (Similarity, Explained),
}

impl<'a> Search<'a> {
    fn new(first: &'a Prepared, second: &'a Prepared) -> Self {
        let (a, b) = (first.pyramid.luma(), second.pyramid.luma());
        let still = Explained::of(a, b, &Similarity::IDENTITY);
        let best = (Similarity::IDENTITY, still.clone());
        Self { first, second, shift: phase_shift(a, b), still, best }
    }

    fn has_texture(&self) -> bool {
        self.still.blocks() > FEWEST_BLOCKS
    }

    /// Fits from `start` and keeps the result if it explains more than the best so far by the
    /// margin. True when enough is explained to stop.
    fn is_satisfied_from(&mut self, start: Similarity, margin: f32) -> bool {
        let (first, second) = (&self.first.pyramid, &self.second.pyramid);
        let similarity = fit::fit(first, second, start);
        let explained = Explained::of(first.luma(), second.luma(), &similarity);
        if explained.share() > self.best.1.share() + margin {
            self.best = (similarity, explained);
        }
        self.best.1.share() >= SATISFIED
    }

    fn result(self) -> Motion {
        let (similarity, explained) = self.best;
        Motion {
            similarity,
            explained: explained.share(),
            still: self.still.share(),
            blocks: self.still.blocks(),
            cells_won: explained.cells_won(&self.still),
            cells_lost: self.still.cells_won(&explained),
            peak: self.shift.peak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::texture::scenery;

    /// Random scenery seen through a motion, with a gain and an offset.
    fn view(width: usize, height: usize, motion: &Similarity, gain: f32, offset: f32) -> Plane {
        let back = motion.inverse();
        let unit = width as f32;
        let mut data = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let u = (x as f32 - 0.5 * (unit - 1.0)) / unit;
                let v = (y as f32 - 0.5 * (height as f32 - 1.0)) / unit;
                let (u, v) = back.apply(u, v);
                data.push(gain * scenery(u, v, 3) + offset);
            }
        }
        Plane::new(width, height, data)
    }

    fn check(truth: Similarity, gain: f32, tolerance: f32) {
        let first = Prepared::new(&view(160, 90, &Similarity::IDENTITY, 1.0, 0.0));
        let second = Prepared::new(&view(160, 90, &truth, gain, 9.0));
        let found = estimate(&first, &second);
        let error = found.similarity.after(&truth.inverse()).displacement(first.aspect());
        assert!(error * 160.0 < tolerance, "{truth:?}: {found:?}, off by {} px", error * 160.0);
        assert!(found.explained > 0.9, "{found:?}");
        let is_moved = truth.displacement(first.aspect()) > 0.004;
        assert_eq!(found.is_camera(first.aspect()), is_moved, "{found:?}");
    }

    #[test]
    fn finds_pan_zoom_and_rotation() {
        check(Similarity::IDENTITY, 1.0, 0.05);
        check(Similarity::translation(0.002, -0.001), 1.0, 0.1);
        check(Similarity::translation(0.2, 0.05), 0.8, 0.3);
        check(Similarity::scaling(1.15), 1.0, 0.3);
        check(Similarity::scaling(0.8), 1.1, 0.3);
        check(Similarity { a: 0.995, b: 0.0998, x: 0.02, y: 0.0 }, 1.0, 0.3);
    }

    #[test]
    fn a_moving_part_does_not_move_the_camera() {
        let first = view(160, 90, &Similarity::IDENTITY, 1.0, 0.0);
        let mut second = first.clone();
        for y in 20..60 {
            for x in 30..90 {
                second.data[y * 160 + x] = first.at(x + 9, y + 4);
            }
        }
        let found = estimate(&Prepared::new(&first), &Prepared::new(&second));
        assert!(found.similarity.displacement(0.5625) * 160.0 < 0.2, "{found:?}");
        assert!(!found.is_camera(0.5625), "{found:?}");
    }

    #[test]
    fn unrelated_flat_and_tiny_pictures_say_so() {
        let first = Prepared::new(&view(160, 90, &Similarity::IDENTITY, 1.0, 0.0));
        let elsewhere = Similarity { a: 1.7, b: 2.2, x: 9.0, y: -7.0 };
        let second = Prepared::new(&view(160, 90, &elsewhere, 1.0, 0.0));
        assert!(estimate(&first, &second).is_unknown());
        for (width, height) in [(1, 1), (3, 500), (8, 8)] {
            let flat = Prepared::new(&Plane::filled(width, height, 50.0));
            let found = estimate(&flat, &flat);
            assert_eq!(found.similarity, Similarity::IDENTITY);
            assert_eq!(found.blocks, 0);
            assert!(!found.is_unknown() && !found.is_camera(flat.aspect()));
        }
    }
}
