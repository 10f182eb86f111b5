//! The forward pass.

use super::{Heads, Stream, Table, coefficients};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::runs::{Run, for_each};
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd};
use crate::kernels::sweep::{Function, Squares, fold, sweep};

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
