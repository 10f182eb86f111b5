//! Both passes against plain loops in f64, for every piece a norm can have.

use super::*;
use crate::kernels::simd::Simd;

fn noise(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.0 - 1.0).collect()
}

/// A norm with every piece that can be there.
struct Problem {
    rows: usize,
    cols: usize,
    groups: Vec<u32>,
    x: Vec<f32>,
    dy: Vec<f32>,
    weight: Vec<f32>,
    tables: [Vec<f32>; 2],
    parameters: [Vec<f32>; 2],
    has_weight: bool,
    is_modulated: bool,
    has_parameters: bool,
}

const EPSILON: f32 = 1e-5;
const GROUPS: usize = 3;

impl Problem {
    fn new(
        rows: usize,
        cols: usize,
        [has_weight, is_modulated, has_parameters]: [bool; 3],
    ) -> Self {
        let n = rows * cols;
        Self {
            rows,
            cols,
            groups: (0..rows as u32).map(|r| r / 3 % GROUPS as u32).collect(),
            x: noise(n, 1),
            dy: noise(n, 2),
            weight: noise(cols, 3),
            tables: [noise(GROUPS * cols, 4), noise(GROUPS * cols, 5)],
            parameters: [noise(cols, 6), noise(cols, 7)],
            has_weight,
            is_modulated,
            has_parameters,
        }
    }

    fn norm(&self) -> Norm<'_> {
        let parameter = |i: usize| self.has_parameters.then_some(&self.parameters[i][..]);
        Norm {
            cols: self.cols,
            epsilon: EPSILON,
            weight: self.has_weight.then_some(&self.weight),
            modulation: self.is_modulated.then(|| Modulation {
                scale: &self.tables[0],
                shift: &self.tables[1],
                scale_parameter: parameter(0),
                shift_parameter: parameter(1),
                groups: &self.groups,
            }),
        }
    }

    /// y, dx, d weight, d scale, d shift, d scale_parameter, d shift_parameter.
    fn run(&self, simd: Simd) -> [Vec<f32>; 7] {
        let (n, cols) = (self.x.len(), self.cols);
        let (mut y, mut inverse_rms) = (vec![9.0; n], vec![9.0; self.rows]);
        forward(simd, self.norm(), &self.x, &mut y, &mut inverse_rms);
        let [mut dx, mut weight] = [vec![9.0; n], vec![9.0; cols]];
        let [mut scale, mut shift] = [vec![9.0; GROUPS * cols], vec![9.0; GROUPS * cols]];
        let [mut scale_parameter, mut shift_parameter] = [vec![9.0; cols], vec![9.0; cols]];
        let mut workspace = vec![f32::NAN; backward_workspace(&self.norm(), self.rows)];
        let modulation = self.is_modulated.then_some(ModulationGradients {
            scale: &mut scale,
            shift: &mut shift,
            scale_parameter: Some(&mut scale_parameter),
            shift_parameter: Some(&mut shift_parameter),
        });
        let gradients = NormGradients { weight: Some(&mut weight), modulation };
        let args = Backward {
            x: &self.x,
            inverse_rms: &inverse_rms,
            dy: &self.dy,
            dx: &mut dx,
            gradients,
            workspace: &mut workspace,
        };
        backward(simd, self.norm(), args);
        [y, dx, weight, scale, shift, scale_parameter, shift_parameter]
    }

    /// The same by plain loops.
    fn exact(&self) -> [Vec<f64>; 7] {
        let (n, cols) = (self.x.len(), self.cols);
        let wide = |x: &f32| f64::from(*x);
        let [mut y, mut dx, mut d_weight] = [vec![0.0; n], vec![0.0; n], vec![0.0; cols]];
        let [mut d_scale, mut d_shift] = [vec![0.0; GROUPS * cols], vec![0.0; GROUPS * cols]];
        let [mut d_scale_parameter, mut d_shift_parameter] = [vec![0.0; cols], vec![0.0; cols]];
        for r in 0..self.rows {
            let x: Vec<f64> = self.x[r * cols..][..cols].iter().map(wide).collect();
            let dy: Vec<f64> = self.dy[r * cols..][..cols].iter().map(wide).collect();
            let mean = x.iter().map(|x| x * x).sum::<f64>() / cols as f64;
            let inverse = 1.0 / (mean + f64::from(EPSILON)).sqrt();
            let g = self.groups[r] as usize * cols;
            let parameter = |i: usize, c: usize| {
                if self.has_parameters { f64::from(self.parameters[i][c]) } else { 0.0 }
            };
            let mut d_normed = vec![0.0; cols];
            for c in 0..cols {
                let weight = if self.has_weight { f64::from(self.weight[c]) } else { 1.0 };
                let (mut scale, mut shift) = (1.0, 0.0);
                if self.is_modulated {
                    scale = f64::from(self.tables[0][g + c]) + parameter(0, c);
                    shift = f64::from(self.tables[1][g + c]) + parameter(1, c);
                }
                let normed = x[c] * inverse;
                y[r * cols + c] = normed * weight * scale + shift;
                d_weight[c] += dy[c] * normed * scale;
                d_scale[g + c] += dy[c] * normed * weight;
                d_shift[g + c] += dy[c];
                d_scale_parameter[c] += dy[c] * normed * weight;
                d_shift_parameter[c] += dy[c];
                d_normed[c] = dy[c] * weight * scale;
            }
            let dot: f64 = d_normed.iter().zip(&x).map(|(d, x)| d * x * inverse).sum();
            for c in 0..cols {
                let pull = x[c] * inverse * dot / cols as f64;
                dx[r * cols + c] = inverse * (d_normed[c] - pull);
            }
        }
        [y, dx, d_weight, d_scale, d_shift, d_scale_parameter, d_shift_parameter]
    }
}

#[test]
fn values_and_gradients_equal_plain_loops() {
    for simd in Simd::available() {
        for (rows, cols) in [(0, 5), (1, 1), (1, 33), (7, 16), (23, 100), (100, 2600)] {
            for pieces in 0..8 {
                let [has_weight, is_modulated, has_parameters] =
                    [pieces & 1 != 0, pieces & 2 != 0, pieces & 4 != 0];
                if rows > 50 && pieces != 7 || has_parameters && !is_modulated {
                    continue;
                }
                let problem = Problem::new(rows, cols, [has_weight, is_modulated, has_parameters]);
                let written = if is_modulated { 7 } else { 3 };
                let (got, exact) = (problem.run(simd), problem.exact());
                for (i, (got, exact)) in got.iter().zip(&exact).enumerate().take(written) {
                    let top = exact.iter().fold(1.0, |top: f64, x| top.max(x.abs()));
                    for (got, exact) in got.iter().zip(exact) {
                        let error = (f64::from(*got) - exact).abs() / top;
                        assert!(error < 2e-6, "{simd:?} {rows} {cols} {pieces} {i}: {got} {exact}");
                    }
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let problem = Problem::new(90, 3000, [true; 3]);
    for simd in Simd::available() {
        let [one, two] = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be started").install(|| problem.run(simd))
        });
        assert!(one == two, "{simd:?}");
    }
}
