//! Both passes against plain loops in f64, for odd shapes, strides and masks.

use super::*;
use crate::kernels::simd::Simd;
use proptest::prelude::*;
use std::ops::Range;

/// Where operands and results lie.
#[derive(Clone, Copy, Debug)]
enum Placement {
    /// \[tokens, heads, head_dim\] each.
    Dense,
    /// Token-major with gaps between heads and tokens.
    Gaps,
    /// \[heads, tokens, head_dim\].
    HeadMajor,
}

impl Placement {
    /// (token stride, head stride) of an operand.
    fn strides(self, tokens: usize, shape: &Shape) -> (usize, usize) {
        let Shape { heads, head_dim, .. } = *shape;
        match self {
            Self::Dense => (heads * head_dim, head_dim),
            Self::Gaps => (heads * (head_dim + 3) + 5, head_dim + 3),
            Self::HeadMajor => (head_dim, tokens * head_dim),
        }
    }
}

/// One call with all its operands.
struct Problem {
    shape: Shape,
    blocks: Vec<QueryBlock>,
    placement: Placement,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    d_o: Vec<f32>,
}

#[derive(Debug, PartialEq)]
struct Results {
    o: Vec<f32>,
    lse: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

/// A value no result may keep where it has to be written.
const STALE: f32 = 7.25e8;

fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

impl Problem {
    fn new(shape: Shape, blocks: Vec<QueryBlock>, placement: Placement) -> Self {
        let data = |tokens: usize, seed| {
            let (token_stride, head_stride) = placement.strides(tokens, &shape);
            noise(extent(tokens, token_stride, head_stride, &shape), seed)
        };
        let (q, d_o) = (data(shape.queries, 1), data(shape.queries, 4));
        let (k, v) = (data(shape.keys, 2), data(shape.keys, 3));
        Self { shape, blocks, placement, q, k, v, d_o }
    }

