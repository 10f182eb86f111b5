//! Softmax of rows: y = e^(scale x) / the sum of it over the row.

use super::disjoint::Disjoint;
use super::math::exp;
use super::runs::{Groups, for_each};
use super::simd::{Kernel, Lane, Simd};
use super::sweep::{Dot, Function, Sums, fold, sweep};

/// Computes y, like x, for rows of `cols` elements. A row of nothing but minus infinity gives NaN.
///
/// # Panics
/// Where lengths do not fit.
pub fn forward(simd: Simd, cols: usize, scale: f32, x: &[f32], y: &mut [f32]) {
    let rows = rows(cols, &[x, y]);
    let y = Disjoint::new(y);
    let runs = Groups::ONE.runs(rows, cols);
    for_each(runs.len(), |index| {
        let range = runs[index].rows.start * cols..runs[index].rows.end * cols;
        // SAFETY: runs share no row.
        let y = unsafe { y.part(range.start, range.len()) };
        simd.run(Forward { cols, scale, x: &x[range], y });
    });
}

/// Computes dx = scale y (dy - the sum of y dy over the row).
///
/// # Panics
/// Where lengths do not fit.
pub fn backward(simd: Simd, cols: usize, scale: f32, y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let rows = rows(cols, &[y, dy, dx]);
    let dx = Disjoint::new(dx);
    let runs = Groups::ONE.runs(rows, cols);
    for_each(runs.len(), |index| {
        let range = runs[index].rows.start * cols..runs[index].rows.end * cols;
        // SAFETY: runs share no row.
        let dx = unsafe { dx.part(range.start, range.len()) };
        simd.run(Backward { cols, scale, y: &y[range.clone()], dy: &dy[range], dx });
    });
}

/// Number of rows, after checking that all slices are of one length.
fn rows(cols: usize, slices: &[&[f32]]) -> usize {
    let len = slices[0].len();
    assert!(slices.iter().all(|slice| slice.len() == len), "softmax: slices are of one length");
    assert!(len.is_multiple_of(cols.max(1)), "softmax: {len} numbers in rows of {cols}");
    len.checked_div(cols).unwrap_or(0)
}

struct Forward<'a> {
    cols: usize,
    scale: f32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { cols, scale, x, y } = self;
        for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(cols)) {
            let top = largest::<L>(x);
            sweep::<L, _, 1, 1>(&Powers { scale, top }, [x], [y]);
            let [sum] = fold::<L, _, 1, 1>(&Plain, [y]);
            let by = Times(1.0 / sum);
            sweep::<L, _, 0, 1>(&by, [], [y]);
        }
    }
}

/// The largest element of a row that is not empty.
#[inline(always)]
fn largest<L: Lane>(x: &[f32]) -> f32 {
    let mut top = L::splat(f32::NEG_INFINITY);
    let (whole, rest) = x.split_at(x.len() - x.len() % L::WIDTH);
    for part in whole.chunks_exact(L::WIDTH) {
        top = L::read(part).max(top);
    }
    let mut lanes = [f32::NEG_INFINITY; 16];
    top.write(&mut lanes);
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |top, &x| top.max(x))
}

/// e^(scale (x - top)).
struct Powers {
    scale: f32,
    top: f32,
}

impl Function<1, 1> for Powers {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x]: [L; 1], _: [L; 1]) -> [L; 1] {
        [exp((x - L::splat(self.top)) * L::splat(self.scale))]
    }
}

/// The sum of the elements.
struct Plain;

impl Sums<1, 1> for Plain {
    #[inline(always)]
    fn add<L: Lane>(&self, [x]: [L; 1], [sum]: [L; 1]) -> [L; 1] {
        [sum + x]
    }
}

/// The output times a factor.
struct Times(f32);

impl Function<0, 1> for Times {
    const READS: usize = 1;

    #[inline(always)]
    fn apply<L: Lane>(&self, _: [L; 0], [y]: [L; 1]) -> [L; 1] {
        [y * L::splat(self.0)]
    }
}

struct Backward<'a> {
    cols: usize,
    scale: f32,
    y: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { cols, scale, y, dy, dx } = self;
        let rows = y.chunks_exact(cols).zip(dy.chunks_exact(cols));
        for ((y, dy), dx) in rows.zip(dx.chunks_exact_mut(cols)) {
            let [sum] = fold::<L, _, 2, 1>(&Dot, [y, dy]);
            sweep::<L, _, 2, 1>(&Gradient { scale, sum }, [y, dy], [dx]);
        }
    }
}

/// scale y (dy - sum).
struct Gradient {
    scale: f32,
    sum: f32,
}

impl Function<2, 1> for Gradient {
    #[inline(always)]
    fn apply<L: Lane>(&self, [y, dy]: [L; 2], _: [L; 1]) -> [L; 1] {
        [y * L::splat(self.scale) * (dy - L::splat(self.sum))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_equals_plain_code() {
        for simd in Simd::available() {
            for cols in [1, 2, 15, 16, 17, 64, 151] {
                let rows = 3;
                let value = |i: usize| ((i * 7919) % 101) as f32 / 10.0 - 5.0;
                let x: Vec<f32> = (0..rows * cols).map(value).collect();
                let mut y = vec![0.0; x.len()];
                forward(simd, cols, 0.5, &x, &mut y);
                for (x, y) in x.chunks(cols).zip(y.chunks(cols)) {
                    let powers: Vec<f64> = x.iter().map(|&x| f64::from(0.5 * x).exp()).collect();
                    let sum: f64 = powers.iter().sum();
                    for (power, &y) in powers.iter().zip(y) {
                        assert!((power / sum - f64::from(y)).abs() < 1e-6, "{simd:?} {cols}");
                    }
                }
            }
            // Hidden elements get nothing, and a row of large ones no infinity.
            let mut y = [0.0; 3];
            forward(simd, 3, 1.0, &[f32::NEG_INFINITY, 1e30, 1e30], &mut y);
            assert_eq!(y, [0.0, 0.5, 0.5], "{simd:?}");
            forward(simd, 0, 1.0, &[], &mut []);
        }
    }
}
