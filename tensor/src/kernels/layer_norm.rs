//! Layer norm of rows: (x - mean) / sqrt(variance + epsilon), times a weight, plus a bias.

use super::disjoint::Disjoint;
use super::runs::{Groups, add_runs, for_each};
use super::simd::{Kernel, Lane, Simd};
use super::sweep::{Function, Squares, Sum, Sums, fold, sweep};

/// What a layer norm is made of.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// Elements of a row.
    pub cols: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// Weight and bias \[cols\], where there are any.
    pub affine: Option<[&'a [f32]; 2]>,
}

impl LayerNorm<'_> {
    fn rows(&self, x: &[f32]) -> usize {
        let rows = x.len().checked_div(self.cols).unwrap_or(0);
        assert_eq!(x.len(), rows * self.cols, "layer_norm: x is [rows, {}]", self.cols);
        for vector in self.affine.into_iter().flatten() {
            assert_eq!(vector.len(), self.cols, "layer_norm: weight and bias are [cols]");
        }
        rows
    }
}

/// Computes y, like x, and mean and 1 / deviation of each row.
///
/// # Panics
/// Where lengths do not fit.
pub fn forward(
    simd: Simd,
    norm: LayerNorm<'_>,
    x: &[f32],
    y: &mut [f32],
    moments: [&mut [f32]; 2],
) {
    let (rows, cols) = (norm.rows(x), norm.cols);
    assert_eq!(y.len(), x.len(), "layer_norm: y is like x");
    assert!(moments.iter().all(|m| m.len() >= rows), "layer_norm: moments are [{rows}]");
    let runs = Groups::ONE.runs(rows, cols);
    let [mean, inverse] = moments;
    let (y, mean, inverse) = (Disjoint::new(y), Disjoint::new(mean), Disjoint::new(inverse));
    for_each(runs.len(), |index| {
        let rows = runs[index].rows.clone();
        let range = rows.start * cols..rows.end * cols;
        let (first, count) = (rows.start, rows.len());
        // SAFETY: runs share no row.
        let (y, mean, inverse) = unsafe {
            (y.part(range.start, range.len()), mean.part(first, count), inverse.part(first, count))
        };
        simd.run(ForwardRun { norm: &norm, x: &x[range], y, mean, inverse });
    });
}

struct ForwardRun<'a> {
    norm: &'a LayerNorm<'a>,
    x: &'a [f32],
    y: &'a mut [f32],
    mean: &'a mut [f32],
    inverse: &'a mut [f32],
}

impl Kernel for ForwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { norm, x, y, mean, inverse } = self;
        let rows = x.chunks_exact(norm.cols).zip(y.chunks_exact_mut(norm.cols));
        for ((x, y), (mean, inverse)) in rows.zip(mean.iter_mut().zip(inverse)) {
            let [sum] = fold::<L, _, 1, 1>(&Sum, [x]);
            *mean = sum / norm.cols as f32;
            // The squares are those of what is left, so a large mean costs no digits.
            sweep::<L, _, 1, 1>(&Without { mean: *mean }, [x], [y]);
            let [squares] = fold::<L, _, 1, 1>(&Squares, [&*y]);
            *inverse = 1.0 / (squares / norm.cols as f32 + norm.epsilon).sqrt();
            let scale = Scale { factor: *inverse };
            match norm.affine {
                Some([weight, bias]) => sweep::<L, _, 2, 1>(&scale, [weight, bias], [y]),
                None => sweep::<L, _, 0, 1>(&scale, [], [y]),
            }
        }
    }
}

/// x - mean.
struct Without {
    mean: f32,
}

impl Function<1, 1> for Without {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x]: [L; 1], _: [L; 1]) -> [L; 1] {
        [x - L::splat(self.mean)]
    }
}

/// y times a factor, times a weight and plus a bias where they are there.
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

impl Function<2, 1> for Scale {
    const READS: usize = 1;

    #[inline(always)]
    fn apply<L: Lane>(&self, [weight, bias]: [L; 2], [y]: [L; 1]) -> [L; 1] {
        [(y * L::splat(self.factor)).mul_add(weight, bias)]
    }
}

/// Numbers of workspace that [`backward`] needs.
pub fn backward_workspace(norm: &LayerNorm<'_>, rows: usize) -> usize {
    if norm.affine.is_none() { 0 } else { 2 * norm.cols * Groups::ONE.runs(rows, norm.cols).len() }
}

