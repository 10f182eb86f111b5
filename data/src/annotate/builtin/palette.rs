//! Local palettes: how near a pixel's colour comes to the colours that a set of pixels shows in
//! its neighbourhood. It answers what outlines cannot where several things touch: is this the
//! ground that also lies around the change, or is it the thing?

use super::bitmap::Bitmap;
use crate::sample::plane::Plane;

/// Distance between the pixels that are sampled.
const STRIDE: usize = 3;
/// Fewest samples that make a palette.
const FEWEST: usize = 5;
/// Position in the sorted distances that counts, so that one odd sample does not.
const RANK: usize = 2;

/// The colours of a set, sampled on a coarse grid.
pub(crate) struct Palette {
    /// Sample colours by grid cell; NaN where the cell is not in the set.
    samples: Vec<[f32; 3]>,
    cols: usize,
    rows: usize,
    reach: usize,
}

impl Palette {
    /// The palette of `set` in a picture, for neighbourhoods of `reach` pixels.
    pub(crate) fn new(set: &Bitmap, picture: &[Plane; 3], reach: usize) -> Self {
        let (cols, rows) = (set.width.div_ceil(STRIDE), set.height.div_ceil(STRIDE));
        let mut samples = Vec::with_capacity(cols * rows);
        for row in 0..rows {
            for col in 0..cols {
                let at = row * STRIDE * set.width + col * STRIDE;
                samples.push(if set.data[at] {
                    [0, 1, 2].map(|c| picture[c].data[at])
                } else {
                    [f32::NAN; 3]
                });
            }
        }
        Self { samples, cols, rows, reach: reach.div_ceil(STRIDE) }
    }

    /// Distance of a colour at (`x`, `y`) to the palette around, in grey levels of the worst
    /// channel; none where the set has too few pixels near.
    pub(crate) fn distance(&self, x: usize, y: usize, colour: [f32; 3]) -> Option<f32> {
        let (col, row) = (x / STRIDE, y / STRIDE);
        let mut nearest = [f32::INFINITY; RANK + 1];
        let mut count = 0;
        for r in row.saturating_sub(self.reach)..(row + self.reach + 1).min(self.rows) {
            let left = col.saturating_sub(self.reach);
            let right = (col + self.reach + 1).min(self.cols);
            for sample in &self.samples[r * self.cols + left..r * self.cols + right] {
                // A comparison with NaN is false, so cells outside of the set fall through.
                let [a, b, c] = [0, 1, 2].map(|i| (sample[i] - colour[i]).abs());
                if a.is_nan() {
                    continue;
                }
                let mut distance = a.max(b).max(c);
                count += 1;
                for slot in &mut nearest {
                    if distance < *slot {
                        std::mem::swap(slot, &mut distance);
                    }
                }
            }
        }
        (count >= FEWEST).then_some(nearest[RANK])
    }
}
