//! From projected features to attention's operands in one pass (VINCIE 3B specification, sections 1.6
//! and 1.8): q and k are RMS-normalised per head and rotated, and q, k, v go to their rows of the
//! joint sequence of text and video.
//!
//! With w the weight and (c, s) the cosine and sine of a pair, both halves of the work are one
//! multiply-add on a vector and its pairs swapped: y = (x * a + swap(x) * b) / rms(x), where
//! a = w c and b holds -s times the odd weight, then s times the even one.

use super::disjoint::Disjoint;
use super::runs::{Groups, Run, add_runs, for_each};
use super::scratch::with_scratch;
use super::simd::{Kernel, Lane, Simd};
use super::sweep::{Dot, Function, Squares, fold, sweep};

/// Sizes that all streams share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Attention heads.
    pub heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Features that are rotated, in pairs (2i, 2i + 1) from the first; even.
    pub rotated: usize,
    /// Added to the mean square.
    pub epsilon: f32,
}

/// One stream of tokens and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// q, k and v of each token, each \[heads, head_dim\]; tokens lie `stride` floats apart.
    pub qkv: &'a [f32],
    /// Distance between tokens, at least 3 heads head_dim.
    pub stride: usize,
    /// Weight of the norm of q, \[head_dim\]; none for ones.
    pub weight_q: Option<&'a [f32]>,
    /// Weight of the norm of k, \[head_dim\]; none for ones.
    pub weight_k: Option<&'a [f32]>,
    /// Row of the joint sequence of each token; no row twice.
    pub rows: &'a [u32],
    /// Row of the rotation's tables of each token.
    pub positions: &'a [u32],
}

/// Cosines and sines, \[positions, rotated / 2\] each.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// Cosines.
    pub cos: &'a [f32],
    /// Sines.
    pub sin: &'a [f32],
}

/// The joint sequence; a stream writes its own rows.
#[derive(Debug)]
pub struct Joint<'a> {
    /// \[length, heads head_dim\].
    pub q: &'a mut [f32],
    /// \[length, heads head_dim\].
    pub k: &'a mut [f32],
    /// \[length, heads head_dim\].
    pub v: &'a mut [f32],
    /// 1 / rms of q, then of k, for the backward pass, \[length, 2 heads\].
    pub inverse_rms: &'a mut [f32],
}

impl Heads {
    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Runs of tokens, after checking everything that reads and writes rely on. `length` is that of
    /// the joint sequence.
    fn cut(&self, stream: &Stream<'_>, table: &Table<'_>, length: usize) -> Vec<Run> {
        let Self { head_dim, rotated, .. } = *self;
        let (tokens, width) = (stream.rows.len(), self.width());
        let what = "qk_norm_rotary";
        assert!(
            rotated.is_multiple_of(2) && rotated <= head_dim,
            "{what}: {rotated} of {head_dim}"
        );
        assert!(stream.stride >= 3 * width, "{what}: tokens are {} apart", stream.stride);
        let needed = tokens.checked_sub(1).map_or(0, |last| last * stream.stride + 3 * width);
        assert!(stream.qkv.len() >= needed, "{what}: qkv needs {needed} floats");
        for weight in [stream.weight_q, stream.weight_k].into_iter().flatten() {
            assert_eq!(weight.len(), head_dim, "{what}: weights are [{head_dim}]");
        }
        assert_eq!(stream.positions.len(), tokens, "{what}: a position for every row");
        assert_eq!(table.cos.len(), table.sin.len(), "{what}: cos and sin are of one shape");
        let positions = table.cos.len().checked_div(rotated / 2).unwrap_or(usize::MAX);
        for &position in stream.positions {
            assert!((position as usize) < positions, "{what}: {position} of {positions} positions");
        }
        let mut is_taken = vec![false; length];
        for &row in stream.rows {
            let taken = is_taken.get_mut(row as usize).map(|taken| std::mem::replace(taken, true));
            assert_eq!(taken, Some(false), "{what}: row {row} of {length}, no row twice");
        }
        Groups::ONE.runs(tokens, 3 * width)
    }
}

