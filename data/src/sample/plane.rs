//! A plane of `f32` values and the few filters that measuring needs: Gaussian blur, halving,
//! bilinear reading and gradients. Borders repeat the outermost pixel.

use crate::Image;

/// A single-channel picture, rows top to bottom.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width]`.
    pub data: Vec<f32>,
}

impl Plane {
    /// A plane over existing values. `data.len()` must be `width * height`.
    pub fn new(width: usize, height: usize, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), width * height, "plane {width} x {height}: wrong number of values");
        Self { width, height, data }
    }

    /// A plane of one value.
    pub fn filled(width: usize, height: usize, value: f32) -> Self {
        Self { width, height, data: vec![value; width * height] }
    }

    /// Luma of a picture (Rec. 601 weights), 0 to 255.
    pub fn luma(image: &Image) -> Self {
        let data = image
            .rgb
            .chunks_exact(3)
            .map(|p| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]))
            .collect();
        Self { width: image.width, height: image.height, data }
    }

    /// The red, green and blue planes of a picture, 0 to 255.
    pub fn channels(image: &Image) -> [Self; 3] {
        [0, 1, 2].map(|c| Self {
            width: image.width,
            height: image.height,
            data: image.rgb.chunks_exact(3).map(|p| f32::from(p[c])).collect(),
        })
    }

    /// The value in column `x`, row `y`.
    pub fn at(&self, x: usize, y: usize) -> f32 {
        self.data[y * self.width + x]
    }

    /// Convolution with a Gaussian of standard deviation `sigma` pixels; unchanged when `sigma`
    /// is below a tenth of a pixel.
    pub fn blurred(&self, sigma: f32) -> Self {
        if sigma < 0.1 || self.data.is_empty() {
            return self.clone();
        }
        let reach = (3.0 * sigma).ceil() as usize;
        let weights: Vec<f32> =
            (0..=reach).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
        let total = weights[0] + 2.0 * weights[1..].iter().sum::<f32>();
        let weights: Vec<f32> = weights.iter().map(|w| w / total).collect();
        self.filtered_rows(&weights).filtered_cols(&weights)
    }

    /// Symmetric filter along each row; `weights[i]` belongs to the pixels at distance `i`.
    fn filtered_rows(&self, weights: &[f32]) -> Self {
        let (width, reach) = (self.width, weights.len() - 1);
        let mut out = vec![0.0; self.data.len()];
        let mut padded = vec![0.0; width + 2 * reach];
        for (row, target) in self.data.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            padded[..reach].fill(row[0]);
            padded[reach..reach + width].copy_from_slice(row);
            padded[reach + width..].fill(row[width - 1]);
            for (x, value) in target.iter_mut().enumerate() {
                *value = weights[0] * padded[x + reach];
            }
            for (i, &weight) in weights.iter().enumerate().skip(1) {
                let left = &padded[reach - i..reach - i + width];
                let right = &padded[reach + i..reach + i + width];
                for ((value, &a), &b) in target.iter_mut().zip(left).zip(right) {
                    *value += weight * (a + b);
                }
            }
        }
        Self { width, height: self.height, data: out }
    }

    /// Symmetric filter along each column.
    fn filtered_cols(&self, weights: &[f32]) -> Self {
        let (width, height) = (self.width, self.height);
        let row = |y: usize| &self.data[y * width..(y + 1) * width];
        let mut out = vec![0.0; self.data.len()];
        for (y, target) in out.chunks_exact_mut(width).enumerate() {
            for (value, &a) in target.iter_mut().zip(row(y)) {
                *value = weights[0] * a;
            }
            for (i, &weight) in weights.iter().enumerate().skip(1) {
                let (above, below) = (row(y.saturating_sub(i)), row((y + i).min(height - 1)));
                for ((value, &a), &b) in target.iter_mut().zip(above).zip(below) {
                    *value += weight * (a + b);
                }
            }
        }
        Self { width, height, data: out }
    }

    /// Half the size in both directions (sides of one pixel stay), after a small blur.
    pub fn halved(&self) -> Self {
        let smooth = self.blurred(0.8);
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (right, below) =
                    ((2 * x + 1).min(self.width - 1), (2 * y + 1).min(self.height - 1));
                let sum = smooth.at(2 * x, 2 * y)
                    + smooth.at(right, 2 * y)
                    + smooth.at(2 * x, below)
                    + smooth.at(right, below);
                data.push(0.25 * sum);
            }
        }
        Self { width, height, data }
    }

    /// Bilinear value at pixel-centre coordinates; positions outside read the border.
    pub fn bilinear(&self, x: f32, y: f32) -> f32 {
        let x = x.clamp(0.0, (self.width - 1) as f32);
        let y = y.clamp(0.0, (self.height - 1) as f32);
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let top = self.at(x0, y0) * (1.0 - fx) + self.at(x1, y0) * fx;
        let bottom = self.at(x0, y1) * (1.0 - fx) + self.at(x1, y1) * fx;
        top * (1.0 - fy) + bottom * fy
    }

    /// Bilinear enlargement or reduction without a low-pass filter.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let columns: Vec<(usize, usize, f32)> = axis(self.width, width);
        let mut data = Vec::with_capacity(width * height);
        for (y0, y1, fy) in axis(self.height, height) {
            let top = &self.data[y0 * self.width..(y0 + 1) * self.width];
            let bottom = &self.data[y1 * self.width..(y1 + 1) * self.width];
            data.extend(columns.iter().map(|&(x0, x1, fx)| {
                let upper = top[x0] + (top[x1] - top[x0]) * fx;
                let lower = bottom[x0] + (bottom[x1] - bottom[x0]) * fx;
                upper + (lower - upper) * fy
            }));
        }
        Self { width, height, data }
    }

    /// Central differences along x and y, value units per pixel.
    pub fn gradients(&self) -> (Self, Self) {
        let (width, height) = (self.width, self.height);
        let mut across = Self::filled(width, height, 0.0);
        let mut down = Self::filled(width, height, 0.0);
        for y in 0..height {
            let (above, below) = (y.saturating_sub(1), (y + 1).min(height - 1));
            for x in 0..width {
                let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
                across.data[y * width + x] = 0.5 * (self.at(right, y) - self.at(left, y));
                down.data[y * width + x] = 0.5 * (self.at(x, below) - self.at(x, above));
            }
        }
        (across, down)
    }
}

