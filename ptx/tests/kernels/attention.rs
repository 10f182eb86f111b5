//! Attention forward and backward.

use crate::device::{Arg, Device, Dtype, ORDERS, Placed, Rows, noise};
use std::ops::Range;
use vincie_ptx::Counters;

/// Queries and the two ranges of keys that each of them sees.
type Block = (Range<usize>, Range<usize>, Range<usize>);

/// The tables of a launch, as the family's README describes them.
struct Tables {
    tiles: Vec<u32>,
    visits: Vec<u32>,
}

/// Which side of the score matrix a CTA owns a tile of.
#[derive(Clone, Copy, PartialEq)]
enum Owner {
    Queries,
    Keys,
}

#[derive(Clone, Debug)]
struct Problem {
    dtype: Dtype,
    heads: usize,
    dim: usize,
    queries: usize,
    keys: usize,
    blocks: Vec<Block>,
}

impl Problem {
    fn new(dtype: Dtype, dim: usize, queries: usize, keys: usize, blocks: Vec<Block>) -> Self {
        Self { dtype, heads: 2, dim, queries, keys, blocks }
    }

    fn full(dtype: Dtype, dim: usize, queries: usize, keys: usize) -> Self {
        Self::new(dtype, dim, queries, keys, vec![(0..queries, 0..keys, 0..0)])
    }

    /// Clean slots in causal order and noisy copies behind them, then queries that see nothing.
    fn clean_and_noisy(dtype: Dtype, dim: usize, slots: &[usize], blind: usize) -> Self {
        let sum: usize = slots.iter().sum();
        let (mut clean, mut noisy, mut at) = (Vec::new(), Vec::new(), 0);
        for &slot in slots {
            clean.push((at..at + slot, 0..at + slot, 0..0));
            noisy.push((sum + at..sum + at + slot, 0..at, sum + at..sum + at + slot));
            at += slot;
        }
        clean.extend(noisy);
        Self::new(dtype, dim, 2 * sum + blind, 2 * sum, clean)
    }

    fn scale(&self) -> f64 {
        1.0 / (self.dim as f64).sqrt()
    }

    fn scale_log2(&self) -> f32 {
        (self.scale() * std::f64::consts::LOG2_E) as f32
    }

    fn sees(&self, query: usize, key: usize) -> bool {
        let block = self.blocks.iter().find(|block| block.0.contains(&query));
        block.is_some_and(|block| block.1.contains(&key) || block.2.contains(&key))
    }

    fn ranges(&self) -> Vec<u32> {
        let mut ranges = vec![0; 4 * self.queries];
        for (queries, first, second) in &self.blocks {
            for query in queries.clone() {
                let ends = [first.start, first.end, second.start, second.end];
                ranges[4 * query..4 * query + 4].copy_from_slice(&ends.map(|end| end as u32));
            }
        }
        ranges
    }

    /// Tables for tiles of `rows` of the owner's side and `cols` of the other, the tiles with most
    /// to do first.
    fn tables(&self, owner: Owner, rows: usize, cols: usize) -> Tables {
        let (own, other) = match owner {
            Owner::Queries => (self.queries, self.keys),
            Owner::Keys => (self.keys, self.queries),
        };
        let mut lists = Vec::new();
        for tile in 0..own.div_ceil(rows) {
            let mut list = Vec::new();
            for visit in 0..other.div_ceil(cols) {
                let mut pairs = 0;
                for row in tile * rows..own.min((tile + 1) * rows) {
                    for col in visit * cols..other.min((visit + 1) * cols) {
                        let (query, key) =
                            if owner == Owner::Queries { (row, col) } else { (col, row) };
                        pairs += usize::from(self.sees(query, key));
                    }
                }
                if pairs > 0 {
                    list.push(4 * visit as u32 + u32::from(pairs < rows * cols));
                }
            }
            if let Some(last) = list.last_mut() {
                *last += 2;
            }
            lists.push((tile as u32, list));
        }
        lists.sort_by_key(|(_, list)| std::cmp::Reverse(list.len()));
        let mut tables = Tables { tiles: Vec::new(), visits: Vec::new() };
        for (tile, list) in lists {
            tables.tiles.extend([tile, tables.visits.len() as u32, list.len() as u32, 0]);
            tables.visits.extend(list);
        }
        tables
    }

    fn rows(&self, rows: usize) -> Rows {
        let cols = self.heads * self.dim;
        Rows { rows, cols, stride: cols + 8, offset: 8 }
    }

    fn inputs(&self) -> [Vec<f32>; 4] {
        let width = self.heads * self.dim;
        let rows = [self.queries, self.keys, self.keys, self.queries];
        [1, 2, 3, 4].map(|i| noise(rows[i - 1] * width, i as u64, self.dtype))
    }