/// Writes the stream's rows of the joint sequence.
///
/// # Panics
/// Where lengths do not fit, or two tokens name one row.
pub fn forward(simd: Simd, heads: Heads, stream: Stream<'_>, table: Table<'_>, joint: Joint<'_>) {
    let Joint { q, k, v, inverse_rms } = joint;
    let length = q.len().checked_div(heads.width()).unwrap_or(0);
    let lens = [q.len(), k.len(), v.len()];
    assert_eq!(lens, [length * heads.width(); 3], "qk_norm_rotary: q, k and v are of one shape");
    assert_eq!(inverse_rms.len(), 2 * length * heads.heads, "qk_norm_rotary: [length, 2 heads]");
    let runs = heads.cut(&stream, &table, length);
    let outputs = [q, k, v, inverse_rms].map(Disjoint::new);
    for_each(runs.len(), |index| {
        with_scratch(4 * heads.head_dim, |scratch| {
            let (stream, table, outputs) = (&stream, &table, &outputs);
            let run = &runs[index];
            simd.run(ForwardRun { heads, stream, table, run, outputs, scratch });
        });
    });
}

struct ForwardRun<'a> {
    heads: Heads,
    stream: &'a Stream<'a>,
    table: &'a Table<'a>,
    run: &'a Run,
    outputs: &'a [Disjoint<'a, f32>; 4],
    scratch: &'a mut [f32],
}

impl Kernel for ForwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { heads, stream, table, run, outputs, scratch } = self;
        let (head_dim, width) = (heads.head_dim, heads.width());
        let (scratch_q, scratch_k) = scratch.split_at_mut(2 * head_dim);
        for token in run.rows.clone() {
            let position = stream.positions[token] as usize;
            let (a_q, b_q) = scratch_q.split_at_mut(head_dim);
            let (a_k, b_k) = scratch_k.split_at_mut(head_dim);
            coefficients(&heads, table, position, stream.weight_q, a_q, b_q);
            coefficients(&heads, table, position, stream.weight_k, a_k, b_k);
            let qkv = &stream.qkv[token * stream.stride..][..3 * width];
            let (q, rest) = qkv.split_at(width);
            let (k, v) = rest.split_at(width);
            let row = stream.rows[token] as usize;
            // SAFETY: no two tokens of the stream have one row, and each is of one run.
            let [to_q, to_k, to_v] =
                [0, 1, 2].map(|i| unsafe { outputs[i].part(row * width, width) });
            // SAFETY: as above.
            let saved = unsafe { outputs[3].part(row * 2 * heads.heads, 2 * heads.heads) };
            let (saved_q, saved_k) = saved.split_at_mut(heads.heads);
            norm_and_rotate::<L>(&heads, q, a_q, b_q, to_q, saved_q);
            norm_and_rotate::<L>(&heads, k, a_k, b_k, to_k, saved_k);
            to_v.copy_from_slice(v);
        }
    }
}

/// Weight times rotation of one position, as the factors of x and of its pairs swapped.
#[inline(always)]
fn coefficients(
    heads: &Heads,
    table: &Table<'_>,
    position: usize,
    weight: Option<&[f32]>,
    a: &mut [f32],
    b: &mut [f32],
) {
    let pairs = heads.rotated / 2;
    let cos = &table.cos[position * pairs..][..pairs];
    let sin = &table.sin[position * pairs..][..pairs];
    match weight {
        Some(weight) => a.copy_from_slice(weight),
        None => a.fill(1.0),
    }
    let (rotated_a, _) = a[..heads.rotated].as_chunks_mut::<2>();
    let (rotated_b, _) = b[..heads.rotated].as_chunks_mut::<2>();
    for (((a, b), &cos), &sin) in rotated_a.iter_mut().zip(rotated_b).zip(cos).zip(sin) {
        *b = [-sin * a[1], sin * a[0]];
        *a = [cos * a[0], cos * a[1]];
    }
    b[heads.rotated..].fill(0.0);
}

/// One of q and k of one token, in all heads.
#[inline(always)]
fn norm_and_rotate<L: Lane>(
    heads: &Heads,
    x: &[f32],
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
    inverse_rms: &mut [f32],
) {
    let head_dim = heads.head_dim;
    for (head, inverse) in inverse_rms.iter_mut().enumerate() {
        let x = &x[head * head_dim..][..head_dim];
        let y = &mut y[head * head_dim..][..head_dim];
        let [sum] = fold::<L, _, 1, 1>(&Squares, [x]);
        *inverse = 1.0 / (sum / head_dim as f32 + heads.epsilon).sqrt();
        sweep::<L, _, 3, 1>(&Rotate { inverse: *inverse }, [x, a, b], [y]);
    }
}

