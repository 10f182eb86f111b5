//! Moves pieces of strided operands into scratch: dense copies with padded rows, and transposed ones.

use super::Rows;
use crate::kernels::simd::{BLOCK, prefetch, transpose_block};
use std::ops::Range;

/// Rows that are asked for before they are needed: strided rows defeat the hardware's own guess.
const AHEAD: usize = 16;

/// Asks for the row that comes [`AHEAD`] rows after `token`, if it is inside the operand.
#[inline(always)]
fn ask(from: Rows<'_>, head: usize, head_dim: usize, token: usize) {
    const LINE: usize = 16;
    let start = (token + AHEAD) * from.token_stride + head * from.head_stride;
    if let Some(row) = from.data.get(start..start + head_dim) {
        for line in row.chunks(LINE) {
            prefetch(line.as_ptr());
        }
    }
}

/// Copies tokens of one head to rows of `leading` floats.
#[inline(always)]
pub(super) fn copy(
    from: Rows<'_>,
    head: usize,
    head_dim: usize,
    tokens: Range<usize>,
    to: &mut [f32],
    leading: usize,
) {
    for (token, row) in tokens.zip(to.chunks_mut(leading)) {
        ask(from, head, head_dim, token);
        row[..head_dim].copy_from_slice(from.row(token, head, head_dim));
    }
}

/// Copies tokens of one head, times `factor`, to columns: feature d of the i-th token goes to
/// `d * leading + i`.
#[inline(always)]
pub(super) fn transpose(
    from: Rows<'_>,
    head: usize,
    head_dim: usize,
    tokens: Range<usize>,
    factor: f32,
    to: &mut [f32],
    leading: usize,
) {
    let count = tokens.len();
    let (whole, whole_features) = (count - count % BLOCK, head_dim - head_dim % BLOCK);
    if count > 0 {
        let last = (tokens.end - 1) * from.token_stride + head * from.head_stride;
        assert!(from.data.len() >= last + head_dim, "tokens lie inside the operand");
        assert!(to.len() >= (head_dim - 1) * leading + count, "columns lie inside the result");
    }
    for i in (0..whole).step_by(BLOCK) {
        for token in tokens.start + i..tokens.start + i + BLOCK {
            ask(from, head, head_dim, token);
        }
        let rows = (tokens.start + i) * from.token_stride + head * from.head_stride;
        for d in (0..whole_features).step_by(BLOCK) {
            // SAFETY: the block lies inside the tokens and features, whose bounds are checked.
            unsafe {
                transpose_block(
                    from.data.as_ptr().add(rows + d),
                    from.token_stride,
                    factor,
                    to.as_mut_ptr().add(d * leading + i),
                    leading,
                );
            }
        }
    }
    for i in 0..count {
        let row = from.row(tokens.start + i, head, head_dim);
        let rest = if i < whole { whole_features } else { 0 };
        for (d, &x) in row.iter().enumerate().skip(rest) {
            to[d * leading + i] = x * factor;
        }
    }
}

/// Repeats the last of `count` rows up to a multiple of `step` rows.
#[inline(always)]
pub(super) fn repeat_last(rows: &mut [f32], leading: usize, count: usize, step: usize) {
    for row in count..count.next_multiple_of(step) {
        rows.copy_within((count - 1) * leading..count * leading, row * leading);
    }
}
