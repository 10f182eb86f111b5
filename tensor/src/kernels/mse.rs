//! Mean squared error with a weight per row: loss = sum over r of w\[r\] mean over c of (a - b)².

use super::disjoint::Disjoint;
use super::runs::{Groups, for_each};
use super::simd::{Kernel, Lane, Simd};
use super::sweep::{Function, Sums, fold, sweep};

/// Writes the mean squared error of each row to `errors` and returns the weighted sum, added in f64
/// from the first row to the last. The number of rows is that of `weights`.
///
/// # Panics
/// Where lengths do not fit.
pub fn forward(simd: Simd, a: &[f32], b: &[f32], weights: &[f32], errors: &mut [f32]) -> f32 {
    let (rows, cols) = shape(a, b, weights);
    assert_eq!(errors.len(), rows, "mse: errors is [{rows}]");
    let runs = Groups::ONE.runs(rows, cols);
    let places = Disjoint::new(&mut *errors);
    for_each(runs.len(), |index| {
        let rows = runs[index].rows.clone();
        // SAFETY: runs share no row.
        let errors = unsafe { places.part(rows.start, rows.len()) };
        let range = rows.start * cols..rows.end * cols;
        simd.run(ForwardRun { a: &a[range.clone()], b: &b[range], cols, errors });
    });
    let sum: f64 = errors.iter().zip(weights).map(|(&e, &w)| f64::from(e) * f64::from(w)).sum();
    sum as f32
}

/// Rows and columns, after checking lengths.
fn shape(a: &[f32], b: &[f32], weights: &[f32]) -> (usize, usize) {
    let rows = weights.len();
    let cols = a.len().checked_div(rows).unwrap_or(0);
    assert!(a.len() == rows * cols && b.len() == a.len(), "mse: a and b are [{rows}, cols]");
    (rows, cols)
}

struct ForwardRun<'a> {
    a: &'a [f32],
    b: &'a [f32],
    cols: usize,
    errors: &'a mut [f32],
}

impl Kernel for ForwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { a, b, cols, errors } = self;
        for (r, error) in errors.iter_mut().enumerate() {
            let row = r * cols..(r + 1) * cols;
            let (a, b) = (&a[row.clone()], &b[row]);
            let [sum] = fold::<L, _, 2, 1>(&Distance, [a, b]);
            *error = sum / cols.max(1) as f32;
        }
    }
}

/// Writes the gradient of `a`, where `d_loss` is that of the loss: 2 w\[r\] d_loss / cols (a - b).
/// The gradient of `b` is its negative.
///
/// # Panics
/// Where lengths do not fit.
pub fn backward(simd: Simd, a: &[f32], b: &[f32], weights: &[f32], d_loss: f32, da: &mut [f32]) {
    let (rows, cols) = shape(a, b, weights);
    assert_eq!(da.len(), a.len(), "mse: da is like a");
    let runs = Groups::ONE.runs(rows, cols);
    let da = Disjoint::new(da);
    for_each(runs.len(), |index| {
        let rows = runs[index].rows.clone();
        let range = rows.start * cols..rows.end * cols;
        // SAFETY: runs share no row.
        let da = unsafe { da.part(range.start, range.len()) };
        let factor = 2.0 * d_loss / cols as f32;
        let (a, b, weights) = (&a[range.clone()], &b[range], &weights[rows]);
        simd.run(BackwardRun { a, b, weights, factor, cols, da });
    });
}

struct BackwardRun<'a> {
    a: &'a [f32],
    b: &'a [f32],
    weights: &'a [f32],
    factor: f32,
    cols: usize,
    da: &'a mut [f32],
}

impl Kernel for BackwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { a, b, weights, factor, cols, da } = self;
        for (r, weight) in weights.iter().enumerate() {
            let row = r * cols..(r + 1) * cols;
            let (a, b, da) = (&a[row.clone()], &b[row.clone()], &mut da[row]);
            sweep::<L, _, 2, 1>(&Slope { factor: factor * weight }, [a, b], [da]);
        }
    }
}

/// Sum of squared differences.
struct Distance;

impl Sums<2, 1> for Distance {
    #[inline(always)]
    fn add<L: Lane>(&self, [a, b]: [L; 2], [sum]: [L; 1]) -> [L; 1] {
        let d = a - b;
        [d.mul_add(d, sum)]
    }
}

/// factor * (a - b).
struct Slope {
    factor: f32,
}

impl Function<2, 1> for Slope {
    #[inline(always)]
    fn apply<L: Lane>(&self, [a, b]: [L; 2], _: [L; 1]) -> [L; 1] {
        [(a - b) * L::splat(self.factor)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_gradient_equal_plain_loops_on_any_number_of_threads() {
        for simd in Simd::available() {
            for (rows, cols) in [(0, 7), (1, 1), (3, 64), (17, 33), (300, 500)] {
                let noise =
                    |step: usize| (0..rows * cols).map(move |i| (i * step % 211) as f32 / 100.0);
                let (a, b): (Vec<f32>, Vec<f32>) = (noise(7).collect(), noise(31).collect());
                let weights: Vec<f32> = (0..rows).map(|r| (r % 5) as f32 / rows as f32).collect();
                let run = |threads| {
                    let (mut errors, mut da) = (vec![9.0; rows], vec![9.0; rows * cols]);
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    let loss = pool.expect("threads can be started").install(|| {
                        backward(simd, &a, &b, &weights, 1.5, &mut da);
                        forward(simd, &a, &b, &weights, &mut errors)
                    });
                    (loss, errors, da)
                };
                let results = run(1);
                assert!(results == run(2), "{simd:?}");
                let (loss, errors, da) = results;
                let mut exact = 0.0;
                for r in 0..rows {
                    let mut error = 0.0;
                    for i in r * cols..(r + 1) * cols {
                        let d = f64::from(a[i]) - f64::from(b[i]);
                        error += d * d / cols as f64;
                        let slope = 2.0 * f64::from(weights[r]) * 1.5 * d / cols as f64;
                        assert!((f64::from(da[i]) - slope).abs() < 1e-7, "{simd:?}");
                    }
                    assert!((f64::from(errors[r]) - error).abs() < 1e-5, "{simd:?}");
                    exact += error * f64::from(weights[r]);
                }
                assert!((f64::from(loss) - exact).abs() < 1e-5, "{simd:?} {loss} {exact}");
            }
        }
    }
}
