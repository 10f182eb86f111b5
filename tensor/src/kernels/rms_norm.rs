//! RMS norm with an optional weight and with the model's modulation in the same pass (VINCIE 3B
//! specification, section 1.7):
//! y = x / sqrt(mean(x²) + epsilon) * weight * (scale\[g\] + scale_parameter) + shift\[g\] + shift_parameter.

use super::disjoint::Disjoint;
use super::runs::{Groups, Run, add_all, add_runs, for_each};
use super::scratch::with_scratch;
use super::simd::{Kernel, Lane, Simd};
use super::sweep::{Function, Squares, Sums, fold, sweep};

/// Scale and shift per group of rows.
#[derive(Clone, Copy, Debug)]
pub struct Modulation<'a> {
    /// \[groups, cols\].
    pub scale: &'a [f32],
    /// \[groups, cols\].
    pub shift: &'a [f32],
    /// Added to every row of `scale`, \[cols\].
    pub scale_parameter: Option<&'a [f32]>,
    /// Added to every row of `shift`, \[cols\].
    pub shift_parameter: Option<&'a [f32]>,
    /// Group of each row, \[rows\].
    pub groups: &'a [u32],
}

/// What the norm does, and to which width.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Elements of a row.
    pub cols: usize,
    /// Added to the mean square.
    pub epsilon: f32,
    /// Factor per column, \[cols\].
    pub weight: Option<&'a [f32]>,
    /// Scale and shift; none for a plain norm.
    pub modulation: Option<Modulation<'a>>,
}

/// Gradients of what the norm is made of; each is written where it is there.
#[derive(Debug, Default)]
pub struct NormGradients<'a> {
    /// Of `weight`, \[cols\].
    pub weight: Option<&'a mut [f32]>,
    /// Of the modulation; needed where the norm is modulated.
    pub modulation: Option<ModulationGradients<'a>>,
}

/// Gradients of a modulation.
#[derive(Debug)]
pub struct ModulationGradients<'a> {
    /// Of `scale`, \[groups, cols\].
    pub scale: &'a mut [f32],
    /// Of `shift`, \[groups, cols\].
    pub shift: &'a mut [f32],
    /// Of `scale_parameter`, \[cols\].
    pub scale_parameter: Option<&'a mut [f32]>,
    /// Of `shift_parameter`, \[cols\].
    pub shift_parameter: Option<&'a mut [f32]>,
}

impl<'a> Norm<'a> {
    /// Number of rows of `x`, after checking every length.
    fn check(&self, x: &[f32], inverse_rms: &[f32]) -> usize {
        let rows = inverse_rms.len();
        assert_eq!(x.len(), rows * self.cols, "rms_norm: x is [{rows}, {}]", self.cols);
        let row = |name: &str, values: Option<&[f32]>| {
            let len = values.map_or(self.cols, <[f32]>::len);
            assert_eq!(len, self.cols, "rms_norm: {name} is [{}]", self.cols);
        };
        row("weight", self.weight);
        if let Some(m) = &self.modulation {
            row("scale_parameter", m.scale_parameter);
            row("shift_parameter", m.shift_parameter);
            assert_eq!(m.scale.len(), m.shift.len(), "rms_norm: scale and shift are of one shape");
            assert!(
                m.scale.len().is_multiple_of(self.cols.max(1)),
                "rms_norm: scale is [groups, cols]"
            );
        }
        rows
    }