/// (x a + swap(x) b) / rms.
struct Rotate {
    inverse: f32,
}

impl Function<3, 1> for Rotate {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x, a, b]: [L; 3], _: [L; 1]) -> [L; 1] {
        [(x * a + x.swap_pairs() * b) * L::splat(self.inverse)]
    }
}

/// Arguments of [`backward`].
#[derive(Debug)]
pub struct Backward<'a> {
    /// What the forward pass saved, \[length, 2 heads\].
    pub inverse_rms: &'a [f32],
    /// Gradient of the joint q, \[length, heads head_dim\].
    pub dq: &'a [f32],
    /// Gradient of the joint k.
    pub dk: &'a [f32],
    /// Gradient of the joint v.
    pub dv: &'a [f32],
    /// Gradient of the stream's `qkv`, laid out as that; 3 heads head_dim of each token are written.
    pub dqkv: &'a mut [f32],
    /// Gradient of `weight_q`, \[head_dim\], written where it is there.
    pub d_weight_q: Option<&'a mut [f32]>,
    /// Gradient of `weight_k`, \[head_dim\], written where it is there.
    pub d_weight_k: Option<&'a mut [f32]>,
    /// [`backward_workspace`] floats, of any value.
    pub workspace: &'a mut [f32],
}

/// Floats of workspace that [`backward`] needs for a stream of `tokens` tokens.
pub fn backward_workspace(heads: &Heads, tokens: usize) -> usize {
    Groups::ONE.runs(tokens, 3 * heads.width()).len() * 2 * heads.head_dim
}

/// Computes the gradients of one stream.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    simd: Simd,
    heads: Heads,
    stream: Stream<'_>,
    table: Table<'_>,
    args: Backward<'_>,
) {
    let Backward { inverse_rms, dq, dk, dv, dqkv, d_weight_q, d_weight_k, workspace } = args;
    let (head_dim, width) = (heads.head_dim, heads.width());
    let length = dq.len().checked_div(width).unwrap_or(0);
    let lens = [dq.len(), dk.len(), dv.len()];
    assert_eq!(lens, [length * width; 3], "qk_norm_rotary: dq, dk and dv are of one shape");
    assert_eq!(inverse_rms.len(), 2 * length * heads.heads, "qk_norm_rotary: [length, 2 heads]");
    let runs = heads.cut(&stream, &table, length);
    let needed = runs.len() * 2 * head_dim;
    assert!(workspace.len() >= needed, "qk_norm_rotary: workspace needs {needed} floats");
    let (dqkv, places) = (Disjoint::new(dqkv), Disjoint::new(&mut *workspace));
    for_each(runs.len(), |index| {
        // SAFETY: runs do not share partial sums.
        let sums = unsafe { places.part(index * 2 * head_dim, 2 * head_dim) };
        with_scratch(4 * head_dim, |scratch| {
            let (stream, table, run) = (&stream, &table, &runs[index]);
            let (grads, dqkv) = ([dq, dk, dv], &dqkv);
            simd.run(BackwardRun {
                heads,
                stream,
                table,
                run,
                inverse_rms,
                grads,
                dqkv,
                sums,
                scratch,
            });
        });
    });
    for (i, sums) in [d_weight_q, d_weight_k].into_iter().enumerate() {
        if let Some(sums) = sums {
            assert_eq!(sums.len(), head_dim, "qk_norm_rotary: weight gradients are [{head_dim}]");
            add_runs(simd, &runs, workspace, 2 * head_dim, i * head_dim, sums, head_dim);
        }
    }
}

