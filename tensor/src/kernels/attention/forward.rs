//! The forward pass.

use super::{
    Group, QueryBlock, Rows, RowsMut, SERIAL_WORK, Shape, check_call, groups, pack, visible_pairs,
};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::math::exp2;
use crate::kernels::product::{
    COLUMN_STEP, ColumnMajor, ROW_STEP, RowMajor, Size, Start, leading, product, strip_width,
};
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd};
use rayon::prelude::*;
use std::f32::consts::LOG2_E;
use std::f64::consts::LN_2;
use std::ops::Range;

/// Queries of a group: its transposed queries, scores and outputs stay in the second-level cache.
const GROUP: usize = 256;

/// Keys of a tile.
const TILE: usize = 128;

/// Arguments of [`forward`].
#[derive(Debug)]
pub struct Forward<'a> {
    /// Extent of the call.
    pub shape: Shape,
    /// The mask; see [`super::check_blocks`].
    pub blocks: &'a [QueryBlock],
    /// Queries, `shape.queries` tokens.
    pub q: Rows<'a>,
    /// Keys, `shape.keys` tokens.
    pub k: Rows<'a>,
    /// Values, `shape.keys` tokens.
    pub v: Rows<'a>,
    /// Result, `shape.queries` tokens.
    pub o: RowsMut<'a>,
    /// Natural logarithm of the sum of exponentials, \[heads, queries\]; -inf where no key is seen.
    pub lse: &'a mut [f32],
}

/// Computes `o` and `lse`.
///
/// # Panics
/// Where an operand is too short for its shape, rows of `o` overlap, or the blocks are no mask.
pub fn forward(simd: Simd, args: Forward<'_>) {
    let Forward { shape, blocks, q, k, v, o, lse } = args;
    check_call(&shape, blocks, lse);
    q.check("q", shape.queries, &shape);
    k.check("k", shape.keys, &shape);
    v.check("v", shape.keys, &shape);
    o.check("o", shape.queries, &shape);

    let groups = groups(blocks, shape.queries, GROUP);
    let (token_stride, head_stride) = (o.token_stride, o.head_stride);
    let (o, lse) = (Disjoint::new(o.data), Disjoint::new(lse));
    let run = |index: usize| {
        let (head, group) = (index / groups.len(), &groups[index % groups.len()]);
        let layout = Layout::new(&shape, group);
        with_scratch(layout.len(), |scratch| {
            let scratch = layout.split(scratch);
            let item = Item {
                shape,
                group,
                head,
                layout,
                q,
                k,
                v,
                o: &o,
                token_stride,
                head_stride,
                lse: &lse,
                scratch,
            };
            simd.run(item);
        });
    };
    let items = shape.heads * groups.len();
    if visible_pairs(blocks) * shape.heads * shape.head_dim < SERIAL_WORK {
        (0..items).for_each(run);
    } else {
        (0..items).into_par_iter().with_max_len(1).for_each(run);
    }
}

/// Leading dimensions of a group's scratch.
#[derive(Clone, Copy)]
struct Layout {
    head_dim: usize,
    /// Of rows with features in them.
    features: usize,
    /// Of rows with queries in them.
    lanes: usize,
    /// Queries, padded.
    queries: usize,
}

/// Working memory of a group.
struct Scratch<'a> {
    /// Queries, \[head_dim, lanes\], times scale / ln 2.
    q: &'a mut [f32],
    /// Keys of the tile, \[TILE, features\].
    k: &'a mut [f32],
    /// Values of the tile, \[TILE, features\].
    v: &'a mut [f32],
    /// Scores, then probabilities, \[TILE, lanes\].
    p: &'a mut [f32],
    /// Sums of probabilities times values, \[queries, features\].
    o: &'a mut [f32],
    /// Largest score so far, in powers of two.
    top: &'a mut [f32],
    /// Sum of probabilities so far.
    sum: &'a mut [f32],
    /// What the last tile's new maximum multiplies earlier sums by.
    shrink: &'a mut [f32],
}

impl Layout {
    fn new(shape: &Shape, group: &Group) -> Self {
        let queries = group.queries.len().next_multiple_of(COLUMN_STEP);
        Self {
            head_dim: shape.head_dim,
            features: leading(shape.head_dim),
            lanes: leading(queries),
            queries,
        }
    }

    fn sizes(&self) -> [usize; 8] {
        let Self { head_dim, features, lanes, queries } = *self;
        [
            head_dim * lanes,
            TILE * features,
            TILE * features,
            TILE * lanes,
            queries * features,
            queries,
            queries,
            queries,
        ]
    }

    fn len(&self) -> usize {
        self.sizes().iter().sum()
    }

    fn split(self, mut memory: &mut [f32]) -> Scratch<'_> {
        let [q, k, v, p, o, top, sum, shrink] = self.sizes().map(|size| {
            let (part, rest) = std::mem::take(&mut memory).split_at_mut(size);
            memory = rest;
            part
        });
        Scratch { q, k, v, p, o, top, sum, shrink }
    }
}

