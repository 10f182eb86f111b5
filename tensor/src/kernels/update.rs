//! In-place arithmetic on parameters and gradients: accumulation, the AdamW step, averages, norms.

use super::elementwise::{CHUNK, map};
use super::simd::{Kernel, Lane, Simd};
use super::sweep::Function;
use rayon::prelude::*;

/// One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101) for a slice of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decay of the weights a step, times the rate.
    pub weight_decay: f32,
    /// Factor on the gradient: what clipping by norm asks for, or 1.
    pub gradient_scale: f32,
    /// Number of this step, from 1.
    pub step: u64,
}

/// The constants of a step.
struct Step {
    gradient_scale: f32,
    keep: f32,
    beta1: f32,
    beta2: f32,
    rate: f32,
    root_correction: f32,
    epsilon: f32,
}

impl AdamW {
    fn step(&self) -> Step {
        let power = |beta: f32| 1.0 - f64::from(beta).powf(self.step as f64);
        Step {
            gradient_scale: self.gradient_scale,
            keep: (1.0 - f64::from(self.rate) * f64::from(self.weight_decay)) as f32,
            beta1: self.beta1,
            beta2: self.beta2,
            rate: (f64::from(self.rate) / power(self.beta1)) as f32,
            root_correction: (1.0 / power(self.beta2).sqrt()) as f32,
            epsilon: self.epsilon,
        }
    }
}

impl AdamW {
    /// The constants of the step as the device's kernel reads them.
    pub(crate) fn constants_of_step(&self) -> [f32; 8] {
        let step = self.step();
        [
            step.keep,
            1.0 - step.beta1,
            step.beta2,
            1.0 - step.beta2,
            step.rate,
            step.root_correction,
            step.epsilon,
            1.0,
        ]
    }
}

impl Step {
    #[inline(always)]
    fn advance<L: Lane>(&self, g: L, [p, m, v]: [L; 3]) -> [L; 3] {
        let g = g * L::splat(self.gradient_scale);
        let m = (g - m).mul_add(L::splat(1.0 - self.beta1), m);
        let v = v.mul_add(L::splat(self.beta2), g * g * L::splat(1.0 - self.beta2));
        let root = v.sqrt().mul_add(L::splat(self.root_correction), L::splat(self.epsilon));
        let p = p * L::splat(self.keep) - L::splat(self.rate) * m / root;
        [p, m, v]
    }
}

impl Function<1, 3> for Step {
    const READS: usize = 3;

    #[inline(always)]
    fn apply<L: Lane>(&self, [g]: [L; 1], state: [L; 3]) -> [L; 3] {
        self.advance(g, state)
    }
}

/// A step that also moves the average of the parameters.
struct StepAndAverage {
    step: Step,
    blend: f32,
}

impl Function<1, 4> for StepAndAverage {
    const READS: usize = 4;

    #[inline(always)]
    fn apply<L: Lane>(&self, [g]: [L; 1], [p, m, v, average]: [L; 4]) -> [L; 4] {
        let [p, m, v] = self.step.advance(g, [p, m, v]);
        [p, m, v, (p - average).mul_add(L::splat(self.blend), average)]
    }
}

/// Parameters with their gradient and moments.
#[derive(Debug)]
pub struct Parameters<'a> {
    /// The parameters.
    pub values: &'a mut [f32],
    /// Their gradient.
    pub gradient: &'a [f32],
    /// First moment.
    pub m: &'a mut [f32],
    /// Second moment.
    pub v: &'a mut [f32],
}

/// Takes one step.
pub fn adamw(simd: Simd, config: &AdamW, parameters: Parameters<'_>) {
    let Parameters { values, gradient, m, v } = parameters;
    map(simd, config.step(), [gradient], [values, m, v]);
}

/// Takes one step and moves `average` to `decay * average + (1 - decay) * values`, in one pass.
pub fn adamw_and_ema(
    simd: Simd,
    config: &AdamW,
    parameters: Parameters<'_>,
    average: &mut [f32],
    decay: f32,
) {
    let Parameters { values, gradient, m, v } = parameters;
    let step = StepAndAverage { step: config.step(), blend: 1.0 - decay };
    map(simd, step, [gradient], [values, m, v, average]);
}

/// y + factor * x, in place.
struct Axpy {
    factor: f32,
}

impl Function<1, 1> for Axpy {
    const READS: usize = 1;

    #[inline(always)]
    fn apply<L: Lane>(&self, [x]: [L; 1], [y]: [L; 1]) -> [L; 1] {
        [x.mul_add(L::splat(self.factor), y)]
    }
}

/// y + blend * (x - y), in place.
struct Blend {
    blend: f32,
}

impl Function<1, 1> for Blend {
    const READS: usize = 1;

    #[inline(always)]
    fn apply<L: Lane>(&self, [x]: [L; 1], [y]: [L; 1]) -> [L; 1] {
        [(x - y).mul_add(L::splat(self.blend), y)]
    }
}

/// factor * y, in place.
struct Scale {
    factor: f32,
}

impl Function<0, 1> for Scale {
    const READS: usize = 1;

    #[inline(always)]
    fn apply<L: Lane>(&self, _: [L; 0], [y]: [L; 1]) -> [L; 1] {
        [y * L::splat(self.factor)]
    }
}

/// y += x.
pub fn add_assign(simd: Simd, y: &mut [f32], x: &[f32]) {
    axpy(simd, y, 1.0, x);
}

/// y += factor * x.
pub fn axpy(simd: Simd, y: &mut [f32], factor: f32, x: &[f32]) {
    map(simd, Axpy { factor }, [x], [y]);
}