    fn rows<'a>(&self, data: &'a [f32], tokens: usize) -> Rows<'a> {
        let (token_stride, head_stride) = self.placement.strides(tokens, &self.shape);
        Rows { data, token_stride, head_stride }
    }

    fn rows_mut<'a>(&self, data: &'a mut [f32], tokens: usize) -> RowsMut<'a> {
        let (token_stride, head_stride) = self.placement.strides(tokens, &self.shape);
        RowsMut { data, token_stride, head_stride }
    }

    fn run(&self, simd: Simd) -> Results {
        let Self { shape, blocks, q, k, v, d_o, .. } = self;
        let Shape { heads, queries, keys, .. } = *shape;
        let mut results = Results {
            o: vec![STALE; q.len()],
            lse: vec![STALE; heads * queries],
            dq: vec![STALE; q.len()],
            dk: vec![STALE; k.len()],
            dv: vec![STALE; v.len()],
        };
        let Results { o, lse, dq, dk, dv } = &mut results;
        let (q, k, v) = (self.rows(q, queries), self.rows(k, keys), self.rows(v, keys));
        forward(
            simd,
            Forward { shape: *shape, blocks, q, k, v, o: self.rows_mut(o, queries), lse },
        );
        let mut workspace = vec![f32::NAN; backward_workspace(shape, blocks)];
        backward(
            simd,
            Backward {
                shape: *shape,
                blocks,
                q,
                k,
                v,
                o: self.rows(o, queries),
                d_o: self.rows(d_o, queries),
                lse,
                dq: self.rows_mut(dq, queries),
                dk: self.rows_mut(dk, keys),
                dv: self.rows_mut(dv, keys),
                workspace: &mut workspace,
            },
        );
        results
    }

    /// Dense \[tokens, heads, head_dim\] copy in f64.
    fn dense(&self, data: &[f32], tokens: usize) -> Vec<f64> {
        let rows = self.rows(data, tokens);
        let Shape { heads, head_dim, .. } = self.shape;
        let mut dense = Vec::new();
        for token in 0..tokens {
            for head in 0..heads {
                dense.extend(rows.row(token, head, head_dim).iter().map(|&x| f64::from(x)));
            }
        }
        dense
    }

    /// Checks every element against plain loops, relative to the largest of its kind.
    fn check(&self, simd: Simd) {
        let results = self.run(simd);
        let Shape { heads, head_dim, queries, keys, scale } = self.shape;
        let at = |token: usize, head: usize| (token * heads + head) * head_dim;
        let [q, d_o] = [&self.q, &self.d_o].map(|data| self.dense(data, queries));
        let [k, v] = [&self.k, &self.v].map(|data| self.dense(data, keys));
        let (mut o, mut dq) = (vec![0.0; q.len()], vec![0.0; q.len()]);
        let (mut dk, mut dv) = (vec![0.0; k.len()], vec![0.0; k.len()]);
        let mut lse = vec![f64::NEG_INFINITY; heads * queries];
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        for block in &self.blocks {
            let visible: Vec<usize> = block.ranges().into_iter().flatten().collect();
            if visible.is_empty() {
                continue;
            }
            for (query, head) in block.rows().flat_map(|i| (0..heads).map(move |h| (i, h))) {
                let row = at(query, head)..at(query, head) + head_dim;
                let key = |j: usize| at(j, head)..at(j, head) + head_dim;
                let scores: Vec<f64> = visible
                    .iter()
                    .map(|&j| f64::from(scale) * dot(&q[row.clone()], &k[key(j)]))
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
                lse[head * queries + query] = top + sum.ln();
                let p: Vec<f64> = scores.iter().map(|s| (s - top).exp() / sum).collect();
                for (&j, p) in visible.iter().zip(&p) {
                    for d in 0..head_dim {
                        o[row.start + d] += p * v[key(j).start + d];
                    }
                }
                let delta = dot(&o[row.clone()], &d_o[row.clone()]);
                for (&j, p) in visible.iter().zip(&p) {
                    let dp = dot(&d_o[row.clone()], &v[key(j)]);
                    let ds = f64::from(scale) * p * (dp - delta);
                    for d in 0..head_dim {
                        dv[key(j).start + d] += p * d_o[row.start + d];
                        dk[key(j).start + d] += ds * q[row.start + d];
                        dq[row.start + d] += ds * k[key(j).start + d];
                    }
                }
            }
        }
        let what = format!("{simd:?} {:?} {:?} {:?}", self.shape, self.placement, self.blocks);
        for (name, got, expected) in [
            ("o", self.dense(&results.o, queries), o),
            ("dq", self.dense(&results.dq, queries), dq),
            ("dk", self.dense(&results.dk, keys), dk),
            ("dv", self.dense(&results.dv, keys), dv),
        ] {
            let largest = expected.iter().fold(0.1, |top: f64, x| top.max(x.abs()));
            for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
                let error = (got - expected).abs() / largest;
                assert!(error < 1e-5, "{name}[{i}] is {got}, not {expected}: {what}");
            }
        }
        for (i, (&got, &expected)) in results.lse.iter().zip(&lse).enumerate() {
            let is_close = (f64::from(got) - expected).abs() < 1e-5 * (1.0 + expected.abs());
            let are_empty = got == f32::NEG_INFINITY && expected == f64::NEG_INFINITY;
            assert!(is_close || are_empty, "lse[{i}] is {got}, not {expected}: {what}");
        }
        self.check_gaps(&results);
    }

    /// What lies between the rows stays as it was.
    fn check_gaps(&self, results: &Results) {
        let Shape { heads, head_dim, queries, keys, .. } = self.shape;
        let lists = [(&results.o, queries), (&results.dq, queries), (&results.dk, keys)];
        for (data, tokens) in lists {
            let written = data.iter().filter(|&&x| x != STALE).count();
            assert_eq!(written, tokens * heads * head_dim);
        }
    }
}

fn shape(heads: usize, head_dim: usize, queries: usize, keys: usize) -> Shape {
    Shape { heads, head_dim, queries, keys, scale: 1.0 / (head_dim as f32).sqrt() }
}

fn block(queries: Range<u32>, prefix: Range<u32>, own: Range<u32>) -> QueryBlock {
    QueryBlock { queries, prefix, own }
}

/// Text and frames of two samples, each with clean copies in causal order and noisy ones after
/// them: noisy slot i sees the clean slots before it, and itself.
fn clean_and_noisy(slots: &[u32], samples: u32) -> (Vec<QueryBlock>, usize) {
    let (mut blocks, mut start) = (Vec::new(), 0);
    for _ in 0..samples {
        let sum: u32 = slots.iter().sum();
        let (mut clean, mut noisy) = (Vec::new(), Vec::new());
        let (mut at, mut noisy_at) = (start, start + sum);
        for &slot in slots {
            clean.push(block(at..at + slot, start..at + slot, 0..0));
            noisy.push(block(noisy_at..noisy_at + slot, start..at, noisy_at..noisy_at + slot));
            at += slot;
            noisy_at += slot;
        }
        blocks.extend(clean.into_iter().chain(noisy));
        start += 2 * sum;
    }
    (blocks, start as usize)
}

#[test]
fn full_attention_equals_plain_loops_at_every_level() {
    for simd in Simd::available() {
        for (heads, head_dim, queries, keys) in [
            (1, 1, 1, 1),
            (2, 5, 3, 7),
            (1, 8, 17, 9),
            (3, 24, 40, 130),
            (1, 64, 70, 300),
            (1, 130, 5, 6),
        ] {
            let blocks = vec![QueryBlock::full(queries, keys)];
            Problem::new(shape(heads, head_dim, queries, keys), blocks, Placement::Dense)
                .check(simd);
        }
    }
}

