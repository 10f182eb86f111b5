//! Phase correlation: the translation between two pictures, also a large one, and how sure it is.

use super::fft::{Complex, Direction, transform};
use crate::sample::plane::Plane;
use std::f32::consts::PI;

/// Longer side of the grid on which the phases are compared.
const GRID: usize = 128;
/// A frequency with this share of the mean cross power counts half.
const FLOOR: f32 = 0.05;

/// The translation with the highest phase correlation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhaseShift {
    /// Content of the first picture is found this far to the right in the second, picture widths.
    pub x: f32,
    /// And this far down, picture widths.
    pub y: f32,
    /// Height of the peak: 1 for a pure cyclic shift, near 0 for unrelated pictures. On video a
    /// fixed camera gives 0.2 to 0.9, a driving one about 0.1, a cut below 0.05.
    pub peak: f32,
}

/// Phase correlation of two luma planes of one size.
pub fn phase_shift(first: &Plane, second: &Plane) -> PhaseShift {
    assert_eq!(
        (first.width, first.height),
        (second.width, second.height),
        "phase correlation needs planes of one size"
    );
    let width = grid_side(first.width, first.width.max(first.height));
    let height = grid_side(first.height, first.width.max(first.height));
    let mut a = spectrum(first, width, height);
    let b = spectrum(second, width, height);
    // Frequencies without energy carry noise only, so their phases count for less.
    let mut magnitude = 0.0;
    for (x, y) in a.iter_mut().zip(&b) {
        *x = y.times_conjugate(*x);
        magnitude += x.re.hypot(x.im);
    }
    let floor = FLOOR * magnitude / a.len() as f32 + 1e-6;
    let mut total = 0.0;
    for x in &mut a {
        let length = x.re.hypot(x.im);
        total += length / (length + floor);
        *x = Complex { re: x.re / (length + floor), im: x.im / (length + floor) };
    }
    transform(&mut a, width, height, Direction::Inverse);
    let (at, best) = a.iter().enumerate().fold((0, f32::MIN), |(at, best), (i, value)| {
        if value.re > best { (i, value.re) } else { (at, best) }
    });
    let (px, py) = (at % width, at / width);
    let value = |x: usize, y: usize| a[(y % height) * width + x % width].re;
    let dx = vertex(value(px + width - 1, py), best, value(px + 1, py));
    let dy = vertex(value(px, py + height - 1), best, value(px, py + 1));
    let signed = |p: usize, n: usize| if 2 * p > n { p as f32 - n as f32 } else { p as f32 };
    let aspect = first.height as f32 / first.width as f32;
    PhaseShift {
        x: (signed(px, width) + dx) / width as f32,
        y: (signed(py, height) + dy) / height as f32 * aspect,
        peak: (best / total.max(1e-6)).clamp(0.0, 1.0),
    }
}

/// Power of two for a side, at most `GRID` for the longest one.
fn grid_side(side: usize, longest: usize) -> usize {
    let wanted = side.min((side * GRID).div_ceil(longest)).max(1);
    // The largest power of two that the side still fills.
    1 << wanted.ilog2()
}

/// Spectrum of the plane on the grid, without its mean and faded out at the borders.
fn spectrum(plane: &Plane, width: usize, height: usize) -> Vec<Complex> {
    let sigma = 0.4 * plane.width as f32 / width as f32;
    let small = plane.blurred(sigma).resized(width, height);
    let mean = small.data.iter().sum::<f32>() / small.data.len() as f32;
    let hann = |i: usize, n: usize| 0.5 - 0.5 * (2.0 * PI * (i as f32 + 0.5) / n as f32).cos();
    let mut data: Vec<Complex> = (0..width * height)
        .map(|i| Complex {
            re: (small.data[i] - mean) * hann(i % width, width) * hann(i / width, height),
            im: 0.0,
        })
        .collect();
    transform(&mut data, width, height, Direction::Forward);
    data
}

/// Offset of a parabola's top from its middle sample, at most half a sample.
fn vertex(left: f32, middle: f32, right: f32) -> f32 {
    let curvature = left - 2.0 * middle + right;
    if curvature < -1e-12 { (0.5 * (left - right) / curvature).clamp(-0.5, 0.5) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::texture::{scenery, uniform};

    fn window(width: usize, height: usize, dx: f32, dy: f32) -> Plane {
        let at = |i: usize| ((i % width) as f32 - dx, (i / width) as f32 - dy);
        let data = (0..width * height)
            .map(|i| scenery(at(i).0 / width as f32, at(i).1 / width as f32, 1))
            .collect();
        Plane::new(width, height, data)
    }

    #[test]
    fn finds_large_translations() {
        let first = window(224, 126, 0.0, 0.0);
        for (dx, dy) in [(0.0, 0.0), (30.0, 0.0), (-41.0, 17.0), (0.0, -20.0)] {
            let shift = phase_shift(&first, &window(224, 126, dx, dy));
            assert!((shift.x * 224.0 - dx).abs() < 2.0, "{dx} {dy}: {shift:?}");
            assert!((shift.y * 224.0 - dy).abs() < 2.0, "{dx} {dy}: {shift:?}");
        }
    }

    #[test]
    fn peak_tells_same_from_unrelated() {
        let first = window(160, 90, 0.0, 0.0);
        assert!(phase_shift(&first, &first).peak > 0.9);
        let noise = |seed: u32| {
            let value = |i: i32| 255.0 * uniform(i % 160, i / 160, seed);
            Plane::new(160, 90, (0..160 * 90).map(value).collect())
        };
        assert!(phase_shift(&noise(1), &noise(77_777)).peak < 0.1);
    }

    #[test]
    fn odd_and_flat_planes_do_not_panic() {
        for (width, height) in [(1, 1), (3, 500), (500, 3), (2, 2)] {
            let flat = Plane::filled(width, height, 9.0);
            let shift = phase_shift(&flat, &flat);
            assert!(shift.x.is_finite() && shift.y.is_finite() && shift.peak.is_finite());
        }
    }
}