/// For each of `to` positions along an axis of `from` pixels: lower pixel, upper pixel, weight of
/// the upper one. Pixel centres are aligned.
fn axis(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let scale = from as f32 / to as f32;
    (0..to)
        .map(|i| {
            let at = ((i as f32 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f32);
            let low = at as usize;
            (low, (low + 1).min(from - 1), at - low as f32)
        })
        .collect()
}

/// Median of the values; 0 for none. The slice is reordered.
pub fn median(values: &mut [f32]) -> f32 {
    quantile(values, 0.5)
}

/// The value below which a `share` of the values lies; 0 for none. The slice is reordered.
pub fn quantile(values: &mut [f32], share: f64) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let at = ((values.len() - 1) as f64 * share).round() as usize;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_constants_and_the_sum_of_an_impulse() {
        let flat = Plane::filled(3, 500, 7.0).blurred(2.0);
        assert!(flat.data.iter().all(|v| (v - 7.0).abs() < 1e-4));
        let mut impulse = Plane::filled(41, 31, 0.0);
        impulse.data[15 * 41 + 20] = 100.0;
        let blurred = impulse.blurred(1.5);
        assert!((blurred.data.iter().sum::<f32>() - 100.0).abs() < 1e-2);
        assert_eq!(blurred.at(19, 15), blurred.at(21, 15));
        assert!(blurred.at(20, 15) < 10.0);
    }

    #[test]
    fn one_pixel_survives_every_filter() {
        let one = Plane::filled(1, 1, 9.0);
        assert!((one.blurred(3.0).data[0] - 9.0).abs() < 1e-5);
        assert!((one.halved().data[0] - 9.0).abs() < 1e-5);
        assert_eq!(one.resized(4, 2), Plane::filled(4, 2, 9.0));
        assert_eq!(one.gradients().0.data, [0.0]);
        assert_eq!(one.bilinear(-5.0, 7.0), 9.0);
    }

    #[test]
    fn ramps_keep_their_slope() {
        let ramp = Plane::new(8, 2, (0..16).map(|i| (i % 8) as f32).collect());
        let (across, down) = ramp.gradients();
        assert_eq!(across.at(4, 0), 1.0);
        assert!(down.data.iter().all(|&v| v == 0.0));
        assert_eq!(ramp.bilinear(2.5, 0.5), 2.5);
        let wide = ramp.resized(16, 2);
        assert!((wide.at(7, 0) - 3.25).abs() < 1e-5);
    }

    #[test]
    fn quantiles_of_few_values() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0]), 3.0);
        assert_eq!(median(&mut [5.0, 1.0, 3.0]), 3.0);
        assert_eq!(quantile(&mut [4.0, 1.0, 2.0, 3.0, 0.0], 1.0), 4.0);
    }
}
