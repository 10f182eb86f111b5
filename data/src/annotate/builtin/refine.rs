//! From a region at analysis size to a smooth mask at frame size: the region's soft edge is
//! enlarged and then drawn to the frame's own edges by a guided filter (He, Sun and Tang, 2013).

use super::bitmap::Bitmap;
use crate::sample::motion::{Similarity, warped};
use crate::sample::plane::Plane;
use crate::{Image, Mask};

/// Softness of the region's edge, pixels of the analysis grid.
const SOFT: f32 = 1.2;
/// Reach of the guided filter, pixels of the analysis grid.
const REACH: f32 = 3.0;
/// Variance of the frame's luma below which the filter only smooths, grey levels squared.
const FLAT: f32 = 60.0;
/// Frames above this many pixels are enlarged without the guided filter.
const LARGEST_GUIDED: usize = 8 << 20;

/// The mask of `region` for `frame`. `motion` brings the region's grid to the frame's: the
/// identity for the current frame, the undone camera motion for the next.
pub(crate) fn mask(region: &Bitmap, frame: &Image, motion: &Similarity) -> Mask {
    let (width, height) = (frame.width, frame.height);
    if !region.data.contains(&true) {
        return Mask::filled(width, height, 0);
    }
    let values = region.data.iter().map(|&v| f32::from(u8::from(v))).collect();
    let mut soft = Plane::new(region.width, region.height, values).blurred(SOFT);
    if *motion != Similarity::IDENTITY {
        let (moved, seen) = warped(&soft, &motion.inverse());
        let data = moved.data.iter().zip(seen).map(|(&v, s)| if s { v } else { 0.0 }).collect();
        soft = Plane::new(region.width, region.height, data);
    }
    let large = soft.resized(width, height);
    let scale = width.max(height) as f32 / region.width.max(region.height) as f32;
    let refined = if width * height <= LARGEST_GUIDED {
        guided(&large, &Plane::luma(frame), (REACH * scale).round().max(1.0) as usize)
    } else {
        large
    };
    let data = refined.data.iter().map(|&v| if v > 0.5 { 255 } else { 0 }).collect();
    Mask::new(width, height, data)
}

/// Guided filter with a grey guide: locally, the result is a line through the guide's values.
fn guided(input: &Plane, guide: &Plane, radius: usize) -> Plane {
    let mean_guide = box_mean(guide, radius);
    let mean_input = box_mean(input, radius);
    let product = |a: &Plane, b: &Plane| {
        let data = a.data.iter().zip(&b.data).map(|(x, y)| x * y).collect();
        Plane::new(a.width, a.height, data)
    };
    let mean_square = box_mean(&product(guide, guide), radius);
    let mean_product = box_mean(&product(guide, input), radius);
    let mut slope = mean_product;
    let mut level = mean_input;
    for i in 0..slope.data.len() {
        let variance = mean_square.data[i] - mean_guide.data[i].powi(2);
        let covariance = slope.data[i] - mean_guide.data[i] * level.data[i];
        slope.data[i] = covariance / (variance.max(0.0) + FLAT);
        level.data[i] -= slope.data[i] * mean_guide.data[i];
    }
    let (slope, level) = (box_mean(&slope, radius), box_mean(&level, radius));
    let data =
        (0..input.data.len()).map(|i| slope.data[i] * guide.data[i] + level.data[i]).collect();
    Plane::new(input.width, input.height, data)
}

