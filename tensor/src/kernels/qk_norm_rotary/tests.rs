//! Both passes against plain loops in f64.

use super::*;
use crate::kernels::simd::Simd;

fn noise(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.0 - 1.0).collect()
}

const LENGTH: usize = 60;
const POSITIONS: usize = 11;

struct Problem {
    heads: Heads,
    stride: usize,
    rows: Vec<u32>,
    positions: Vec<u32>,
    qkv: Vec<f32>,
    weights: Option<[Vec<f32>; 2]>,
    table: [Vec<f32>; 2],
    grads: [Vec<f32>; 3],
}

type Results = ([Vec<f32>; 3], Vec<f32>, [Vec<f32>; 2]);

impl Problem {
    fn new(tokens: usize, heads: Heads, has_weights: bool) -> Self {
        let stride = 3 * heads.width() + 5;
        let angles = noise(POSITIONS * heads.rotated / 2, 3);
        Self {
            heads,
            stride,
            rows: (0..tokens as u32).map(|t| (t * 7 + 3) % LENGTH as u32).collect(),
            positions: (0..tokens).map(|t| (t * 3 % POSITIONS) as u32).collect(),
            qkv: noise(tokens * stride, 1),
            weights: has_weights.then(|| [noise(heads.head_dim, 4), noise(heads.head_dim, 5)]),
            table: [
                angles.iter().map(|a| (3.0 * a).cos()).collect(),
                angles.iter().map(|a| (3.0 * a).sin()).collect(),
            ],
            grads: [6, 7, 8].map(|seed| noise(LENGTH * heads.width(), seed)),
        }
    }

    fn stream(&self) -> Stream<'_> {
        Stream {
            qkv: &self.qkv,
            stride: self.stride,
            weight_q: self.weights.as_ref().map(|w| &w[0][..]),
            weight_k: self.weights.as_ref().map(|w| &w[1][..]),
            rows: &self.rows,
            positions: &self.positions,
        }
    }

    /// q, k, v; dqkv; weight gradients. What is not written stays 9.
    fn run(&self, simd: Simd) -> Results {
        let Self { heads, .. } = *self;
        let table = Table { cos: &self.table[0], sin: &self.table[1] };
        let [mut q, mut k, mut v] = [(); 3].map(|()| vec![9.0; LENGTH * heads.width()]);
        let mut inverse_rms = vec![9.0; LENGTH * 2 * heads.heads];
        let joint = Joint { q: &mut q, k: &mut k, v: &mut v, inverse_rms: &mut inverse_rms };
        forward(simd, heads, self.stream(), table, joint);
        let mut dqkv = vec![9.0; self.qkv.len()];
        let mut d_weights = [(); 2].map(|()| vec![9.0; heads.head_dim]);
        let [d_weight_q, d_weight_k] = &mut d_weights;
        let mut workspace = vec![f32::NAN; backward_workspace(&heads, self.rows.len())];
        let args = Backward {
            inverse_rms: &inverse_rms,
            dq: &self.grads[0],
            dk: &self.grads[1],
            dv: &self.grads[2],
            dqkv: &mut dqkv,
            d_weight_q: Some(d_weight_q),
            d_weight_k: Some(d_weight_k),
            workspace: &mut workspace,
        };
        backward(simd, heads, self.stream(), table, args);
        ([q, k, v], dqkv, d_weights)
    }

    /// The same by plain loops.
    fn exact(&self) -> ([Vec<f64>; 3], Vec<f64>, [Vec<f64>; 2]) {
        let Heads { head_dim, rotated, epsilon, .. } = self.heads;
        let width = self.heads.width();
        let mut joint = [(); 3].map(|()| vec![9.0; LENGTH * width]);
        let mut dqkv = vec![9.0; self.qkv.len()];
        let mut d_weights = [(); 2].map(|()| vec![0.0; head_dim]);
        for (t, (&row, &position)) in self.rows.iter().zip(&self.positions).enumerate() {
            for part in 0..3 {
                for head in 0..self.heads.heads {
                    let from = t * self.stride + part * width + head * head_dim;
                    let to = row as usize * width + head * head_dim;
                    let x: Vec<f64> =
                        self.qkv[from..][..head_dim].iter().map(|&x| f64::from(x)).collect();
                    let dy: Vec<f64> =
                        self.grads[part][to..][..head_dim].iter().map(|&x| f64::from(x)).collect();
                    if part == 2 {
                        joint[2][to..][..head_dim].copy_from_slice(&x);
                        dqkv[from..][..head_dim].copy_from_slice(&dy);
                        continue;
                    }
                    let weight =
                        |i: usize| self.weights.as_ref().map_or(1.0, |w| f64::from(w[part][i]));
                    let mean = x.iter().map(|x| x * x).sum::<f64>() / head_dim as f64;
                    let inverse = 1.0 / (mean + f64::from(epsilon)).sqrt();
                    let mut z: Vec<f64> =
                        x.iter().enumerate().map(|(i, x)| x * inverse * weight(i)).collect();
                    let mut dz = dy;
                    for i in 0..rotated / 2 {
                        let at = position as usize * (rotated / 2) + i;
                        let (c, s) = (f64::from(self.table[0][at]), f64::from(self.table[1][at]));
                        let (a, b) = (z[2 * i], z[2 * i + 1]);
                        (z[2 * i], z[2 * i + 1]) = (a * c - b * s, b * c + a * s);
                        let (a, b) = (dz[2 * i], dz[2 * i + 1]);
                        (dz[2 * i], dz[2 * i + 1]) = (a * c + b * s, b * c - a * s);
                    }
                    joint[part][to..][..head_dim].copy_from_slice(&z);
                    let dot: f64 = (0..head_dim).map(|i| dz[i] * weight(i) * x[i] * inverse).sum();
                    for i in 0..head_dim {
                        d_weights[part][i] += dz[i] * x[i] * inverse;
                        let pull = x[i] * inverse * dot / head_dim as f64;
                        dqkv[from + i] = inverse * (dz[i] * weight(i) - pull);
                    }
                }
            }
        }
        (joint, dqkv, d_weights)
    }
}