    fn groups(&self, rows: usize) -> Groups<'a> {
        self.modulation.as_ref().map_or(Groups::ONE, |m| {
            Groups::new(m.groups, rows, m.scale.len().checked_div(self.cols).unwrap_or(0))
        })
    }

    /// Rows of partial sums that a run leaves: of the normalised rows times the gradient, and, where
    /// there is a shift, of the gradient.
    fn partials(&self) -> usize {
        if self.modulation.is_some() { 2 } else { 1 }
    }

    /// Writes weight * (scale + parameter) and shift + parameter of a group.
    #[inline(always)]
    fn coefficients(&self, group: usize, factor: &mut [f32], shift: &mut [f32]) {
        match self.weight {
            Some(weight) => factor.copy_from_slice(weight),
            None => factor.fill(1.0),
        }
        let Some(m) = &self.modulation else { return };
        let row = group * self.cols..(group + 1) * self.cols;
        let (scale, from) = (&m.scale[row.clone()], &m.shift[row]);
        match m.scale_parameter {
            Some(parameter) => {
                let scales = scale.iter().zip(parameter);
                factor.iter_mut().zip(scales).for_each(|(to, (scale, add))| *to *= scale + add);
            }
            None => factor.iter_mut().zip(scale).for_each(|(to, scale)| *to *= scale),
        }
        shift.copy_from_slice(from);
        if let Some(parameter) = m.shift_parameter {
            shift.iter_mut().zip(parameter).for_each(|(to, add)| *to += add);
        }
    }
}

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
        let Self { norm, group, x, y, inverse_rms, scratch } = self;
        let cols = norm.cols;
        let (factor, shift) = scratch.split_at_mut(cols);
        norm.coefficients(group, factor, shift);
        for (i, inverse) in inverse_rms.iter_mut().enumerate() {
            let (x, y) = (&x[i * cols..][..cols], &mut y[i * cols..][..cols]);
            let [sum] = fold::<L, _, 1, 1>(&Squares, [x]);
            *inverse = 1.0 / (sum / cols as f32 + norm.epsilon).sqrt();
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

/// Floats of workspace that [`backward`] needs.
pub fn backward_workspace(norm: &Norm<'_>, rows: usize) -> usize {
    norm.groups(rows).runs(rows, norm.cols).len() * norm.partials() * norm.cols
}

/// Arguments of [`backward`].
#[derive(Debug)]
pub struct Backward<'a> {
    /// What the forward pass was given.
    pub x: &'a [f32],
    /// What it saved, \[rows\].
    pub inverse_rms: &'a [f32],
    /// Gradient of y.
    pub dy: &'a [f32],
    /// Gradient of x, written.
    pub dx: &'a mut [f32],
    /// Gradients of weight and modulation, written.
    pub gradients: NormGradients<'a>,
    /// [`backward_workspace`] floats, of any value.
    pub workspace: &'a mut [f32],
}

/// Computes dx and the gradients that are asked for.
///
/// # Panics
/// Where lengths do not fit.
pub fn backward(simd: Simd, norm: Norm<'_>, args: Backward<'_>) {
    let Backward { x, inverse_rms, dy, dx, gradients, workspace } = args;
    let rows = norm.check(x, inverse_rms);
    assert!(dy.len() == x.len() && dx.len() == x.len(), "rms_norm: dy and dx are like x");
    let cols = norm.cols;
    let groups = norm.groups(rows);
    let runs = groups.runs(rows, cols);
    let stride = norm.partials() * cols;
    let needed = runs.len() * stride;
    assert!(workspace.len() >= needed, "rms_norm: workspace needs {needed} floats");

    let (dx, places) = (Disjoint::new(dx), Disjoint::new(&mut *workspace));
    for_each(runs.len(), |index| {
        let Run { rows, group } = runs[index].clone();
        let range = rows.start * cols..rows.end * cols;
        // SAFETY: runs share neither rows nor partial sums.
        let (dx, partials) =
            unsafe { (dx.part(range.start, range.len()), places.part(index * stride, stride)) };
        with_scratch(2 * cols, |scratch| {
            let (x, dy, inverse_rms) = (&x[range.clone()], &dy[range], &inverse_rms[rows]);
            let norm = &norm;
            simd.run(BackwardRun { norm, group, x, dy, inverse_rms, dx, partials, scratch });
        });
    });
    finish(simd, &norm, &runs, workspace, gradients, groups.count());
}

