//! From projected features to attention's operands in one pass (VINCIE 3B specification, sections 1.6
//! and 1.8): q and k are RMS-normalised per head and rotated, and q, k, v go to their rows of the
//! joint sequence of text and video.
//!
//! With w the weight and (c, s) the cosine and sine of a pair, both halves of the work are one
//! multiply-add on a vector and its pairs swapped: y = (x * a + swap(x) * b) / rms(x), where
//! a = w c and b holds -s times the odd weight, then s times the even one.

mod backward;
mod forward;
#[cfg(test)]
mod tests;

pub use backward::{Backward, backward, backward_workspace};
pub use forward::{Joint, forward};

use super::runs::{Groups, Run};

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