/// Arguments of [`backward`].
#[derive(Debug)]
pub struct Backward<'a> {
    /// \[rows, cols\].
    pub x: &'a [f32],
    /// Mean and 1 / deviation of each row.
    pub moments: [&'a [f32]; 2],
    /// Gradient of y.
    pub dy: &'a [f32],
    /// Gradient of x.
    pub dx: &'a mut [f32],
    /// Gradients of weight and bias, which there are with an affine norm.
    pub d_affine: Option<[&'a mut [f32]; 2]>,
    /// [`backward_workspace`] numbers, of any value.
    pub workspace: &'a mut [f32],
}

/// Computes the gradients.
///
/// # Panics
/// Where lengths do not fit.
pub fn backward(simd: Simd, norm: LayerNorm<'_>, args: Backward<'_>) {
    let Backward { x, moments, dy, dx, d_affine, workspace } = args;
    let (rows, cols) = (norm.rows(x), norm.cols);
    assert!(dy.len() == x.len() && dx.len() == x.len(), "layer_norm: gradients are like x");
    let runs = Groups::ONE.runs(rows, cols);
    let needed = backward_workspace(&norm, rows);
    assert!(workspace.len() >= needed, "layer_norm: workspace needs {needed}");
    let width = if norm.affine.is_some() { 2 * cols } else { 0 };
    let (dx, partials) = (Disjoint::new(dx), Disjoint::new(workspace));
    for_each(runs.len(), |index| {
        let rows = runs[index].rows.clone();
        let range = rows.start * cols..rows.end * cols;
        // SAFETY: runs share no row, and each has partial sums of its own.
        let (dx, sums) =
            unsafe { (dx.part(range.start, range.len()), partials.part(index * width, width)) };
        let moments = moments.map(|all| &all[rows.clone()]);
        let (x, dy) = (&x[range.clone()], &dy[range]);
        simd.run(BackwardRun { norm: &norm, x, moments, dy, dx, sums });
    });
    let workspace: &[f32] = workspace;
    for (i, sums) in d_affine.into_iter().flatten().enumerate() {
        assert_eq!(sums.len(), cols, "layer_norm: gradients of weight and bias are [cols]");
        add_runs(simd, &runs, workspace, width, i * cols, sums, cols);
    }
}

struct BackwardRun<'a> {
    norm: &'a LayerNorm<'a>,
    x: &'a [f32],
    moments: [&'a [f32]; 2],
    dy: &'a [f32],
    dx: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Kernel for BackwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { norm, x, moments: [means, inverses], dy, dx, sums } = self;
        let cols = norm.cols;
        sums.fill(0.0);
        for (row, (&mean, &inverse)) in means.iter().zip(inverses).enumerate() {
            let range = row * cols..(row + 1) * cols;
            let (x, dy, dx) = (&x[range.clone()], &dy[range.clone()], &mut dx[range]);
            let row = Row { mean, inverse };
            match norm.affine {
                Some([weight, _]) => {
                    let found = fold::<L, _, 3, 2>(&row, [x, dy, weight]);
                    let slope = Slope::new(row, found, cols);
                    sweep::<L, _, 3, 1>(&slope, [x, dy, weight], [dx]);
                    let (products, shifts) = sums.split_at_mut(cols);
                    sweep::<L, _, 2, 2>(&row, [x, dy], [products, shifts]);
                }
                None => {
                    let found = fold::<L, _, 2, 2>(&row, [x, dy]);
                    sweep::<L, _, 2, 1>(&Slope::new(row, found, cols), [x, dy], [dx]);
                }
            }
        }
    }
}

/// A row's moments. Its sums are those of g and of g n, with g = dy times weight and
/// n = (x - mean) / deviation; missing elements have g = 0.
#[derive(Clone, Copy)]
struct Row {
    mean: f32,
    inverse: f32,
}

impl Row {
    #[inline(always)]
    fn normed<L: Lane>(&self, x: L) -> L {
        (x - L::splat(self.mean)) * L::splat(self.inverse)
    }
}

impl Sums<2, 2> for Row {
    #[inline(always)]
    fn add<L: Lane>(&self, [x, g]: [L; 2], [sum, product]: [L; 2]) -> [L; 2] {
        [sum + g, g.mul_add(self.normed(x), product)]
    }
}

impl Sums<3, 2> for Row {
    #[inline(always)]
    fn add<L: Lane>(&self, [x, dy, weight]: [L; 3], sums: [L; 2]) -> [L; 2] {
        Sums::<2, 2>::add(self, [x, dy * weight], sums)
    }
}

/// Adds dy n and dy to the sums of the columns.
impl Function<2, 2> for Row {
    const READS: usize = 2;

    #[inline(always)]
    fn apply<L: Lane>(&self, [x, dy]: [L; 2], [products, shifts]: [L; 2]) -> [L; 2] {
        [dy.mul_add(self.normed(x), products), shifts + dy]
    }
}

/// dx = (g - mean(g) - n mean(g n)) / deviation.
struct Slope {
    row: Row,
    mean: f32,
    product: f32,
}

impl Slope {
    fn new(row: Row, [sum, product]: [f32; 2], cols: usize) -> Self {
        Self { row, mean: sum / cols as f32, product: product / cols as f32 }
    }
}

impl Function<2, 1> for Slope {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x, g]: [L; 2], _: [L; 1]) -> [L; 1] {
        let bent = self.row.normed(x) * L::splat(self.product);
        [(g - L::splat(self.mean) - bent) * L::splat(self.row.inverse)]
    }
}

impl Function<3, 1> for Slope {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x, dy, weight]: [L; 3], old: [L; 1]) -> [L; 1] {
        Function::<2, 1>::apply(self, [x, dy * weight], old)
    }
}
