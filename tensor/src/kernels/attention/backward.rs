//! The backward pass: five products a tile, probabilities recomputed from `lse`.
//!
//! A task owns one head and one chunk of keys. It writes the gradients of its keys and values itself
//! and its share of the query gradients to the workspace, where a second pass adds the shares in the
//! order of the chunks. Chunks depend on the shape alone, so the result does not depend on threads.

use super::ends::{Delta, Gather, Gradient};
use super::plan::{GROUP, Plan, TILE, width};
use super::{QueryBlock, Rows, RowsMut, SERIAL_WORK, Shape, check_call, pack, visible_pairs};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::math::exp2;
use crate::kernels::product::{
    ColumnMajor, ROW_STEP, RowMajor, Size, Start, leading, product, strip_width,
};
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd};
use rayon::prelude::*;
use std::f32::consts::LOG2_E;
use std::ops::Range;

/// Arguments of [`backward`].
#[derive(Debug)]
pub struct Backward<'a> {
    /// Extent of the call.
    pub shape: Shape,
    /// The mask of the forward pass.
    pub blocks: &'a [QueryBlock],
    /// Queries of the forward pass.
    pub q: Rows<'a>,
    /// Keys of the forward pass.
    pub k: Rows<'a>,
    /// Values of the forward pass.
    pub v: Rows<'a>,
    /// Result of the forward pass.
    pub o: Rows<'a>,
    /// Gradient of the result.
    pub d_o: Rows<'a>,
    /// As the forward pass wrote it, \[heads, queries\].
    pub lse: &'a [f32],
    /// Gradient of q; every row is written.
    pub dq: RowsMut<'a>,
    /// Gradient of k; every row is written.
    pub dk: RowsMut<'a>,
    /// Gradient of v; every row is written.
    pub dv: RowsMut<'a>,
    /// [`backward_workspace`] floats, of any value.
    pub workspace: &'a mut [f32],
}

/// Floats of workspace that [`backward`] needs.
pub fn backward_workspace(shape: &Shape, blocks: &[QueryBlock]) -> usize {
    Plan::new(shape, blocks).workspace()
}

/// Computes `dq`, `dk` and `dv`.
///
/// # Panics
/// Where an operand or the workspace is too short, rows of a gradient overlap, or the blocks are no
/// mask.
pub fn backward(simd: Simd, args: Backward<'_>) {
    let Backward { shape, blocks, q, k, v, o, d_o, lse, dq, dk, dv, workspace } = args;
    check_call(&shape, blocks, lse);
    for (name, rows, tokens) in [
        ("q", q, shape.queries),
        ("k", k, shape.keys),
        ("v", v, shape.keys),
        ("o", o, shape.queries),
        ("d_o", d_o, shape.queries),
    ] {
        rows.check(name, tokens, &shape);
    }
    dq.check("dq", shape.queries, &shape);
    dk.check("dk", shape.keys, &shape);
    dv.check("dv", shape.keys, &shape);
    let plan = Plan::new(&shape, blocks);
    let needed = plan.workspace();
    assert!(
        workspace.len() >= needed,
        "attention: workspace holds {} floats, needs {needed}",
        workspace.len()
    );

    let (delta, shares) = workspace.split_at_mut(shape.heads * shape.queries);
    let is_serial = visible_pairs(blocks) * shape.heads * shape.head_dim < SERIAL_WORK;
    let for_each = |count: usize, run: &(dyn Fn(usize) + Sync)| {
        if is_serial {
            (0..count).for_each(run);
        } else {
            (0..count).into_par_iter().with_max_len(1).for_each(run);
        }
    };

    let places = Disjoint::new(delta);
    for_each(shape.queries.div_ceil(GROUP), &|index| {
        let tokens = index * GROUP..((index + 1) * GROUP).min(shape.queries);
        simd.run(Delta { shape, tokens, o, d_o, delta: &places });
    });

    let delta: &[f32] = delta;
    let places = Disjoint::new(shares);
    let (dk, dv) = (Gradient::new(dk), Gradient::new(dv));
    for_each(shape.heads * plan.chunks, &|index| {
        let (head, chunk) = (index / plan.chunks, index % plan.chunks);
        let layout = Layout::new(&shape);
        with_scratch(layout.len(), |memory| {
            let (lse, delta) = (&lse[head * shape.queries..], &delta[head * shape.queries..]);
            let shares = &places;
            let (dk, dv) = (&dk, &dv);
            simd.run(Task {
                plan: &plan,
                head,
                chunk,
                layout,
                q,
                k,
                v,
                d_o,
                lse,
                delta,
                shares,
                dk,
                dv,
                memory,
            });
        });
    });

    let shares: &[f32] = shares;
    let dq = Gradient::new(dq);
    for_each(shape.heads * plan.groups.len(), &|index| {
        let (head, group) = (index / plan.groups.len(), index % plan.groups.len());
        simd.run(Gather { plan: &plan, head, group, shares, dq: &dq });
    });
}

