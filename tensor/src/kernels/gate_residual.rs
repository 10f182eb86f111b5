//! The exit of a modulated branch (VINCIE 3B specification, section 1.7):
//! y = x * (gate\[g\] + parameter) + residual.

use super::disjoint::Disjoint;
use super::runs::{Groups, Run, add_all, add_runs, for_each};
use super::scratch::with_scratch;
use super::simd::{Kernel, Lane, Simd};
use super::sweep::{Function, sweep};

/// Gate per group of rows.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// Elements of a row.
    pub cols: usize,
    /// \[groups, cols\].
    pub gate: &'a [f32],
    /// Added to every row of `gate`, \[cols\].
    pub parameter: Option<&'a [f32]>,
    /// Group of each row, \[rows\].
    pub groups: &'a [u32],
}

impl<'a> Gate<'a> {
    /// Groups and runs, after checking every length.
    fn cut(&self, x: &[f32]) -> (Groups<'a>, Vec<Run>) {
        let (rows, cols) = (self.groups.len(), self.cols);
        assert_eq!(x.len(), rows * cols, "gate_residual: x is [{rows}, {cols}]");
        assert!(
            self.gate.len().is_multiple_of(cols.max(1)),
            "gate_residual: gate is [groups, cols]"
        );
        let len = self.parameter.map_or(cols, <[f32]>::len);
        assert_eq!(len, cols, "gate_residual: parameter is [{cols}]");
        let count = self.gate.len().checked_div(cols).unwrap_or(0);
        let groups = Groups::new(self.groups, rows, count);
        (groups, groups.runs(rows, cols))
    }

    /// Writes gate + parameter of a group.
    #[inline(always)]
    fn coefficients(&self, group: usize, to: &mut [f32]) {
        to.copy_from_slice(&self.gate[group * self.cols..][..self.cols]);
        if let Some(parameter) = self.parameter {
            to.iter_mut().zip(parameter).for_each(|(to, parameter)| *to += parameter);
        }
    }
}

/// Computes y, like x.
///
/// # Panics
/// Where lengths do not fit.
pub fn forward(simd: Simd, gate: Gate<'_>, x: &[f32], residual: &[f32], y: &mut [f32]) {
    let (_, runs) = gate.cut(x);
    assert!(x.len() == residual.len() && x.len() == y.len(), "gate_residual: operands are like x");
    let y = Disjoint::new(y);
    for_each(runs.len(), |index| {
        let Run { rows, group } = runs[index].clone();
        let range = rows.start * gate.cols..rows.end * gate.cols;
        // SAFETY: runs share no row.
        let y = unsafe { y.part(range.start, range.len()) };
        with_scratch(gate.cols, |factor| {
            let (x, residual) = (&x[range.clone()], &residual[range]);
            simd.run(ForwardRun { gate: &gate, group, x, residual, y, factor });
        });
    });
}

struct ForwardRun<'a> {
    gate: &'a Gate<'a>,
    group: usize,
    x: &'a [f32],
    residual: &'a [f32],
    y: &'a mut [f32],
    factor: &'a mut [f32],
}

impl Kernel for ForwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { gate, group, x, residual, y, factor } = self;
        let cols = gate.cols;
        gate.coefficients(group, factor);
        for start in (0..y.len()).step_by(cols) {
            let row = start..start + cols;
            let inputs = [&x[row.clone()], &residual[row.clone()], &*factor];
            sweep::<L, _, 3, 1>(&Open, inputs, [&mut y[row]]);
        }
    }
}

/// x * factor + residual.
struct Open;

impl Function<3, 1> for Open {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x, residual, factor]: [L; 3], _: [L; 1]) -> [L; 1] {
        [x.mul_add(factor, residual)]
    }
}

/// Floats of workspace that [`backward`] needs.
pub fn backward_workspace(gate: &Gate<'_>) -> usize {
    let count = gate.gate.len().checked_div(gate.cols).unwrap_or(0);
    let rows = gate.groups.len();
    Groups::new(gate.groups, rows, count).runs(rows, gate.cols).len() * gate.cols
}

/// Arguments of [`backward`]. The gradient of the residual is `dy` itself.
#[derive(Debug)]
pub struct Backward<'a> {
    /// What the forward pass was given.
    pub x: &'a [f32],
    /// Gradient of y.
    pub dy: &'a [f32],
    /// Gradient of x, written.
    pub dx: &'a mut [f32],
    /// Gradient of `gate`, \[groups, cols\], written.
    pub d_gate: &'a mut [f32],
    /// Gradient of `parameter`, \[cols\], written where it is there.
    pub d_parameter: Option<&'a mut [f32]>,
    /// [`backward_workspace`] floats, of any value.
    pub workspace: &'a mut [f32],
}