/// Adds the partial sums. With A\[g\] the sum over the rows of a group of dy times normalised x:
/// d scale\[g\] = weight A\[g\], d weight = sum over g of (scale\[g\] + parameter) A\[g\], and the
/// gradients of the parameters are sums over g.
fn finish(
    simd: Simd,
    norm: &Norm<'_>,
    runs: &[Run],
    partials: &[f32],
    gradients: NormGradients<'_>,
    groups: usize,
) {
    let cols = norm.cols;
    let stride = norm.partials() * cols;
    let NormGradients { weight: d_weight, modulation } = gradients;
    if let Some(d_weight) = &d_weight {
        assert_eq!(d_weight.len(), cols, "rms_norm: the gradient of weight is [{cols}]");
    }
    match (&norm.modulation, modulation) {
        (Some(m), Some(to)) => {
            let len = groups * cols;
            assert!(to.scale.len() == len && to.shift.len() == len, "[{groups}, {cols}] gradients");
            add_runs(simd, runs, partials, stride, 0, to.scale, cols);
            add_runs(simd, runs, partials, stride, cols, to.shift, cols);
            if let Some(d_weight) = d_weight {
                d_weight.fill(0.0);
                for g in 0..groups {
                    for (c, d_weight) in d_weight.iter_mut().enumerate() {
                        let parameter = m.scale_parameter.map_or(0.0, |parameter| parameter[c]);
                        *d_weight += to.scale[g * cols + c] * (m.scale[g * cols + c] + parameter);
                    }
                }
            }
            if let Some(weight) = norm.weight {
                for row in to.scale.chunks_exact_mut(cols.max(1)) {
                    row.iter_mut().zip(weight).for_each(|(d_scale, w)| *d_scale *= w);
                }
            }
            for (sums, from) in [(to.scale_parameter, to.scale), (to.shift_parameter, to.shift)] {
                if let Some(sums) = sums {
                    assert_eq!(sums.len(), cols, "rms_norm: a parameter's gradient is [{cols}]");
                    add_all(simd, from, sums);
                }
            }
        }
        (None, None) => {
            if let Some(d_weight) = d_weight {
                add_runs(simd, runs, partials, stride, 0, d_weight, cols);
            }
        }
        (is, to) => panic!(
            "rms_norm: modulated: {}, but modulation gradients given: {}",
            is.is_some(),
            to.is_some()
        ),
    }
}

struct BackwardRun<'a> {
    norm: &'a Norm<'a>,
    group: usize,
    x: &'a [f32],
    dy: &'a [f32],
    inverse_rms: &'a [f32],
    dx: &'a mut [f32],
    partials: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Kernel for BackwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { norm, group, x, dy, inverse_rms, dx, partials, scratch } = self;
        let cols = norm.cols;
        let (factor, shift) = scratch.split_at_mut(cols);
        norm.coefficients(group, factor, shift);
        partials.fill(0.0);
        let (normed, plain) = partials.split_at_mut(cols);
        // Four rows at once read and write the partial sums once for all of them.
        let mut row = 0;
        while row + 4 <= inverse_rms.len() {
            let range = row * cols..(row + 4) * cols;
            let ([x0, x1, x2, x3], [d0, d1, d2, d3]) =
                (quarters(&x[range.clone()]), quarters(&dy[range.clone()]));
            let inputs = [factor, x0, x1, x2, x3, d0, d1, d2, d3];
            let dots = fold::<L, _, 9, 4>(&Pull, inputs);
            let step = Step::new(&inverse_rms[row..row + 4], dots, cols);
            let [y0, y1, y2, y3] = quarters_mut(&mut dx[range]);
            if plain.is_empty() {
                sweep::<L, _, 9, 5>(&step, inputs, [&mut *normed, y0, y1, y2, y3]);
            } else {
                sweep::<L, _, 9, 6>(&step, inputs, [&mut *normed, &mut *plain, y0, y1, y2, y3]);
            }
            row += 4;
        }
        while row < inverse_rms.len() {
            let range = row * cols..(row + 1) * cols;
            let inputs = [&*factor, &x[range.clone()], &dy[range.clone()]];
            let dots = fold::<L, _, 3, 1>(&Pull, inputs);
            let step = Step::new(&inverse_rms[row..row + 1], dots, cols);
            if plain.is_empty() {
                sweep::<L, _, 3, 2>(&step, inputs, [&mut *normed, &mut dx[range]]);
            } else {
                sweep::<L, _, 3, 3>(&step, inputs, [&mut *normed, &mut *plain, &mut dx[range]]);
            }
            row += 1;
        }
    }
}

/// Four rows of equal length.
#[inline(always)]
fn quarters(rows: &[f32]) -> [&[f32]; 4] {
    let (front, back) = rows.split_at(rows.len() / 2);
    let ((a, b), (c, d)) = (front.split_at(front.len() / 2), back.split_at(back.len() / 2));
    [a, b, c, d]
}

/// Four rows of equal length.
#[inline(always)]
fn quarters_mut(rows: &mut [f32]) -> [&mut [f32]; 4] {
    let (front, back) = rows.split_at_mut(rows.len() / 2);
    let (a, b) = front.split_at_mut(front.len() / 2);
    let (c, d) = back.split_at_mut(back.len() / 2);
    [a, b, c, d]
}

/// Sum of dy * factor * x for each row.
struct Pull;

