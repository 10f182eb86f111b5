//! The forward pass: one walk for the mean square of a row, one that normalises.

use super::Norm;
use crate::kernels::disjoint::Disjoint;
use crate::kernels::runs::for_each;
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd, prefetch_all};
use crate::kernels::sweep::{Function, Squares, fold, sweep};

/// Computes y, like x, and the factor of each row, `inverse_rms` \[rows\].
///
/// # Panics
/// Where lengths do not fit.
pub fn forward(simd: Simd, norm: Norm<'_>, x: &[f32], y: &mut [f32], inverse_rms: &mut [f32]) {
    let rows = norm.check(x, inverse_rms);
    assert_eq!(y.len(), x.len(), "rms_norm: y is like x");
    let runs = norm.groups(rows).runs(rows, norm.cols);
    let (y, inverse_rms) = (Disjoint::new(y), Disjoint::new(inverse_rms));
    for_each(runs.len(), |index| {
        let run = &runs[index];
        let range = run.rows.start * norm.cols..run.rows.end * norm.cols;
        // SAFETY: runs share no row.
        let (y, inverse_rms) = unsafe {
            (y.part(range.start, range.len()), inverse_rms.part(run.rows.start, run.rows.len()))
        };
        with_scratch(2 * norm.cols, |scratch| {
            let x = &x[range];
            simd.run(ForwardRun { norm: &norm, group: run.group, x, y, inverse_rms, scratch });
        });
    });
}

struct ForwardRun<'a> {
    norm: &'a Norm<'a>,
    group: usize,
    x: &'a [f32],
    y: &'a mut [f32],
    inverse_rms: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Kernel for ForwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { norm, group, x: x_all, y, inverse_rms, scratch } = self;
        let cols = norm.cols;
        let (factor, shift) = scratch.split_at_mut(cols);
        norm.coefficients(group, factor, shift);
        for (i, inverse) in inverse_rms.iter_mut().enumerate() {
            let (x, y) = (&x_all[i * cols..][..cols], &mut y[i * cols..][..cols]);
            let [sum] = fold::<L, _, 1, 1>(&Squares, [x]);
            *inverse = 1.0 / (sum / cols as f32 + norm.epsilon).sqrt();
            // The sum of the next row would wait for memory; asked for now, it arrives meanwhile.
            prefetch_all(x_all.get((i + 1) * cols..(i + 2) * cols).unwrap_or_default());
            let scale = Normalise { inverse: *inverse };
            if norm.modulation.is_some() {
                sweep::<L, _, 3, 1>(&scale, [x, factor, shift], [y]);
            } else if norm.weight.is_some() {
                sweep::<L, _, 2, 1>(&scale, [x, factor], [y]);
            } else {
                sweep::<L, _, 1, 1>(&scale, [x], [y]);
            }
        }
    }
}

/// x / rms, times a factor and plus a shift where they are there.
struct Normalise {
    inverse: f32,
}

impl Function<1, 1> for Normalise {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x]: [L; 1], _: [L; 1]) -> [L; 1] {
        [x * L::splat(self.inverse)]
    }
}

impl Function<2, 1> for Normalise {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x, factor]: [L; 2], _: [L; 1]) -> [L; 1] {
        [x * L::splat(self.inverse) * factor]
    }
}

impl Function<3, 1> for Normalise {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x, factor, shift]: [L; 3], _: [L; 1]) -> [L; 1] {
        [(x * L::splat(self.inverse)).mul_add(factor, shift)]
    }
}