/// Computes the gradients.
///
/// # Panics
/// Where lengths do not fit.
pub fn backward(simd: Simd, gate: Gate<'_>, args: Backward<'_>) {
    let Backward { x, dy, dx, d_gate, d_parameter, workspace } = args;
    let (groups, runs) = gate.cut(x);
    let cols = gate.cols;
    assert!(x.len() == dy.len() && x.len() == dx.len(), "gate_residual: operands are like x");
    assert_eq!(d_gate.len(), groups.count() * cols, "gate_residual: d_gate is like gate");
    let needed = runs.len() * cols;
    assert!(workspace.len() >= needed, "gate_residual: workspace needs {needed} floats");
    let (dx, places) = (Disjoint::new(dx), Disjoint::new(&mut *workspace));
    for_each(runs.len(), |index| {
        let Run { rows, group } = runs[index].clone();
        let range = rows.start * cols..rows.end * cols;
        // SAFETY: runs share neither rows nor partial sums.
        let (dx, sums) =
            unsafe { (dx.part(range.start, range.len()), places.part(index * cols, cols)) };
        with_scratch(cols, |factor| {
            let (x, dy) = (&x[range.clone()], &dy[range]);
            simd.run(BackwardRun { gate: &gate, group, x, dy, dx, sums, factor });
        });
    });
    add_runs(simd, &runs, workspace, cols, 0, d_gate, cols);
    if let Some(d_parameter) = d_parameter {
        assert_eq!(d_parameter.len(), cols, "gate_residual: d_parameter is [{cols}]");
        add_all(simd, d_gate, d_parameter);
    }
}

struct BackwardRun<'a> {
    gate: &'a Gate<'a>,
    group: usize,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    sums: &'a mut [f32],
    factor: &'a mut [f32],
}

impl Kernel for BackwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { gate, group, x, dy, dx, sums, factor } = self;
        let cols = gate.cols;
        gate.coefficients(group, factor);
        sums.fill(0.0);
        for start in (0..dx.len()).step_by(cols) {
            let row = start..start + cols;
            let inputs = [&x[row.clone()], &dy[row.clone()], &*factor];
            sweep::<L, _, 3, 2>(&Close, inputs, [&mut *sums, &mut dx[row]]);
        }
    }
}

/// Adds dy * x to the sums and writes dy * factor.
struct Close;

impl Function<3, 2> for Close {
    const READS: usize = 1;

    #[inline(always)]
    fn apply<L: Lane>(&self, [x, dy, factor]: [L; 3], [sum, _]: [L; 2]) -> [L; 2] {
        [dy.mul_add(x, sum), dy * factor]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.0 - 1.0).collect()
    }

    fn check(simd: Simd, rows: usize, cols: usize, has_parameter: bool) -> [Vec<f32>; 4] {
        const GROUPS: usize = 3;
        let n = rows * cols;
        let of_row: Vec<u32> = (0..rows as u32).map(|r| (r / 5 + r % 2) % 3).collect();
        let [x, residual, dy] = [1, 2, 3].map(|seed| noise(n, seed));
        let (table, row) = (noise(GROUPS * cols, 4), noise(cols, 5));
        let parameter = has_parameter.then_some(&row[..]);
        let gate = Gate { cols, gate: &table, parameter, groups: &of_row };
        let [mut y, mut dx] = [vec![9.0; n], vec![9.0; n]];
        let [mut d_gate, mut d_parameter] = [vec![9.0; GROUPS * cols], vec![9.0; cols]];
        forward(simd, gate, &x, &residual, &mut y);
        let mut workspace = vec![f32::NAN; backward_workspace(&gate)];
        let args = Backward {
            x: &x,
            dy: &dy,
            dx: &mut dx,
            d_gate: &mut d_gate,
            d_parameter: Some(&mut d_parameter),
            workspace: &mut workspace,
        };
        backward(simd, gate, args);

        let mut exact_gate = vec![0.0; GROUPS * cols];
        let mut exact_parameter = vec![0.0; cols];
        for i in 0..n {
            let (c, g) = (i % cols, of_row[i / cols] as usize * cols + i % cols);
            let factor = f64::from(table[g]) + parameter.map_or(0.0, |row| f64::from(row[c]));
            let exact_y = f64::from(x[i]) * factor + f64::from(residual[i]);
            assert!((f64::from(y[i]) - exact_y).abs() < 1e-6, "{simd:?} y {} {exact_y}", y[i]);
            let exact_dx = f64::from(dy[i]) * factor;
            assert!((f64::from(dx[i]) - exact_dx).abs() < 1e-6, "{simd:?} dx {} {exact_dx}", dx[i]);
            exact_gate[g] += f64::from(dy[i]) * f64::from(x[i]);
            exact_parameter[c] += f64::from(dy[i]) * f64::from(x[i]);
        }
        for (got, exact) in
            d_gate.iter().zip(&exact_gate).chain(d_parameter.iter().zip(&exact_parameter))
        {
            assert!((f64::from(*got) - exact).abs() < 1e-5, "{simd:?} sums {got} {exact}");
        }
        [y, dx, d_gate, d_parameter]
    }

    #[test]
    fn values_and_gradients_equal_plain_loops() {
        for simd in Simd::available() {
            for (rows, cols) in [(0, 4), (1, 1), (6, 17), (40, 48), (100, 1400)] {
                check(simd, rows, cols, true);
                check(simd, rows, cols, false);
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        for simd in Simd::available() {
            let [one, two] = [1, 2].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("threads can be started").install(|| check(simd, 150, 900, true))
            });
            assert!(one == two, "{simd:?}");
        }
    }
}