impl Sums<9, 4> for Pull {
    #[inline(always)]
    fn add<L: Lane>(&self, inputs: [L; 9], mut sums: [L; 4]) -> [L; 4] {
        for (r, sum) in sums.iter_mut().enumerate() {
            let (factor, x, dy) = (inputs[0], inputs[1 + r], inputs[5 + r]);
            *sum = (dy * factor).mul_add(x, *sum);
        }
        sums
    }
}

impl Sums<3, 1> for Pull {
    #[inline(always)]
    fn add<L: Lane>(&self, [factor, x, dy]: [L; 3], [sum]: [L; 1]) -> [L; 1] {
        [(dy * factor).mul_add(x, sum)]
    }
}

/// dx = (dy factor) / rms - x sum(dy factor x) / (cols rms³), and the partial sums of dy x / rms
/// and, where there is a shift, of dy.
struct Step<const R: usize> {
    inverse: [f32; R],
    pull: [f32; R],
}

impl<const R: usize> Step<R> {
    #[inline(always)]
    fn new(inverse_rms: &[f32], dots: [f32; R], cols: usize) -> Self {
        let (mut inverse, mut pull) = ([0.0; R], [0.0; R]);
        for r in 0..R {
            let i = inverse_rms[r];
            inverse[r] = i;
            pull[r] = -i * i * i * dots[r] / cols as f32;
        }
        Self { inverse, pull }
    }

    /// dx and the new sum of one row.
    #[inline(always)]
    fn row<L: Lane>(&self, r: usize, factor: L, x: L, dy: L, sum: L) -> (L, L) {
        let scaled = dy * L::splat(self.inverse[r]);
        (x.mul_add(L::splat(self.pull[r]), scaled * factor), scaled.mul_add(x, sum))
    }

    /// dx of four rows and both sums.
    #[inline(always)]
    fn four<L: Lane>(&self, inputs: [L; 9], mut normed: L, mut plain: L) -> ([L; 4], L, L) {
        let mut dx = [L::zero(); 4];
        for (r, dx) in dx.iter_mut().enumerate() {
            let (x, dy) = (inputs[1 + r], inputs[5 + r]);
            (*dx, normed) = self.row(r, inputs[0], x, dy, normed);
            plain = plain + dy;
        }
        (dx, normed, plain)
    }
}

impl Function<9, 6> for Step<4> {
    const READS: usize = 2;

    #[inline(always)]
    fn apply<L: Lane>(&self, inputs: [L; 9], [normed, plain, ..]: [L; 6]) -> [L; 6] {
        let ([a, b, c, d], normed, plain) = self.four(inputs, normed, plain);
        [normed, plain, a, b, c, d]
    }
}

impl Function<9, 5> for Step<4> {
    const READS: usize = 1;

    #[inline(always)]
    fn apply<L: Lane>(&self, inputs: [L; 9], [normed, ..]: [L; 5]) -> [L; 5] {
        let ([a, b, c, d], normed, _) = self.four(inputs, normed, L::zero());
        [normed, a, b, c, d]
    }
}

impl Function<3, 3> for Step<1> {
    const READS: usize = 2;

    #[inline(always)]
    fn apply<L: Lane>(&self, [factor, x, dy]: [L; 3], [normed, plain, _]: [L; 3]) -> [L; 3] {
        let (dx, normed) = self.row(0, factor, x, dy, normed);
        [normed, plain + dy, dx]
    }
}

impl Function<3, 2> for Step<1> {
    const READS: usize = 1;

    #[inline(always)]
    fn apply<L: Lane>(&self, [factor, x, dy]: [L; 3], [normed, _]: [L; 2]) -> [L; 2] {
        let (dx, normed) = self.row(0, factor, x, dy, normed);
        [normed, dx]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    let problem =
                        Problem::new(rows, cols, [has_weight, is_modulated, has_parameters]);
                    let written = if is_modulated { 7 } else { 3 };
                    let (got, exact) = (problem.run(simd), problem.exact());
                    for (i, (got, exact)) in got.iter().zip(&exact).enumerate().take(written) {
                        let top = exact.iter().fold(1.0, |top: f64, x| top.max(x.abs()));
                        for (got, exact) in got.iter().zip(exact) {
                            let error = (f64::from(*got) - exact).abs() / top;
                            assert!(
                                error < 2e-6,
                                "{simd:?} {rows} {cols} {pieces} {i}: {got} {exact}"
                            );
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
}