/// y *= factor.
pub fn scale(simd: Simd, y: &mut [f32], factor: f32) {
    map(simd, Scale { factor }, [], [y]);
}

/// average = decay * average + (1 - decay) * x.
pub fn ema(simd: Simd, average: &mut [f32], x: &[f32], decay: f32) {
    map(simd, Blend { blend: 1.0 - decay }, [x], [average]);
}

/// Sum of squares in f64, chunk by chunk in order, so that it does not depend on threads.
pub fn sum_of_squares(simd: Simd, x: &[f32]) -> f64 {
    if x.len() <= CHUNK {
        return simd.run(Squares(x));
    }
    let sums: Vec<f64> = x.par_chunks(CHUNK).map(|chunk| simd.run(Squares(chunk))).collect();
    sums.iter().sum()
}

struct Squares<'a>(&'a [f32]);

impl Kernel for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<L: Lane>(self) -> f64 {
        // Sixteen independent sums in f64, which the compiler keeps in vectors of the level.
        const SUMS: usize = 16;
        let mut sums = [0.0f64; SUMS];
        let (groups, rest) = self.0.as_chunks::<SUMS>();
        for group in groups {
            for (sum, &x) in sums.iter_mut().zip(group) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        for (sum, &x) in sums.iter_mut().zip(rest) {
            *sum += f64::from(x) * f64::from(x);
        }
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0).collect()
    }

    #[test]
    fn adamw_follows_its_definition_over_several_steps() {
        for simd in Simd::available() {
            for n in [0, 1, 19, 64] {
                let mut config = AdamW {
                    rate: 1e-2,
                    beta1: 0.9,
                    beta2: 0.99,
                    epsilon: 1e-8,
                    weight_decay: 0.1,
                    gradient_scale: 0.5,
                    step: 0,
                };
                let (mut p, mut m, mut v) = (numbers(n, 1), vec![0.0; n], vec![0.0; n]);
                let mut average = p.clone();
                let mut exact: Vec<[f64; 4]> =
                    p.iter().map(|&p| [f64::from(p), 0.0, 0.0, f64::from(p)]).collect();
                for step in 1..=5 {
                    config.step = step;
                    let g = numbers(n, step as usize + 1);
                    let parameters =
                        Parameters { values: &mut p, gradient: &g, m: &mut m, v: &mut v };
                    adamw_and_ema(simd, &config, parameters, &mut average, 0.95);
                    for (state, g) in exact.iter_mut().zip(&g) {
                        let g = 0.5 * f64::from(*g);
                        let [p, m, v, average] = state;
                        *p *= 1.0 - 1e-2 * 0.1;
                        *m = 0.9 * *m + 0.1 * g;
                        *v = 0.99 * *v + 0.01 * g * g;
                        let root = (*v / (1.0 - 0.99f64.powi(step as i32))).sqrt() + 1e-8;
                        *p -= 1e-2 / (1.0 - 0.9f64.powi(step as i32)) * *m / root;
                        *average = 0.95 * *average + 0.05 * *p;
                    }
                }
                for (i, [a, b, c, d]) in exact.iter().enumerate() {
                    for (got, exact) in [(p[i], a), (m[i], b), (v[i], c), (average[i], d)] {
                        assert!((f64::from(got) - exact).abs() < 2e-6, "{simd:?} {got} {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn fused_and_separate_averages_are_the_same() {
        let config = AdamW {
            rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            gradient_scale: 1.0,
            step: 3,
        };
        for simd in Simd::available() {
            let g = numbers(50, 4);
            let run = |is_fused: bool| {
                let (mut p, mut m, mut v) = (numbers(50, 1), numbers(50, 2), vec![0.5; 50]);
                let mut average = numbers(50, 3);
                let parameters = Parameters { values: &mut p, gradient: &g, m: &mut m, v: &mut v };
                if is_fused {
                    adamw_and_ema(simd, &config, parameters, &mut average, 0.9);
                } else {
                    adamw(simd, &config, parameters);
                    ema(simd, &mut average, &p, 0.9);
                }
                (p, m, v, average)
            };
            assert_eq!(run(true), run(false));
        }
    }

    #[test]
    fn sums_are_exact_and_do_not_depend_on_threads() {
        for simd in Simd::available() {
            for n in [0, 1, 15, 100, CHUNK + 1, 3 * CHUNK + 17] {
                let x = numbers(n, 5);
                let exact: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
                let [one, two] = [1, 2].map(|threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    pool.expect("threads can be started").install(|| sum_of_squares(simd, &x))
                });
                assert_eq!(one.to_bits(), two.to_bits());
                assert!((one - exact).abs() <= 1e-12 * exact, "{simd:?} {one} {exact}");
            }
            assert_eq!(sum_of_squares(simd, &[1e30, 1e30]), 2.0 * f64::from(1e30f32).powi(2));
        }
    }

    #[test]
    fn vectors_are_added_and_scaled_in_place() {
        for simd in Simd::available() {
            for n in [0, 1, 31, CHUNK + 3] {
                let (x, mut y) = (numbers(n, 1), numbers(n, 2));
                let before = y.clone();
                add_assign(simd, &mut y, &x);
                assert!((0..n).all(|i| y[i] == before[i] + x[i]));
                scale(simd, &mut y, 0.25);
                axpy(simd, &mut y, -0.5, &x);
                let near = |i: usize| (y[i] - (0.25 * before[i] - 0.25 * x[i])).abs() < 1e-6;
                assert!((0..n).all(near), "{simd:?}");
            }
        }
    }
}
