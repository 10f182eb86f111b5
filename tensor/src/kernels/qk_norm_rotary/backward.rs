//! The backward pass.

use super::{Heads, Stream, Table, coefficients};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::runs::{Groups, Run, add_runs, for_each};
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd};
use crate::kernels::sweep::{Dot, Function, fold, sweep};

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
