//! The backward pass: one walk for the sums over pixels, one for dx. With n = (x - mean) / deviation
//! and g = dz weight, dx = (g - mean(g) - n mean(g n)) / deviation over the frame's group.

use super::{Norm, add_rows};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::math;
use crate::kernels::runs::for_each;
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd};
use crate::kernels::sweep::{Function, sweep};

/// Arguments of [`backward`].
#[derive(Debug)]
pub struct Backward<'a> {
    /// What the forward pass was given.
    pub x: &'a [f32],
    /// What it saved, \[F, G, 2\].
    pub statistics: &'a [f32],
    /// Gradient of y.
    pub dy: &'a [f32],
    /// Gradient of x, written.
    pub dx: &'a mut [f32],
    /// Gradient of the weight, \[C\], written.
    pub d_weight: &'a mut [f32],
    /// Gradient of the bias, \[C\], written.
    pub d_bias: &'a mut [f32],
}

/// Computes all three gradients.
///
/// # Panics
/// Where lengths do not fit.
pub fn backward(simd: Simd, norm: Norm<'_>, args: Backward<'_>) {
    let Backward { x, statistics, dy, dx, d_weight, d_bias } = args;
    norm.check(x, statistics);
    assert!(dy.len() == x.len() && dx.len() == x.len(), "group_norm: dy and dx are like x");
    let (channels, groups) = (norm.channels, norm.groups);
    assert!(d_weight.len() == channels && d_bias.len() == channels, "group_norm: [{channels}]");
    let of_frame = |f: usize| &statistics[f * groups * 2..][..groups * 2];
    let all = norm.frames * norm.runs();
    let mut partials = vec![0.0; all * 2 * channels];
    let places = Disjoint::new(&mut partials);
    for_each(all, |index| {
        let (frame, range) = norm.run(index);
        // SAFETY: every run has its own partial sums.
        let sums = unsafe { places.part(index * 2 * channels, 2 * channels) };
        with_scratch(3 * channels, |scratch| {
            let rows = Rows::new(&norm, of_frame(frame), scratch);
            let (plain, normed) = sums.split_at_mut(channels);
            simd.run(Sum { rows, x: &x[range.clone()], dy: &dy[range], plain, normed });
        });
    });
    // Means of g and of g n of each frame and group.
    let mut means = vec![0f32; norm.frames * groups * 2];
    let (mut weights, mut biases) = (vec![0f64; channels], vec![0f64; channels]);
    let (each, runs) = (channels / groups, norm.runs() * 2 * channels);
    for f in 0..norm.frames {
        let sums = add_rows(&partials[f * runs..][..runs], 2 * channels);
        let (plain, normed) = sums.split_at(channels);
        for c in 0..channels {
            weights[c] += normed[c];
            biases[c] += plain[c];
        }
        let count = (norm.pixels * each).max(1) as f64;
        for (g, to) in means[f * groups * 2..][..groups * 2].chunks_exact_mut(2).enumerate() {
            let mean = |sums: &[f64]| {
                let terms = (g * each..(g + 1) * each).map(|c| f64::from(norm.weight[c]) * sums[c]);
                (terms.sum::<f64>() / count) as f32
            };
            to.copy_from_slice(&[mean(plain), mean(normed)]);
        }
    }
    for (to, from) in [(d_weight, weights), (d_bias, biases)] {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from as f32);
    }
    let dx = Disjoint::new(dx);
    for_each(all, |index| {
        let (frame, range) = norm.run(index);
        // SAFETY: runs share no pixel.
        let to = unsafe { dx.part(range.start, range.len()) };
        with_scratch(5 * channels, |scratch| {
            let (rows, pulls) = scratch.split_at_mut(3 * channels);
            let rows = Rows::new(&norm, of_frame(frame), rows);
            let (pull, shift) = pulls.split_at_mut(channels);
            let means = &means[frame * groups * 2..][..groups * 2];
            for c in 0..channels {
                let (plain, normed) = (means[c / each * 2], means[c / each * 2 + 1]);
                // dx = factor dz + pull (x - mean) + shift.
                pull[c] = -rows.inverse[c] * rows.inverse[c] * normed;
                shift[c] = -rows.inverse[c] * plain;
            }
            simd.run(Gradient { rows, pull, shift, x: &x[range.clone()], dy: &dy[range], dx: to });
        });
    });
}

