//! The backward pass: one walk for the projection on x, one for dx and the column sums.

use super::Norm;
use crate::kernels::disjoint::Disjoint;
use crate::kernels::runs::{Run, add_all, add_runs, for_each};
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd};
use crate::kernels::sweep::{Function, Sums, fold, sweep};

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
