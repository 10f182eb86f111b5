//! The forward pass: one walk for the statistics, one for y.

use super::{Norm, add_rows};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::math;
use crate::kernels::runs::for_each;
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd};
use crate::kernels::sweep::{Function, sweep};

/// Computes y, and for each frame and group the mean and 1 / sqrt(variance + epsilon), which the
/// gradient uses. Mean and variance of no elements are zero.
///
/// # Panics
/// Where lengths do not fit.
pub fn forward(simd: Simd, norm: Norm<'_>, x: &[f32], y: &mut [f32], statistics: &mut [f32]) {
    norm.check(x, statistics);
    assert_eq!(x.len(), y.len(), "group_norm: y is like x");
    let (channels, frame) = (norm.channels, norm.pixels * norm.channels);
    let mut partials = vec![0.0; norm.frames * norm.runs() * 2 * channels];
    let places = Disjoint::new(&mut partials);
    let all = norm.frames * norm.runs();
    for_each(all, |index| {
        let (of, range) = norm.run(index);
        // SAFETY: every run has its own partial sums.
        let sums = unsafe { places.part(index * 2 * channels, 2 * channels) };
        let (sums, squares) = sums.split_at_mut(channels);
        let origin = &x[of * frame..][..channels];
        simd.run(Statistics { x: &x[range], origin, sums, squares });
    });
    for f in 0..norm.frames {
        let rows = &partials[f * norm.runs() * 2 * channels..][..norm.runs() * 2 * channels];
        let sums = add_rows(rows, 2 * channels);
        let origin = x.get(f * frame..f * frame + channels).unwrap_or_default();
        let to = &mut statistics[f * norm.groups * 2..][..norm.groups * 2];
        finish(&norm, &sums, origin, to);
    }
    let y = Disjoint::new(y);
    for_each(all, |index| {
        let (of, range) = norm.run(index);
        // SAFETY: runs share no pixel.
        let to = unsafe { y.part(range.start, range.len()) };
        let statistics = &statistics[of * norm.groups * 2..][..norm.groups * 2];
        with_scratch(2 * channels, |scratch| {
            let (mean, factor) = scratch.split_at_mut(channels);
            norm.by_channel(statistics, mean, factor);
            factor.iter_mut().zip(norm.weight).for_each(|(factor, weight)| *factor *= weight);
            let (bias, silu) = (norm.bias, norm.silu);
            simd.run(Apply { x: &x[range], y: to, mean, factor, bias, silu });
        });
    });
}

/// Mean and inverse deviation of each group of a frame. Sums of a channel are those of its distances
/// from the frame's first pixel, so that a mean far from zero costs no digits.
fn finish(norm: &Norm<'_>, sums: &[f64], origin: &[f32], to: &mut [f32]) {
    let each = norm.channels / norm.groups;
    let (sums, squares) = sums.split_at(norm.channels);
    let pixels = norm.pixels as f64;
    for (g, to) in to.chunks_exact_mut(2).enumerate() {
        if norm.pixels * each == 0 {
            to.copy_from_slice(&[0.0, (1.0 / f64::from(norm.epsilon).sqrt()) as f32]);
            continue;
        }
        let channels = g * each..(g + 1) * each;
        let mean_of = |c: usize| f64::from(origin[c]) + sums[c] / pixels;
        let mean = channels.clone().map(mean_of).sum::<f64>() / each as f64;
        let within = |c: usize| squares[c] - sums[c] * sums[c] / pixels;
        let between = |c: usize| pixels * (mean_of(c) - mean).powi(2);
        let variance =
            channels.map(|c| within(c) + between(c)).sum::<f64>() / (pixels * each as f64);
        let inverse = 1.0 / (variance.max(0.0) + f64::from(norm.epsilon)).sqrt();
        to.copy_from_slice(&[mean as f32, inverse as f32]);
    }
}

/// Sums and sums of squares of each channel's distance from `origin`.
struct Statistics<'a> {
    x: &'a [f32],
    origin: &'a [f32],
    sums: &'a mut [f32],
    squares: &'a mut [f32],
}

/// One pixel's share.
struct Distance;

impl Function<2, 2> for Distance {
    const READS: usize = 2;

    #[inline(always)]
    fn apply<L: Lane>(&self, [x, origin]: [L; 2], [sum, square]: [L; 2]) -> [L; 2] {
        let d = x - origin;
        [sum + d, d.mul_add(d, square)]
    }
}

/// Four pixels' share, with which sums are read and written once for all of them.
impl Function<5, 2> for Distance {
    const READS: usize = 2;

    #[inline(always)]
    fn apply<L: Lane>(&self, [a, b, c, d, origin]: [L; 5], [sum, square]: [L; 2]) -> [L; 2] {
        let (a, b, c, d) = (a - origin, b - origin, c - origin, d - origin);
        let squares = (a.mul_add(a, b * b), c.mul_add(c, d * d));
        [sum + ((a + b) + (c + d)), square + (squares.0 + squares.1)]
    }
}

impl Kernel for Statistics<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { x, origin, sums, squares } = self;
        let channels = origin.len();
        sums.fill(0.0);
        squares.fill(0.0);
        let fours = x.chunks_exact((4 * channels).max(1));
        let rest = fours.remainder();
        for four in fours {
            let (front, back) = four.split_at(2 * channels);
            let ((a, b), (c, d)) = (front.split_at(channels), back.split_at(channels));
            sweep::<L, _, 5, 2>(&Distance, [a, b, c, d, origin], [&mut *sums, &mut *squares]);
        }
        for pixel in rest.chunks_exact(channels.max(1)) {
            sweep::<L, _, 2, 2>(&Distance, [pixel, origin], [&mut *sums, &mut *squares]);
        }
    }
}

struct Apply<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    mean: &'a [f32],
    factor: &'a [f32],
    bias: &'a [f32],
    silu: bool,
}

struct Scale;
struct ScaleSilu;

impl Function<4, 1> for Scale {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x, mean, factor, bias]: [L; 4], _: [L; 1]) -> [L; 1] {
        [(x - mean).mul_add(factor, bias)]
    }
}

impl Function<4, 1> for ScaleSilu {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x, mean, factor, bias]: [L; 4], _: [L; 1]) -> [L; 1] {
        [math::silu((x - mean).mul_add(factor, bias))]
    }
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { x, y, mean, factor, bias, silu } = self;
        let channels = factor.len().max(1);
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            if silu {
                sweep::<L, _, 4, 1>(&ScaleSilu, [x, mean, factor, bias], [y]);
            } else {
                sweep::<L, _, 4, 1>(&Scale, [x, mean, factor, bias], [y]);
            }
        }
    }
}