/// What a frame's channels are multiplied and added with: n = inverse (x - mean), z = factor (x - mean)
/// + bias.
struct Rows<'a> {
    mean: &'a [f32],
    inverse: &'a [f32],
    factor: &'a [f32],
    bias: &'a [f32],
    silu: bool,
}

impl<'a> Rows<'a> {
    fn new(norm: &Norm<'a>, statistics: &[f32], scratch: &'a mut [f32]) -> Self {
        let (mean, rest) = scratch.split_at_mut(norm.channels);
        let (inverse, factor) = rest.split_at_mut(norm.channels);
        norm.by_channel(statistics, mean, inverse);
        for ((factor, inverse), weight) in factor.iter_mut().zip(&*inverse).zip(norm.weight) {
            *factor = inverse * weight;
        }
        Self { mean, inverse, factor, bias: norm.bias, silu: norm.silu }
    }
}

/// The gradient of z, for the distance of x from the mean.
#[inline(always)]
fn of_z<L: Lane, const SILU: bool>(x: L, dy: L, factor: L, bias: L) -> L {
    if SILU { dy * math::silu_slope(x.mul_add(factor, bias)) } else { dy }
}

struct Add<const SILU: bool>;

impl<const SILU: bool> Function<6, 2> for Add<SILU> {
    const READS: usize = 2;

    #[inline(always)]
    fn apply<L: Lane>(
        &self,
        [x, dy, mean, inverse, factor, bias]: [L; 6],
        [plain, normed]: [L; 2],
    ) -> [L; 2] {
        let x = x - mean;
        let dz = of_z::<L, SILU>(x, dy, factor, bias);
        [plain + dz, dz.mul_add(x * inverse, normed)]
    }
}

struct Pull<const SILU: bool>;

impl<const SILU: bool> Function<7, 1> for Pull<SILU> {
    #[inline(always)]
    fn apply<L: Lane>(
        &self,
        [x, dy, mean, factor, bias, pull, shift]: [L; 7],
        _: [L; 1],
    ) -> [L; 1] {
        let x = x - mean;
        let dz = of_z::<L, SILU>(x, dy, factor, bias);
        [dz.mul_add(factor, x.mul_add(pull, shift))]
    }
}

struct Sum<'a> {
    rows: Rows<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    plain: &'a mut [f32],
    normed: &'a mut [f32],
}

impl Kernel for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { rows, x, dy, plain, normed } = self;
        plain.fill(0.0);
        normed.fill(0.0);
        let channels = plain.len().max(1);
        for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)) {
            let inputs = [x, dy, rows.mean, rows.inverse, rows.factor, rows.bias];
            let sums = [&mut *plain, &mut *normed];
            if rows.silu {
                sweep::<L, _, 6, 2>(&Add::<true>, inputs, sums);
            } else {
                sweep::<L, _, 6, 2>(&Add::<false>, inputs, sums);
            }
        }
    }
}

struct Gradient<'a> {
    rows: Rows<'a>,
    pull: &'a [f32],
    shift: &'a [f32],
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { rows, pull, shift, x, dy, dx } = self;
        let channels = pull.len().max(1);
        let pixels = x.chunks_exact(channels).zip(dy.chunks_exact(channels));
        for ((x, dy), dx) in pixels.zip(dx.chunks_exact_mut(channels)) {
            let inputs = [x, dy, rows.mean, rows.factor, rows.bias, pull, shift];
            if rows.silu {
                sweep::<L, _, 7, 1>(&Pull::<true>, inputs, [dx]);
            } else {
                sweep::<L, _, 7, 1>(&Pull::<false>, inputs, [dx]);
            }
        }
    }
}