    /// Probabilities of a head by query, and its log-sum-exp.
    fn probabilities(&self, head: usize, q: &[f32], k: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let mut p = vec![0.0; self.queries * self.keys];
        let mut lse = vec![f64::NEG_INFINITY; self.queries];
        for query in 0..self.queries {
            let row = &mut p[query * self.keys..][..self.keys];
            let seen: Vec<usize> = (0..self.keys).filter(|key| self.sees(query, *key)).collect();
            let scores: Vec<f64> = seen
                .iter()
                .map(|key| self.scale() * dot(self.row(q, query, head), self.row(k, *key, head)))
                .collect();
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
            if !seen.is_empty() {
                lse[query] = top + sum.ln();
            }
            for (key, score) in seen.iter().zip(scores) {
                row[*key] = (score - top).exp() / sum;
            }
        }
        (p, lse)
    }

    fn row<'a>(&self, matrix: &'a [f32], row: usize, head: usize) -> &'a [f32] {
        &matrix[(row * self.heads + head) * self.dim..][..self.dim]
    }

    fn stride(&self, placed: &Placed) -> Arg {
        Arg::U32(placed.rows.stride as u32)
    }

    /// Runs the forward pass and compares it; returns its counters.
    fn check_forward(&self, tile: usize) -> Counters {
        let counters = ORDERS.map(|order| {
            let mut device = Device::new(order);
            let (counters, _) = self.forward(&mut device, tile);
            counters
        });
        assert_eq!(counters[0], counters[1], "{self:?}");
        counters[0].clone()
    }

    fn forward(&self, device: &mut Device, tile: usize) -> (Counters, [Placed; 5]) {
        let Self { dtype, heads, dim, queries, keys, .. } = *self;
        let [q, k, v, _] = self.inputs();
        let on_q = device.upload(dtype, self.rows(queries), &q);
        let on_k = device.upload(dtype, self.rows(keys), &k);
        let on_v = device.upload(dtype, self.rows(keys), &v);
        let on_out = device.result(dtype, self.rows(queries));
        let on_lse = device.result(Dtype::F32, Rows::dense(heads, queries));
        let key_tile = if dtype == Dtype::Bf16 { 64 } else { 32 };
        let tables = self.tables(Owner::Queries, tile, key_tile);
        let name = format!("attention_forward_{}_d{dim}_q{tile}", dtype.name());
        let args = [
            Arg::U64(on_q.at()),
            Arg::U64(on_k.at()),
            Arg::U64(on_v.at()),
            Arg::U64(on_out.at()),
            Arg::U64(on_lse.at()),
            Arg::U64(device.table(&tables.tiles)),
            Arg::U64(device.table(&tables.visits)),
            Arg::U64(device.table(&self.ranges())),
            Arg::U32(queries as u32),
            Arg::U32(keys as u32),
            self.stride(&on_q),
            self.stride(&on_k),
            self.stride(&on_v),
            self.stride(&on_out),
            Arg::F32(self.scale_log2()),
        ];
        let grid = [queries.div_ceil(tile) as u32, heads as u32, 1];
        let counters = device.launch(&name, grid, &args);
        let (out, lse) = (device.download(&on_out), device.download(&on_lse));
        for head in 0..heads {
            let (p, expected) = self.probabilities(head, &q, &k);
            for query in 0..queries {
                let (got, want) = (f64::from(lse[head * queries + query]), expected[query]);
                let is_right = got == want || (got - want).abs() < 1e-5 * (1.0 + want.abs());
                assert!(is_right, "{self:?} lse[{head},{query}] is {got}, not {want}");
                let p = &p[query * keys..][..keys];
                for col in 0..dim {
                    let terms = p.iter().enumerate().map(|(key, p)| {
                        let v = f64::from(self.row(&v, key, head)[col]);
                        (p * v, p * v.abs())
                    });
                    let (sum, magnitude) = terms.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
                    let got = f64::from(self.row(&out, query, head)[col]);
                    // Probabilities and results are rounded to the dtype; sums are f32.
                    let limit = magnitude * (dtype.epsilon() + 4e-6) + sum.abs() * dtype.epsilon();
                    let error = (got - sum).abs();
                    assert!(error <= limit, "{self:?} [{query},{head},{col}]: {got}, not {sum}");
                }
            }
        }
        (counters, [on_q, on_k, on_v, on_out, on_lse])
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Masks of every kind, for one head size.
fn problems(dtype: Dtype, dim: usize) -> Vec<Problem> {
    let odd = vec![(2..9, 0..3, 5..20), (9..33, 30..45, 22..25), (40..60, 3..3, 10..77)];
    vec![
        Problem::full(dtype, dim, 1, 1),
        Problem::full(dtype, dim, 65, 130),
        Problem::clean_and_noisy(dtype, dim, &[5, 40, 3, 21], 3),
        Problem::new(dtype, dim, 70, 80, odd),
    ]
}

#[test]
fn bf16_forward_follows_the_mask() {
    for dim in [16, 32, 64, 128] {
        for (i, problem) in problems(Dtype::Bf16, dim).iter().enumerate() {
            problem.check_forward(if i % 2 == 0 { 64 } else { 128 });
        }
    }
}

#[test]
fn f32_forward_follows_the_mask() {
    for dim in [16, 32, 64, 128] {
        for problem in problems(Dtype::F32, dim) {
            problem.check_forward(32);
        }
    }
}
