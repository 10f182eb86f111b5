//! A coarse copy of every frame, small enough to keep for a whole video: area averages on a grid
//! of at most 32 x 18 cells. Shots, near-duplicates and black frames are found on it.

use super::thumbnail::area_resized;
use crate::Image;

/// Most cells across and down; 1728 bytes a frame.
const GRID: (usize, usize) = (32, 18);
/// Standard deviation below which a frame counts as flat, grey levels.
const FLAT: f32 = 3.0;
/// Difference of a cell that noise does not reach, grey levels.
const CHANGED: f32 = 10.0;
/// A frame is black when its mean luma is below the first and every cell below the second.
const BLACK: (f32, f32) = (12.0, 40.0);

/// The fingerprint of one frame with the sums that comparisons need.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fingerprint {
    /// `[rows, cols, 3]` cell averages.
    cells: Vec<u8>,
    mean: f32,
    deviation: f32,
}

impl Fingerprint {
    /// The fingerprint of a picture, which may be a thumbnail of the frame.
    pub(crate) fn new(image: &Image) -> Self {
        let cells = area_resized(image, image.width.min(GRID.0), image.height.min(GRID.1)).rgb;
        let count = cells.len() as f32;
        let mean = cells.iter().map(|&v| f32::from(v)).sum::<f32>() / count;
        let squares = cells.iter().map(|&v| (f32::from(v) - mean).powi(2)).sum::<f32>();
        Self { cells, mean, deviation: (squares / count).sqrt() }
    }

    /// Standard deviation over cells and channels.
    pub(crate) fn deviation(&self) -> f32 {
        self.deviation
    }

    /// Whether there is nothing to see: dark everywhere.
    pub(crate) fn is_black(&self) -> bool {
        self.mean < BLACK.0
            && self.cells.chunks_exact(3).all(|c| {
                let luma =
                    0.299 * f32::from(c[0]) + 0.587 * f32::from(c[1]) + 0.114 * f32::from(c[2]);
                luma < BLACK.1
            })
    }

    /// One minus the correlation of the cells: 0 for the same picture under any brightness and
    /// contrast, about 1 for unrelated ones.
    pub(crate) fn dissimilarity(&self, other: &Self) -> f32 {
        if self.deviation < FLAT && other.deviation < FLAT {
            return 0.0;
        }
        let products: u64 = self
            .cells
            .iter()
            .zip(&other.cells)
            .map(|(&a, &b)| u64::from(u16::from(a) * u16::from(b)))
            .sum();
        let covariance =
            (products as f64 / self.cells.len() as f64) as f32 - self.mean * other.mean;
        let scale = self.deviation.max(FLAT) * other.deviation.max(FLAT);
        (1.0 - covariance / scale).clamp(0.0, 2.0)
    }

    /// Share of the cells that differ by more than the compression noise, both as they are and
    /// once the other frame is brought to this one's brightness and contrast. A large object
    /// changes some cells, a new shot most of them, a change of light none.
    pub(crate) fn changed_share(&self, other: &Self) -> f32 {
        let gain = self.deviation.max(FLAT) / other.deviation.max(FLAT);
        let changed =
            self.cells.chunks_exact(3).zip(other.cells.chunks_exact(3)).filter(|(a, b)| {
                a.iter().zip(*b).any(|(&a, &b)| {
                    let matched = (f32::from(b) - other.mean) * gain + self.mean;
                    let difference = f32::from(a.abs_diff(b)).min((f32::from(a) - matched).abs());
                    difference > CHANGED
                })
            });
        changed.count() as f32 / (self.cells.len() / 3) as f32
    }

    /// The largest difference of a cell, 0 to 255.
    pub(crate) fn largest_difference(&self, other: &Self) -> u8 {
        self.cells.iter().zip(&other.cells).map(|(&a, &b)| a.abs_diff(b)).max().unwrap_or(0)
    }

    /// How far this frame is a blend of two others: the share of `from` (1 = all `from`), and
    /// the part of their difference that no blend explains (0 = a perfect blend).
    pub(crate) fn blend(&self, from: &Self, to: &Self) -> (f32, f32) {
        let (mut along, mut length, mut rest) = (0.0f64, 0.0f64, 0.0f64);
        for ((&middle, &a), &b) in self.cells.iter().zip(&from.cells).zip(&to.cells) {
            let (offset, span) = (f64::from(middle) - f64::from(b), f64::from(a) - f64::from(b));
            along += offset * span;
            length += span * span;
            rest += offset * offset;
        }
        if length <= 0.0 {
            return (1.0, 0.0);
        }
        let share = along / length;
        let unexplained = (rest - share * along).max(0.0) / length;
        (share as f32, unexplained as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::texture::scenery;

    fn picture(seed: u32, gain: f32, offset: f32) -> Image {
        let mut rgb = Vec::new();
        for y in 0..54 {
            for x in 0..96 {
                for c in 0..3 {
                    let value = scenery(x as f32 / 96.0, y as f32 / 96.0, seed + c);
                    rgb.push((gain * value + offset) as u8);
                }
            }
        }
        Image::new(96, 54, rgb)
    }

    #[test]
    fn brightness_does_not_matter_but_content_does() {
        let base = Fingerprint::new(&picture(1, 1.0, 0.0));
        assert!(base.dissimilarity(&base) < 1e-3);
        assert!(base.dissimilarity(&Fingerprint::new(&picture(1, 0.5, 20.0))) < 0.01);
        assert!(base.dissimilarity(&Fingerprint::new(&picture(9, 1.0, 0.0))) > 0.6);
        let flat = Fingerprint::new(&Image::filled(96, 54, [128; 3]));
        assert_eq!(flat.dissimilarity(&Fingerprint::new(&Image::filled(96, 54, [30; 3]))), 0.0);
        let red = Fingerprint::new(&Image::filled(5, 3, [200, 0, 0]));
        let blue = Fingerprint::new(&Image::filled(5, 3, [0, 0, 200]));
        assert!(red.dissimilarity(&blue) > 1.0);
    }

    #[test]
    fn blends_are_recognised() {
        let (a, b) = (picture(1, 1.0, 0.0), picture(9, 1.0, 0.0));
        let mixed = a.rgb.iter().zip(&b.rgb).map(|(&x, &y)| (x / 4) + (y / 4) * 3).collect();
        let mixed = Fingerprint::new(&Image::new(96, 54, mixed));
        let (from, to) = (Fingerprint::new(&a), Fingerprint::new(&b));
        let (share, rest) = mixed.blend(&from, &to);
        assert!((share - 0.25).abs() < 0.03 && rest < 0.01, "{share} {rest}");
        let (_, rest) = Fingerprint::new(&picture(5, 1.0, 0.0)).blend(&from, &to);
        assert!(rest > 0.3, "{rest}");
    }

    #[test]
    fn black_is_dark_everywhere() {
        assert!(Fingerprint::new(&Image::filled(1, 1, [3, 3, 3])).is_black());
        assert!(!Fingerprint::new(&Image::filled(3, 500, [30, 30, 30])).is_black());
        let mut lamp = Image::filled(64, 36, [2; 3]);
        lamp.rgb[3000..3060].fill(255);
        assert!(!Fingerprint::new(&lamp).is_black());
    }
}