/// Leading dimensions of a task's scratch.
#[derive(Clone, Copy)]
struct Layout {
    head_dim: usize,
    /// Of rows with features in them.
    features: usize,
    /// Of rows with queries in them.
    lanes: usize,
}

/// Working memory of a task.
struct Scratch<'a> {
    /// Keys and values of the tile, \[TILE, features\].
    k: &'a mut [f32],
    v: &'a mut [f32],
    /// Their gradients, \[TILE, features\].
    dk: &'a mut [f32],
    dv: &'a mut [f32],
    /// Queries and output gradients of the group, \[GROUP, features\].
    q: &'a mut [f32],
    d_o: &'a mut [f32],
    /// The same, \[head_dim, lanes\], times scale / ln 2 and scale.
    q_lanes: &'a mut [f32],
    d_o_lanes: &'a mut [f32],
    /// Scores, then probabilities, \[TILE, lanes\].
    p: &'a mut [f32],
    /// Gradients of probabilities, then of scores, \[TILE, lanes\].
    ds: &'a mut [f32],
    /// lse / ln 2 and scale * delta of the group.
    lse: &'a mut [f32],
    delta: &'a mut [f32],
}

impl Layout {
    fn new(shape: &Shape) -> Self {
        let head_dim = shape.head_dim;
        Self { head_dim, features: leading(head_dim), lanes: leading(GROUP) }
    }

    fn sizes(&self) -> [usize; 12] {
        let tile = TILE * self.features;
        let group = GROUP * self.features;
        let columns = self.head_dim * self.lanes;
        let scores = TILE * self.lanes;
        [tile, tile, tile, tile, group, group, columns, columns, scores, scores, GROUP, GROUP]
    }

    fn len(&self) -> usize {
        self.sizes().iter().sum()
    }

    fn split(self, mut memory: &mut [f32]) -> Scratch<'_> {
        let [k, v, dk, dv, q, d_o, q_lanes, d_o_lanes, p, ds, lse, delta] =
            self.sizes().map(|size| {
                let (part, rest) = std::mem::take(&mut memory).split_at_mut(size);
                memory = rest;
                part
            });
        Scratch { k, v, dk, dv, q, d_o, q_lanes, d_o_lanes, p, ds, lse, delta }
    }
}

/// One head and one chunk of keys.
struct Task<'a> {
    plan: &'a Plan,
    head: usize,
    chunk: usize,
    layout: Layout,
    q: Rows<'a>,
    k: Rows<'a>,
    v: Rows<'a>,
    d_o: Rows<'a>,
    /// Of this head's queries.
    lse: &'a [f32],
    /// Of this head's queries.
    delta: &'a [f32],
    shares: &'a Disjoint<'a, f32>,
    dk: &'a Gradient<'a>,
    dv: &'a Gradient<'a>,
    memory: &'a mut [f32],
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(mut self) {
        let Layout { head_dim, features, .. } = self.layout;
        let Plan { shape, groups, chunk, .. } = self.plan;
        let mut scratch = self.layout.split(std::mem::take(&mut self.memory));
        let start = self.chunk * chunk;
        let end = (start + chunk).min(shape.keys);
        for first in (start..end).step_by(TILE) {
            let tile = first..(first + TILE).min(end);
            pack::copy(self.k, self.head, head_dim, tile.clone(), scratch.k, features);
            pack::copy(self.v, self.head, head_dim, tile.clone(), scratch.v, features);
            scratch.dk.fill(0.0);
            scratch.dv.fill(0.0);
            for (index, group) in groups.iter().enumerate() {
                if let Some(span) = group.span(tile.clone()) {
                    let is_first = group.span(start..first).is_none();
                    self.visit::<L>(&mut scratch, &tile, index, span, is_first);
                }
            }
            for (i, token) in tile.enumerate() {
                let from = i * features..i * features + head_dim;
                // SAFETY: chunks share no key, so this task alone writes these rows.
                unsafe {
                    let row = self.dk.row(token, self.head, head_dim);
                    row.copy_from_slice(&scratch.dk[from.clone()]);
                    self.dv.row(token, self.head, head_dim).copy_from_slice(&scratch.dv[from]);
                }
            }
        }
    }
}

