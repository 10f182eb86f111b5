//! A radix-2 Fourier transform in one and two dimensions, all that phase correlation needs.

use std::f32::consts::PI;

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Complex {
    pub(crate) re: f32,
    pub(crate) im: f32,
}

impl Complex {
    /// Product with the conjugate of `other`.
    pub(crate) fn times_conjugate(self, other: Self) -> Self {
        Self {
            re: self.re * other.re + self.im * other.im,
            im: self.im * other.re - self.re * other.im,
        }
    }

    fn times(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
}

/// Direction of a transform. The inverse is not divided by the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Inverse,
}

/// Transforms `[height, width]` values in place; both sides are powers of two.
pub(crate) fn transform(data: &mut [Complex], width: usize, height: usize, direction: Direction) {
    assert!(
        width.is_power_of_two() && height.is_power_of_two() && data.len() == width * height,
        "transform of {} values as {width} x {height}: sides must be powers of two",
        data.len()
    );
    let twiddles = roots(width.max(height), direction);
    for row in data.chunks_exact_mut(width) {
        transform_line(row, &twiddles);
    }
    let mut column = vec![Complex::default(); height];
    for x in 0..width {
        for (y, value) in column.iter_mut().enumerate() {
            *value = data[y * width + x];
        }
        transform_line(&mut column, &twiddles);
        for (y, value) in column.iter().enumerate() {
            data[y * width + x] = *value;
        }
    }
}

/// The first half of the roots of unity of order `length`.
fn roots(length: usize, direction: Direction) -> Vec<Complex> {
    let sign = if direction == Direction::Forward { -1.0 } else { 1.0 };
    (0..length / 2)
        .map(|i| {
            let angle = sign * 2.0 * PI * i as f32 / length as f32;
            Complex { re: angle.cos(), im: angle.sin() }
        })
        .collect()
}

/// Cooley and Tukey's transform of one line; `twiddles` may belong to a longer power of two.
fn transform_line(line: &mut [Complex], twiddles: &[Complex]) {
    let length = line.len();
    if length < 2 {
        return;
    }
    let shift = usize::BITS - length.trailing_zeros();
    for i in 0..length {
        let reversed = i.reverse_bits() >> shift;
        if i < reversed {
            line.swap(i, reversed);
        }
    }
    let order = 2 * twiddles.len();
    let mut half = 1;
    while half < length {
        let step = order / (2 * half);
        for block in line.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (i, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let turned = b.times(twiddles[i * step]);
                *b = Complex { re: a.re - turned.re, im: a.im - turned.im };
                *a = Complex { re: a.re + turned.re, im: a.im + turned.im };
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_again() {
        for (width, height) in [(1, 1), (2, 1), (1, 8), (16, 4)] {
            let data: Vec<Complex> = (0..width * height)
                .map(|i| Complex { re: ((i * 37) % 11) as f32, im: ((i * 17) % 5) as f32 })
                .collect();
            let mut turned = data.clone();
            transform(&mut turned, width, height, Direction::Forward);
            transform(&mut turned, width, height, Direction::Inverse);
            let count = (width * height) as f32;
            for (a, b) in data.iter().zip(&turned) {
                assert!((a.re - b.re / count).abs() < 1e-4 && (a.im - b.im / count).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn matches_the_plain_sum() {
        let line: Vec<Complex> =
            (0..8).map(|i| Complex { re: (i * i % 7) as f32, im: 0.0 }).collect();
        let mut fast = line.clone();
        transform(&mut fast, 8, 1, Direction::Forward);
        for (k, value) in fast.iter().enumerate() {
            let mut sum = Complex::default();
            for (n, x) in line.iter().enumerate() {
                let angle = -2.0 * PI * (k * n) as f32 / 8.0;
                sum.re += x.re * angle.cos();
                sum.im += x.re * angle.sin();
            }
            assert!((sum.re - value.re).abs() < 1e-4 && (sum.im - value.im).abs() < 1e-4);
        }
    }
}
