//! What stands before and after the tiles of the backward pass: row sums of o times its gradient,
//! gradients that tasks share, and the sum of their shares.

use super::plan::{Plan, width};
use super::{Rows, RowsMut, Shape};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::simd::{Kernel, Lane};
use crate::kernels::sweep::{Dot, fold};
use std::ops::Range;

/// delta = sum over features of o times its gradient, for some tokens in all heads.
pub(super) struct Delta<'a> {
    pub(super) shape: Shape,
    pub(super) tokens: Range<usize>,
    pub(super) o: Rows<'a>,
    pub(super) d_o: Rows<'a>,
    pub(super) delta: &'a Disjoint<'a, f32>,
}

impl Kernel for Delta<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Shape { heads, head_dim, queries, .. } = self.shape;
        for head in 0..heads {
            let start = head * queries + self.tokens.start;
            // SAFETY: tasks own disjoint ranges of tokens, in every head.
            let places = unsafe { self.delta.part(start, self.tokens.len()) };
            for (place, token) in places.iter_mut().zip(self.tokens.clone()) {
                let o = self.o.row(token, head, head_dim);
                let d_o = self.d_o.row(token, head, head_dim);
                [*place] = fold::<L, _, 2, 1>(&Dot, [o, d_o]);
            }
        }
    }
}

/// A gradient that tasks write in parallel, each its own (token, head) rows.
pub(super) struct Gradient<'a> {
    data: Disjoint<'a, f32>,
    token_stride: usize,
    head_stride: usize,
}

impl<'a> Gradient<'a> {
    /// The caller has checked that rows do not overlap.
    pub(super) fn new(rows: RowsMut<'a>) -> Self {
        let RowsMut { data, token_stride, head_stride } = rows;
        Self { data: Disjoint::new(data), token_stride, head_stride }
    }

    /// # Safety
    /// No other task may use this token in this head.
    #[expect(clippy::mut_from_ref, reason = "each row is handed out once, as the caller promises")]
    pub(super) unsafe fn row(&self, token: usize, head: usize, head_dim: usize) -> &mut [f32] {
        // SAFETY: rows do not overlap, and the caller promises that this one is used once.
        unsafe { self.data.part(token * self.token_stride + head * self.head_stride, head_dim) }
    }
}

/// Adds the shares of one group in one head.
pub(super) struct Gather<'a> {
    pub(super) plan: &'a Plan,
    pub(super) head: usize,
    pub(super) group: usize,
    pub(super) shares: &'a [f32],
    pub(super) dq: &'a Gradient<'a>,
}

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Plan { shape, groups, chunks, .. } = self.plan;
        let width = width(shape);
        for (i, token) in groups[self.group].queries.clone().enumerate() {
            // SAFETY: groups share no query, so this task alone writes this row.
            let row = unsafe { self.dq.row(token, self.head, shape.head_dim) };
            let mut is_first = true;
            for chunk in 0..*chunks {
                let Some(place) = self.plan.share(self.head, chunk, self.group) else { continue };
                let share = &self.shares[place + i * width..][..width];
                for (to, from) in row.chunks_mut(L::WIDTH).zip(share.chunks(L::WIDTH)) {
                    let from = L::read(from);
                    let sum = if is_first { from } else { L::read_part(to) + from };
                    sum.write_part(to);
                }
                is_first = false;
            }
            if is_first {
                row.fill(0.0);
            }
        }
    }
}