/// One head of one group.
struct Item<'a> {
    shape: Shape,
    group: &'a Group,
    head: usize,
    layout: Layout,
    q: Rows<'a>,
    k: Rows<'a>,
    v: Rows<'a>,
    o: &'a Disjoint<'a, f32>,
    token_stride: usize,
    head_stride: usize,
    lse: &'a Disjoint<'a, f32>,
    scratch: Scratch<'a>,
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(mut self) {
        let Layout { head_dim, features, lanes, .. } = self.layout;
        let count = self.group.queries.len();
        let Scratch { q, k, v, p, o, top, sum, shrink } = &mut self.scratch;
        let factor = self.shape.scale * LOG2_E;
        pack::transpose(self.q, self.head, head_dim, self.group.queries.clone(), factor, q, lanes);
        top.fill(f32::NEG_INFINITY);
        sum.fill(0.0);

        let mut is_first = true;
        for pieces in Tiles::new(&self.group.keys) {
            let mut keys = 0;
            for piece in pieces {
                let at = keys * features;
                keys += piece.len();
                pack::copy(self.k, self.head, head_dim, piece.clone(), &mut k[at..], features);
                pack::copy(self.v, self.head, head_dim, piece, &mut v[at..], features);
            }
            pack::repeat_last(k, features, keys, ROW_STEP);
            let vectors = count.div_ceil(L::WIDTH);
            let mut done = 0;
            while done < vectors {
                let strip = strip_width::<L>(vectors - done);
                let (from, to) = (done * L::WIDTH, (done + strip) * L::WIDTH);
                let size = Size { rows: keys, steps: head_dim, columns: to - from };
                let scores = &mut p[from..];
                let (top, sum) = (&mut top[from..to], &mut sum[from..to]);
                let shrink = &mut shrink[from..to];
                shrink.copy_from_slice(top);
                product::<L, RowMajor>(
                    size,
                    (k, features),
                    (&q[from..], lanes),
                    (scores, lanes),
                    Start::Zero,
                    Some(top),
                );
                match strip {
                    3 => soften::<L, 3>(scores, lanes, keys, top, sum, shrink),
                    2 => soften::<L, 2>(scores, lanes, keys, top, sum, shrink),
                    _ => soften::<L, 1>(scores, lanes, keys, top, sum, shrink),
                }
                done += strip;
            }
            let size = Size { rows: count, steps: keys, columns: head_dim };
            let start = if is_first { Start::Zero } else { Start::Scaled(shrink) };
            product::<L, ColumnMajor>(size, (p, lanes), (v, features), (o, features), start, None);
            is_first = false;
        }
        self.finish::<L>(is_first);
    }
}

impl Item<'_> {
    /// Divides by the sums and writes the rows of the group.
    #[inline(always)]
    fn finish<L: Lane>(self, sees_nothing: bool) {
        let Layout { head_dim, features, .. } = self.layout;
        let queries = self.group.queries.clone();
        // SAFETY: this item alone writes these queries of this head: blocks and groups share no
        // query, and `RowsMut::check` found that rows do not overlap.
        let lse =
            unsafe { self.lse.part(self.head * self.shape.queries + queries.start, queries.len()) };
        for (i, token) in queries.enumerate() {
            let start = token * self.token_stride + self.head * self.head_stride;
            // SAFETY: as above.
            let row = unsafe { self.o.part(start, head_dim) };
            if sees_nothing {
                row.fill(0.0);
                lse[i] = f32::NEG_INFINITY;
                continue;
            }
            let sum = self.scratch.sum[i];
            let factor = L::splat(1.0 / sum);
            let sums = &self.scratch.o[i * features..(i + 1) * features];
            for (to, from) in row.chunks_mut(L::WIDTH).zip(sums.chunks(L::WIDTH)) {
                (L::read(from) * factor).write_part(to);
            }
            let top = f64::from(self.scratch.top[i]);
            lse[i] = ((top + f64::from(sum).log2()) * LN_2) as f32;
        }
    }
}

/// Turns scores into probabilities relative to `top`, adds them to `sum`, and replaces the maximum
/// before this tile, in `shrink`, by the factor that brings earlier sums to the new one.
#[inline(always)]
fn soften<L: Lane, const V: usize>(
    scores: &mut [f32],
    lanes: usize,
    keys: usize,
    top: &[f32],
    sum: &mut [f32],
    shrink: &mut [f32],
) {
    assert!(keys > 0 && scores.len() >= (keys - 1) * lanes + V * L::WIDTH);
    let mut tops = [L::zero(); V];
    let mut sums = [L::zero(); V];
    for v in 0..V {
        let at = v * L::WIDTH;
        tops[v] = L::read(&top[at..]);
        let factor = exp2(L::read(&shrink[at..]) - tops[v]);
        factor.write(&mut shrink[at..]);
        sums[v] = L::read(&sum[at..]) * factor;
    }
    let scores = scores.as_mut_ptr();
    for row in 0..keys {
        for v in 0..V {
            // SAFETY: row < keys and v < V, for which the length was checked.
            unsafe {
                let place = scores.add(row * lanes + v * L::WIDTH);
                let probability = exp2(L::load(place) - tops[v]);
                probability.store(place);
                sums[v] = sums[v] + probability;
            }
        }
    }
    for (v, value) in sums.iter().enumerate() {
        value.write(&mut sum[v * L::WIDTH..]);
    }
}

/// Walks the visible keys in tiles. A tile may hold the end of one range and the start of the next,
/// so that only the last tile is short.
struct Tiles {
    ranges: [Range<usize>; 2],
}

impl Tiles {
    fn new(ranges: &[Range<usize>; 2]) -> Self {
        Self { ranges: ranges.clone() }
    }
}

impl Iterator for Tiles {
    type Item = [Range<usize>; 2];

    fn next(&mut self) -> Option<Self::Item> {
        let mut room = TILE;
        let [first, second] = &mut self.ranges;
        let mut take = |range: &mut Range<usize>| {
            let end = range.end.min(range.start + room);
            let piece = range.start..end;
            room -= piece.len();
            range.start = end;
            piece
        };
        let pieces = [take(first), take(second)];
        (room < TILE).then_some(pieces)
    }
}

const _: () = assert!(TILE.is_multiple_of(ROW_STEP));