fn heads(heads: usize, head_dim: usize, rotated: usize) -> Heads {
    Heads { heads, head_dim, rotated, epsilon: 1e-5 }
}

#[test]
fn values_and_gradients_equal_plain_loops() {
    for simd in Simd::available() {
        for (tokens, sizes) in [
            (0, heads(2, 8, 8)),
            (1, heads(1, 2, 2)),
            (5, heads(3, 7, 6)),
            (9, heads(2, 24, 12)),
            (LENGTH, heads(2, 128, 126)),
            (LENGTH, heads(20, 40, 0)),
        ] {
            for has_weights in [false, true] {
                let problem = Problem::new(tokens, sizes, has_weights);
                let (joint, dqkv, d_weights) = problem.run(simd);
                let (exact_joint, exact_dqkv, exact_weights) = problem.exact();
                let got = joint.iter().chain([&dqkv]).chain(&d_weights);
                let exact = exact_joint.iter().chain([&exact_dqkv]).chain(&exact_weights);
                for (i, (got, exact)) in got.zip(exact).enumerate() {
                    let top = exact.iter().fold(1.0, |top: f64, x| top.max(x.abs()));
                    for (got, exact) in got.iter().zip(exact) {
                        let error = (f64::from(*got) - exact).abs() / top;
                        assert!(error < 2e-6, "{simd:?} {sizes:?} {i}: {got} not {exact}");
                    }
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let problem = Problem::new(LENGTH, heads(20, 128, 126), true);
    for simd in Simd::available() {
        let [one, two] = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be started").install(|| problem.run(simd))
        });
        assert!(one == two, "{simd:?}");
    }
}

#[test]
fn a_row_named_twice_is_refused() {
    let mut problem = Problem::new(4, heads(1, 4, 4), false);
    problem.rows[2] = problem.rows[0];
    let table = Table { cos: &problem.table[0], sin: &problem.table[1] };
    let outcome = std::panic::catch_unwind(|| problem.heads.cut(&problem.stream(), &table, LENGTH));
    assert!(outcome.is_err());
}