/// Mean over a square of side `2 * radius + 1`, cut at the borders, by running sums.
fn box_mean(plane: &Plane, radius: usize) -> Plane {
    let (width, height) = (plane.width, plane.height);
    let mut rows = vec![0.0f32; width * height];
    for (line, target) in plane.data.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        let mut sum: f64 = line[..radius.min(width)].iter().map(|&v| f64::from(v)).sum();
        for x in 0..width {
            if x + radius < width {
                sum += f64::from(line[x + radius]);
            }
            if x > radius {
                sum -= f64::from(line[x - radius - 1]);
            }
            let count = (x + radius + 1).min(width) - x.saturating_sub(radius);
            target[x] = (sum / count as f64) as f32;
        }
    }
    let mut out = vec![0.0f32; width * height];
    let mut sums = vec![0.0f64; width];
    let line = |y: usize| &rows[y * width..(y + 1) * width];
    for y in 0..radius.min(height) {
        sums.iter_mut().zip(line(y)).for_each(|(s, &v)| *s += f64::from(v));
    }
    for y in 0..height {
        if y + radius < height {
            sums.iter_mut().zip(line(y + radius)).for_each(|(s, &v)| *s += f64::from(v));
        }
        if y > radius {
            sums.iter_mut().zip(line(y - radius - 1)).for_each(|(s, &v)| *s -= f64::from(v));
        }
        let count = ((y + radius + 1).min(height) - y.saturating_sub(radius)) as f64;
        for (target, sum) in out[y * width..(y + 1) * width].iter_mut().zip(&sums) {
            *target = (sum / count) as f32;
        }
    }
    Plane::new(width, height, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disc on a grey ground, `scale` times the analysis size.
    fn disc(scale: usize) -> (Bitmap, Image, Mask) {
        let inside = |x: f32, y: f32| (x - 80.0).hypot(y - 45.0) < 25.0;
        let coarse =
            Bitmap::of(160, 90, |i| inside((i % 160) as f32 + 0.5, (i / 160) as f32 + 0.5));
        let (width, height) = (160 * scale, 90 * scale);
        let fine: Vec<bool> = (0..width * height)
            .map(|i| {
                let (x, y) = ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
                inside(x / scale as f32, y / scale as f32)
            })
            .collect();
        let rgb = fine.iter().flat_map(|&v| [if v { 210 } else { 90 }; 3]).collect();
        let truth = fine.iter().map(|&v| if v { 255 } else { 0 }).collect();
        (coarse, Image::new(width, height, rgb), Mask::new(width, height, truth))
    }

    #[test]
    fn masks_are_smooth_at_frame_size() {
        for scale in [1, 2, 5] {
            let (region, frame, truth) = disc(scale);
            let found = mask(&region, &frame, &Similarity::IDENTITY);
            let pairs = || found.data.iter().zip(&truth.data);
            let both = pairs().filter(|(a, b)| **a > 0 && **b > 0).count();
            let either = pairs().filter(|(a, b)| **a > 0 || **b > 0).count();
            assert!(both as f64 > 0.97 * either as f64, "scale {scale}: {both} of {either}");
            assert!(found.data.iter().all(|&v| v == 0 || v == 255));
        }
    }

    #[test]
    fn motion_carries_the_mask_along() {
        let (region, frame, _) = disc(2);
        let shift = Similarity::translation(0.25, 0.0);
        let moved = mask(&region, &Image::filled(320, 180, [90; 3]), &shift);
        assert_eq!((moved.data[90 * 320 + 240], moved.data[90 * 320 + 160 - 45]), (255, 0));
        let still = mask(&region, &frame, &Similarity::IDENTITY);
        assert_eq!(still.data[90 * 320 + 160], 255);
        let empty = mask(&Bitmap::empty(160, 90), &frame, &shift);
        assert_eq!(empty, Mask::filled(320, 180, 0));
    }

    #[test]
    fn running_sums_are_means() {
        let plane = Plane::new(5, 3, (0..15).map(|v| v as f32).collect());
        assert_eq!(box_mean(&plane, 100).data, vec![7.0; 15]);
        let near = box_mean(&plane, 1);
        assert_eq!(near.at(0, 0), (0.0 + 1.0 + 5.0 + 6.0) / 4.0);
        assert_eq!(near.at(2, 1), 7.0);
        assert_eq!(box_mean(&plane, 0), plane);
    }
}