impl Task<'_> {
    /// Adds what one group contributes through one tile. `span` is what it sees of the tile.
    #[inline(always)]
    fn visit<L: Lane>(
        &self,
        scratch: &mut Scratch<'_>,
        tile: &Range<usize>,
        index: usize,
        span: Range<usize>,
        is_first: bool,
    ) {
        let Layout { head_dim, features, lanes } = self.layout;
        let Plan { shape, groups, .. } = self.plan;
        let group = &groups[index];
        let queries = group.queries.clone();
        let count = queries.len();
        let Scratch { k, v, dk, dv, q, d_o, q_lanes, d_o_lanes, p, ds, lse, delta } = scratch;

        pack::copy(self.q, self.head, head_dim, queries.clone(), q, features);
        pack::copy(self.d_o, self.head, head_dim, queries.clone(), d_o, features);
        let packed = |data| Rows { data, token_stride: features, head_stride: 0 };
        let factor = shape.scale * LOG2_E;
        pack::transpose(packed(q), 0, head_dim, 0..count, factor, q_lanes, lanes);
        pack::transpose(packed(d_o), 0, head_dim, 0..count, shape.scale, d_o_lanes, lanes);
        for (i, query) in queries.enumerate() {
            lse[i] = self.lse[query] * LOG2_E;
            delta[i] = self.delta[query] * shape.scale;
        }

        // Rows of the tile: those visited, and around them the whole row steps that are computed.
        let seen = span.start - tile.start..span.end - tile.start;
        let from = seen.start - seen.start % ROW_STEP;
        let rows = seen.end.next_multiple_of(ROW_STEP) - from;
        let vectors = count.div_ceil(L::WIDTH);
        let mut done = 0;
        while done < vectors {
            let strip = strip_width::<L>(vectors - done);
            let lane = done * L::WIDTH;
            let size = Size { rows, steps: head_dim, columns: strip * L::WIDTH };
            let (p, ds) = (&mut p[from * lanes + lane..], &mut ds[from * lanes + lane..]);
            let (k, v) = (&k[from * features..], &v[from * features..]);
            let (q, d_o) = (&q_lanes[lane..], &d_o_lanes[lane..]);
            product::<L, RowMajor>(size, (k, features), (q, lanes), (p, lanes), Start::Zero, None);
            product::<L, RowMajor>(
                size,
                (v, features),
                (d_o, lanes),
                (ds, lanes),
                Start::Zero,
                None,
            );
            let (lse, delta) = (&lse[lane..], &delta[lane..]);
            match strip {
                3 => differentiate::<L, 3>(p, ds, lanes, rows, lse, delta),
                2 => differentiate::<L, 2>(p, ds, lanes, rows, lse, delta),
                _ => differentiate::<L, 1>(p, ds, lanes, rows, lse, delta),
            }
            done += strip;
        }
        let visible = group.visible(tile);
        for row in from..from + rows {
            let key = tile.start + row;
            if !visible.iter().any(|range| range.contains(&key)) {
                p[row * lanes..][..count].fill(0.0);
                ds[row * lanes..][..count].fill(0.0);
            }
        }

        let size = Size { rows, steps: count, columns: head_dim };
        let (p, ds) = (&p[from * lanes..], &ds[from * lanes..]);
        let dv = (&mut dv[from * features..], features);
        product::<L, RowMajor>(size, (p, lanes), (d_o, features), dv, Start::Add, None);
        let dk = (&mut dk[from * features..], features);
        product::<L, RowMajor>(size, (ds, lanes), (q, features), dk, Start::Add, None);

        let place = self.plan.share(self.head, self.chunk, index).expect("the span is not empty");
        let width = width(shape);
        // SAFETY: shares of different (head, chunk, group) do not overlap.
        let share = unsafe { self.shares.part(place, count.next_multiple_of(ROW_STEP) * width) };
        // Here keys are summed over, so only visible ones may take part: zero times a hidden
        // infinity is not zero.
        let mut start = if is_first { Start::Zero } else { Start::Add };
        for range in visible.into_iter().filter(|range| !range.is_empty()) {
            let row = range.start - tile.start;
            let size = Size { rows: count, steps: range.len(), columns: head_dim };
            let ds = (&ds[(row - from) * lanes..], lanes);
            let k = (&k[row * features..], features);
            product::<L, ColumnMajor>(size, ds, k, (&mut *share, width), start, None);
            start = Start::Add;
        }
    }
}

/// Turns scores into probabilities, and gradients of probabilities into gradients of scores.
#[inline(always)]
fn differentiate<L: Lane, const V: usize>(
    p: &mut [f32],
    ds: &mut [f32],
    lanes: usize,
    rows: usize,
    lse: &[f32],
    delta: &[f32],
) {
    assert!(rows > 0 && p.len().min(ds.len()) >= (rows - 1) * lanes + V * L::WIDTH);
    let mut lses = [L::zero(); V];
    let mut deltas = [L::zero(); V];
    for v in 0..V {
        lses[v] = L::read(&lse[v * L::WIDTH..]);
        deltas[v] = L::read(&delta[v * L::WIDTH..]);
    }
    let (p, ds) = (p.as_mut_ptr(), ds.as_mut_ptr());
    for row in 0..rows {
        for v in 0..V {
            let at = row * lanes + v * L::WIDTH;
            // SAFETY: row < rows and v < V, for which the lengths were checked.
            unsafe {
                let probability = exp2(L::load(p.add(at)) - lses[v]);
                probability.store(p.add(at));
                (probability * (L::load(ds.add(at)) - deltas[v])).store(ds.add(at));
            }
        }
    }
}