struct BackwardRun<'a> {
    heads: Heads,
    stream: &'a Stream<'a>,
    table: &'a Table<'a>,
    run: &'a Run,
    inverse_rms: &'a [f32],
    grads: [&'a [f32]; 3],
    dqkv: &'a Disjoint<'a, f32>,
    /// Gradients of the weights of q and k.
    sums: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Kernel for BackwardRun<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { heads, stream, table, run, inverse_rms, grads, dqkv, sums, scratch } = self;
        let (head_dim, width) = (heads.head_dim, heads.width());
        let (cos, rest) = scratch.split_at_mut(head_dim);
        let (sin, rest) = rest.split_at_mut(head_dim);
        let (back, ones) = rest.split_at_mut(head_dim);
        ones.fill(1.0);
        sums.fill(0.0);
        for token in run.rows.clone() {
            coefficients(&heads, table, stream.positions[token] as usize, None, cos, sin);
            let row = stream.rows[token] as usize;
            let saved = &inverse_rms[row * 2 * heads.heads..][..2 * heads.heads];
            // SAFETY: tokens do not overlap, and each is of one run.
            let to = unsafe { dqkv.part(token * stream.stride, 3 * width) };
            let x = &stream.qkv[token * stream.stride..][..3 * width];
            let weights = [stream.weight_q.unwrap_or(ones), stream.weight_k.unwrap_or(ones)];
            for (part, weight) in weights.into_iter().enumerate() {
                for head in 0..heads.heads {
                    let at = part * width + head * head_dim;
                    let vectors = Head {
                        x: &x[at..at + head_dim],
                        dy: &grads[part][row * width + head * head_dim..][..head_dim],
                        weight,
                        inverse: saved[part * heads.heads + head],
                        cos,
                        sin,
                    };
                    let sums = &mut sums[part * head_dim..][..head_dim];
                    vectors.backward::<L>(&mut to[at..at + head_dim], sums, back);
                }
            }
            to[2 * width..].copy_from_slice(&grads[2][row * width..][..width]);
        }
    }
}

/// q or k of one token in one head.
struct Head<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    weight: &'a [f32],
    inverse: f32,
    cos: &'a [f32],
    sin: &'a [f32],
}

impl Head<'_> {
    /// Writes dx, and adds the gradient of the weight to `sums`; `back` is working memory.
    #[inline(always)]
    fn backward<L: Lane>(&self, dx: &mut [f32], sums: &mut [f32], back: &mut [f32]) {
        let Self { x, dy, weight, inverse, cos, sin } = *self;
        let inputs = [x, dy, cos, sin, weight];
        sweep::<L, _, 5, 2>(&Unrotate { inverse }, inputs, [sums, &mut *back]);
        let [dot] = fold::<L, _, 2, 1>(&Dot, [x, back]);
        let pull = -inverse * inverse * inverse * dot / x.len() as f32;
        sweep::<L, _, 2, 1>(&Unnorm { inverse, pull }, [x, back], [dx]);
    }
}

/// Rotates dy by the opposite angle, adds the gradient of the weight to the sums and writes the
/// gradient of the normalised vector.
struct Unrotate {
    inverse: f32,
}

impl Function<5, 2> for Unrotate {
    const READS: usize = 1;

    #[inline(always)]
    fn apply<L: Lane>(&self, [x, dy, cos, sin, weight]: [L; 5], [sum, _]: [L; 2]) -> [L; 2] {
        let dz = dy * cos - dy.swap_pairs() * sin;
        [(dz * L::splat(self.inverse)).mul_add(x, sum), dz * weight]
    }
}

/// The gradient of x from that of x / rms.
struct Unnorm {
    inverse: f32,
    pull: f32,
}

impl Function<2, 1> for Unnorm {
    #[inline(always)]
    fn apply<L: Lane>(&self, [x, back]: [L; 2], _: [L; 1]) -> [L; 1] {
        [x.mul_add(L::splat(self.pull), back * L::splat(self.inverse))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                        let dy: Vec<f64> = self.grads[part][to..][..head_dim]
                            .iter()
                            .map(|&x| f64::from(x))
                            .collect();
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
                            let (c, s) =
                                (f64::from(self.table[0][at]), f64::from(self.table[1][at]));
                            let (a, b) = (z[2 * i], z[2 * i + 1]);
                            (z[2 * i], z[2 * i + 1]) = (a * c - b * s, b * c + a * s);
                            let (a, b) = (dz[2 * i], dz[2 * i + 1]);
                            (dz[2 * i], dz[2 * i + 1]) = (a * c + b * s, b * c - a * s);
                        }
                        joint[part][to..][..head_dim].copy_from_slice(&z);
                        let dot: f64 =
                            (0..head_dim).map(|i| dz[i] * weight(i) * x[i] * inverse).sum();
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
        let outcome =
            std::panic::catch_unwind(|| problem.heads.cut(&problem.stream(), &table, LENGTH));
        assert!(outcome.is_err());
    }
}
