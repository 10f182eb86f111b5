//! Tiled attention that never forms the score matrix: o = softmax(scale q kᵀ + mask) v and its
//! gradients, after the online softmax of FlashAttention (arXiv 2205.14135, 2307.08691).
//!
//! Scores are computed transposed, keys in rows and queries in vector lanes. So the softmax needs no
//! sum across lanes, and every product runs through one micro-kernel: A broadcast, B in lanes.
//! Hidden keys are never touched: a group of queries walks exactly the keys that its block sees.

mod backward;
mod ends;
mod forward;
mod mask;
mod pack;
mod plan;
#[cfg(test)]
mod tests;

pub use backward::{Backward, backward, backward_workspace};
pub use forward::{Forward, forward};
pub use mask::{MaskError, QueryBlock, check_blocks, visible_pairs};

use plan::{Group, groups};

/// Largest width of a head.
pub const MAX_HEAD_DIM: usize = 1024;

/// Multiply-adds below which a call is not worth a second thread.
const SERIAL_WORK: usize = 1 << 18;

/// Extent of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Heads of q, k, v and o.
    pub heads: usize,
    /// Features of a head, 1 to [`MAX_HEAD_DIM`]; fastest where a multiple of 16.
    pub head_dim: usize,
    /// Query tokens.
    pub queries: usize,
    /// Key tokens.
    pub keys: usize,
    /// Factor of the scores, 1 / sqrt(head_dim) as a rule.
    pub scale: f32,
}

/// A token-major operand: element (token, head, feature) at
/// `token * token_stride + head * head_stride + feature`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The floats.
    pub data: &'a [f32],
    /// Distance between tokens.
    pub token_stride: usize,
    /// Distance between heads.
    pub head_stride: usize,
}

/// A token-major result, laid out as [`Rows`]; its rows must not overlap.
#[derive(Debug)]
pub struct RowsMut<'a> {
    /// The floats.
    pub data: &'a mut [f32],
    /// Distance between tokens.
    pub token_stride: usize,
    /// Distance between heads.
    pub head_stride: usize,
}

impl<'a> Rows<'a> {
    /// A dense operand, \[tokens, heads, head_dim\].
    pub fn dense(data: &'a [f32], heads: usize, head_dim: usize) -> Self {
        Self { data, token_stride: heads * head_dim, head_stride: head_dim }
    }

    /// Features of one token in one head.
    #[inline(always)]
    fn row(&self, token: usize, head: usize, head_dim: usize) -> &'a [f32] {
        let start = token * self.token_stride + head * self.head_stride;
        &self.data[start..start + head_dim]
    }

    fn check(&self, name: &str, tokens: usize, shape: &Shape) {
        let needed = extent(tokens, self.token_stride, self.head_stride, shape);
        assert!(
            self.data.len() >= needed,
            "attention: {name} holds {} floats, needs {needed}",
            self.data.len()
        );
    }
}

impl<'a> RowsMut<'a> {
    /// A dense result, \[tokens, heads, head_dim\].
    pub fn dense(data: &'a mut [f32], heads: usize, head_dim: usize) -> Self {
        Self { data, token_stride: heads * head_dim, head_stride: head_dim }
    }

    /// Checks length and that no two rows overlap, which parallel writing relies on.
    fn check(&self, name: &str, tokens: usize, shape: &Shape) {
        let Shape { heads, head_dim, .. } = *shape;
        let Self { token_stride, head_stride, .. } = *self;
        let needed = extent(tokens, token_stride, head_stride, shape);
        assert!(
            self.data.len() >= needed,
            "attention: {name} holds {} floats, needs {needed}",
            self.data.len()
        );
        let nests = |inner: usize, count: usize, outer: usize, outer_count: usize| {
            (count <= 1 || inner >= head_dim)
                && (outer_count <= 1 || outer >= inner * count.saturating_sub(1) + head_dim)
        };
        assert!(
            needed == 0
                || nests(head_stride, heads, token_stride, tokens)
                || nests(token_stride, tokens, head_stride, heads),
            "attention: rows of {name} overlap: token stride {token_stride}, head stride \
             {head_stride}, {heads} heads of {head_dim}"
        );
    }
}

/// Floats from the first element to the last.
fn extent(tokens: usize, token_stride: usize, head_stride: usize, shape: &Shape) -> usize {
    if tokens == 0 || shape.heads == 0 {
        return 0;
    }
    (tokens - 1) * token_stride + (shape.heads - 1) * head_stride + shape.head_dim
}

/// Checks what holds for both passes.
fn check_call(shape: &Shape, blocks: &[QueryBlock], lse: &[f32]) {
    let Shape { heads, head_dim, queries, keys, scale } = *shape;
    assert!((1..=MAX_HEAD_DIM).contains(&head_dim), "attention: head_dim is {head_dim}");
    assert!(scale.is_finite(), "attention: scale is {scale}");
    assert_eq!(lse.len(), heads * queries, "attention: lse is [heads, queries]");
    if let Err(error) = check_blocks(blocks, queries, keys) {
        panic!("{error}");
    }
}