#[test]
fn tiles_groups_and_chunks_join_without_seams() {
    for simd in Simd::available() {
        let blocks = vec![QueryBlock::full(270, 700)];
        Problem::new(shape(1, 16, 270, 700), blocks, Placement::Gaps).check(simd);
    }
}

#[test]
fn clean_and_noisy_copies_equal_plain_loops() {
    for simd in Simd::available() {
        let (blocks, tokens) = clean_and_noisy(&[5, 64, 3, 61], 2);
        Problem::new(shape(2, 32, tokens, tokens), blocks, Placement::Gaps).check(simd);
    }
}

#[test]
fn empty_extents_write_zeros_or_nothing() {
    for simd in Simd::available() {
        Problem::new(shape(2, 8, 0, 5), vec![], Placement::Dense).check(simd);
        Problem::new(shape(2, 8, 4, 0), vec![block(0..4, 0..0, 0..0)], Placement::Dense)
            .check(simd);
        Problem::new(shape(0, 8, 4, 4), vec![QueryBlock::full(4, 4)], Placement::Dense).check(simd);
        let blocks = vec![block(0..2, 0..0, 3..3), block(2..4, 1..3, 0..0)];
        Problem::new(shape(1, 8, 4, 6), blocks, Placement::HeadMajor).check(simd);
    }
}

#[test]
fn hidden_keys_may_hold_anything() {
    for simd in Simd::available() {
        let blocks = vec![block(0..9, 0..3, 5..20), block(9..30, 30..40, 22..25)];
        let problem = Problem::new(shape(1, 16, 30, 45), blocks, Placement::Dense);
        let expected = problem.run(simd);
        let mut poisoned = Problem { blocks: problem.blocks.clone(), ..problem };
        for hidden in [3..5, 20..22, 25..30, 40..45] {
            poisoned.k[hidden.start * 16..hidden.end * 16].fill(f32::NAN);
            poisoned.v[hidden.start * 16..hidden.end * 16].fill(f32::INFINITY);
        }
        assert_eq!(poisoned.run(simd), expected);
    }
}

#[test]
fn large_scores_neither_overflow_nor_vanish() {
    for simd in Simd::available() {
        for sign in [1.0, -1.0] {
            let blocks = vec![QueryBlock::full(20, 300)];
            let mut problem = Problem::new(shape(1, 16, 20, 300), blocks, Placement::Dense);
            problem.q.iter_mut().for_each(|x| *x = (*x * 0.01 + 1.0) * 100.0 * sign);
            problem.k.iter_mut().for_each(|x| *x = *x * 0.01 + 3.0);
            let results = problem.run(simd);
            assert!(results.o.iter().chain(&results.dq).all(|x| x.is_finite()));
            for token in 0..20 {
                assert!(results.o[token * 16..][..16].iter().any(|&x| x != 0.0), "query {token}");
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (blocks, tokens) = clean_and_noisy(&[7, 200, 90], 2);
    let problem = Problem::new(shape(3, 16, tokens, tokens), blocks, Placement::Dense);
    for simd in Simd::available() {
        let [one, two] = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be started").install(|| problem.run(simd))
        });
        assert!(one == two, "{simd:?}");
    }
}

/// Blocks over up to 60 queries with any two disjoint ranges of up to 300 keys.
fn masks() -> impl Strategy<Value = (Vec<QueryBlock>, usize, usize)> {
    let cuts = prop::collection::vec((0u32..25, prop::array::uniform4(0u32..=300)), 0..5);
    (cuts, 0u32..=300).prop_map(|(cuts, keys)| {
        let mut at = 0;
        let blocks = cuts.into_iter().map(|(queries, mut ends)| {
            // Some queries are in no block.
            at += if queries % 5 == 4 { queries } else { 0 };
            ends.iter_mut().for_each(|end| *end = *end * keys / 300);
            let is_swapped = ends[0] > ends[3];
            ends.sort_unstable();
            let [a, b, c, d] = ends;
            let (prefix, own) = if is_swapped { (c..d, a..b) } else { (a..b, c..d) };
            let start = at;
            at += queries;
            QueryBlock { queries: start..at, prefix, own }
        });
        let blocks: Vec<_> = blocks.collect();
        (blocks, at as usize + 3, keys as usize)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_mask_equals_plain_loops(
        (blocks, queries, keys) in masks(),
        heads in 1usize..3,
        head_dim in 1usize..34,
        placement in prop::sample::select(vec![Placement::Dense, Placement::Gaps, Placement::HeadMajor]),
    ) {
        let problem = Problem::new(shape(heads, head_dim, queries, keys), blocks, placement);
        for simd in Simd::available() {
            problem.check(simd);
        }
    }
}
