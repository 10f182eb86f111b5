//! Attention forward and backward.

use crate::coverage;
use crate::device::{Arg, Device, Dtype, ORDERS, Placed, Rows, noise};
use crate::expect::{Call, in_all_orders, near};
use std::ops::Range;
use vincie_ptx::Counters;

/// The folder of the kernels, and how many tests launch them.
const OP: &str = "attention";
const TESTS: usize = 5;

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
    /// Rows follow each other; else there are gaps of 16 bytes and more.
    is_dense: bool,
}

impl Problem {
    fn new(dtype: Dtype, dim: usize, queries: usize, keys: usize, blocks: Vec<Block>) -> Self {
        Self { dtype, heads: 2, dim, queries, keys, blocks, is_dense: false }
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
        if self.is_dense {
            Rows::dense(rows, cols)
        } else {
            Rows { rows, cols, stride: cols + 8, offset: 8 }
        }
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

    /// Runs the forward pass in both orders, which change neither a bit nor what is counted.
    fn check_forward(&self, tile: usize) {
        let [one, other] = ORDERS.map(|order| {
            let mut device = Device::new(order);
            let (counters, placed) = self.forward(&mut device, tile);
            (counters, placed.map(|placed| device.download(&placed)))
        });
        assert!(one == other, "{self:?}");
    }

    /// Runs the forward pass and compares it; q, k, v, the result and its log-sum-exp stay there.
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

impl Problem {
    /// Runs both passes in both orders, which change neither a bit nor what is counted.
    fn check_backward(&self, tile: usize) {
        let [one, other] = ORDERS.map(|order| self.backward(&mut Device::new(order), tile));
        assert!(one == other, "{self:?}");
    }

    /// Runs both passes and compares the gradients of q, k and v; counters of delta and the passes by
    /// queries and by keys.
    fn backward(&self, device: &mut Device, tile: usize) -> ([Counters; 3], [Vec<f32>; 3]) {
        let Self { dtype, heads, dim, queries, keys, .. } = *self;
        let (_, [on_q, on_k, on_v, on_out, on_lse]) =
            self.forward(device, if dtype == Dtype::Bf16 { 64 } else { 32 });
        let [q, k, v, grad] = self.inputs();
        let on_grad = device.upload(dtype, self.rows(queries), &grad);
        let on_terms = device.result(Dtype::F32, Rows::dense(heads, 2 * queries));
        let on_dq = device.result(dtype, self.rows(queries));
        let on_dk = device.result(dtype, self.rows(keys));
        let on_dv = device.result(dtype, self.rows(keys));
        let rows_a_block = 256 * 16 / (dim * dtype.bytes());
        let delta = device.launch(
            &format!("attention_delta_{}_d{dim}", dtype.name()),
            [queries.div_ceil(rows_a_block) as u32, heads as u32, 1],
            &[
                Arg::U64(on_out.at()),
                Arg::U64(on_grad.at()),
                Arg::U64(on_lse.at()),
                Arg::U64(on_terms.at()),
                Arg::U32(queries as u32),
                self.stride(&on_out),
                self.stride(&on_grad),
            ],
        );
        let visited = if dtype == Dtype::Bf16 { 64 } else { 32 };
        let ranges = device.table(&self.ranges());
        let mut pass = |owner: Owner, results: &[&Placed]| {
            let tables = self.tables(owner, tile, visited);
            let (name, rows) = match owner {
                Owner::Queries => ("queries", queries),
                Owner::Keys => ("keys", keys),
            };
            let inputs = [&on_q, &on_k, &on_v, &on_grad];
            let mut args: Vec<Arg> = inputs.iter().map(|placed| Arg::U64(placed.at())).collect();
            args.push(Arg::U64(on_terms.at()));
            args.extend(results.iter().map(|placed| Arg::U64(placed.at())));
            args.push(Arg::U64(device.table(&tables.tiles)));
            args.push(Arg::U64(device.table(&tables.visits)));
            args.push(Arg::U64(ranges));
            args.push(Arg::U32(queries as u32));
            args.push(Arg::U32(keys as u32));
            args.extend(inputs.iter().map(|placed| self.stride(placed)));
            args.extend(results.iter().map(|placed| self.stride(placed)));
            args.push(Arg::F32(self.scale_log2()));
            let name = format!("attention_backward_{name}_{}_d{dim}_r{tile}", dtype.name());
            device.launch(&name, [rows.div_ceil(tile) as u32, heads as u32, 1], &args)
        };
        let by_queries = pass(Owner::Queries, &[&on_dq]);
        let by_keys = pass(Owner::Keys, &[&on_dk, &on_dv]);
        let got = [&on_dq, &on_dk, &on_dv].map(|placed| device.download(placed));
        let epsilon = dtype.epsilon() + 1e-5;
        for head in 0..heads {
            let (p, _) = self.probabilities(head, &q, &k);
            let sums = [queries, keys, keys].map(|rows| vec![(0.0, 0.0); rows * dim]);
            let [mut dq, mut dk, mut dv] = sums;
            for query in 0..queries {
                let p = &p[query * keys..][..keys];
                let g = self.row(&grad, query, head);
                let of_key = |key: usize| dot(g, self.row(&v, key, head));
                let magnitude = |key: usize| {
                    let v = self.row(&v, key, head);
                    g.iter().zip(v).map(|(g, v)| f64::from(g * v).abs()).sum::<f64>()
                };
                let delta: f64 = (0..keys).map(|key| p[key] * of_key(key)).sum();
                let size: f64 = (0..keys).map(|key| p[key] * magnitude(key)).sum();
                for key in (0..keys).filter(|key| p[*key] > 0.0) {
                    let ds = self.scale() * p[key] * (of_key(key) - delta);
                    // Of the score's gradient: its rounding, and that of the result in delta.
                    let error = self.scale() * p[key] * (magnitude(key) + size) * epsilon
                        + ds.abs() * epsilon;
                    for col in 0..dim {
                        let add = |to: &mut [(f64, f64)], row: usize, by: f64, x: f32, e| {
                            let sum = &mut to[row * dim + col];
                            sum.0 += by * f64::from(x);
                            sum.1 += e * f64::from(x.abs());
                        };
                        add(&mut dq, query, ds, self.row(&k, key, head)[col], error);
                        add(&mut dk, key, ds, self.row(&q, query, head)[col], error);
                        add(&mut dv, key, p[key], g[col], p[key] * epsilon);
                    }
                }
            }
            for ((name, got), want) in ["dq", "dk", "dv"].iter().zip(&got).zip([dq, dk, dv]) {
                for (index, (sum, error)) in want.iter().enumerate() {
                    let (row, col) = (index / dim, index % dim);
                    let got = f64::from(self.row(got, row, head)[col]);
                    let limit = error + sum.abs() * epsilon;
                    let is_right = (got - sum).abs() <= limit;
                    assert!(is_right, "{self:?} {name}[{row},{head},{col}]: {got}, not {sum}");
                }
            }
        }
        ([delta, by_queries, by_keys], got)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Masks for one head size; all kinds come up over the sizes.
fn problems(dtype: Dtype, dim: usize) -> Vec<Problem> {
    let odd = vec![(2..9, 0..3, 5..20), (9..33, 30..45, 22..25), (40..60, 3..3, 10..77)];
    let other = match dim {
        16 => Problem::full(dtype, dim, 65, 130),
        32 => Problem::new(dtype, dim, 70, 80, odd),
        64 => Problem::full(dtype, dim, 1, 1),
        _ => Problem::new(dtype, dim, 33, 66, vec![(0..20, 3..9, 40..66)]),
    };
    let slots = if dtype == Dtype::Bf16 { [5, 30, 3, 29] } else { [5, 20, 3, 11] };
    vec![Problem::clean_and_noisy(dtype, dim, &slots, 3), other]
}

#[test]
fn bf16_forward_with_tiles_of_128_queries() {
    for dim in [16, 32, 64, 128] {
        for problem in problems(Dtype::Bf16, dim) {
            problem.check_forward(128);
        }
    }
    coverage::passed(OP, TESTS);
}

#[test]
fn bf16_backward_and_the_forward_pass_before_it() {
    for (dim, tile) in [(16, 64), (32, 128), (64, 64), (128, 128)] {
        let [first, second] = [tile, 192 - tile];
        let problems = problems(Dtype::Bf16, dim);
        problems[0].check_backward(first);
        problems[1].check_backward(second);
    }
    coverage::passed(OP, TESTS);
}

#[test]
fn f32_backward_and_the_forward_pass_before_it() {
    for dim in [16, 32, 64, 128] {
        for problem in problems(Dtype::F32, dim) {
            problem.check_backward(32);
        }
    }
    coverage::passed(OP, TESTS);
}

#[test]
fn memory_is_touched_as_little_as_can_be() {
    for (dtype, dim, tile) in
        [(Dtype::Bf16, 64, 128), (Dtype::Bf16, 128, 128), (Dtype::F32, 64, 32)]
    {
        let problem = Problem { is_dense: true, ..Problem::full(dtype, dim, 128, 128) };
        let mut device = Device::new(ORDERS[0]);
        let forward = problem.forward(&mut device, tile).0;
        let ([delta, queries, keys], _) = problem.backward(&mut device, tile);
        for (name, counters) in
            [("forward", forward), ("delta", delta), ("queries", queries), ("keys", keys)]
        {
            let what = format!("{name} {dtype:?} {dim}: {counters}");
            assert!(20 * counters.global_sectors <= 21 * counters.global_sectors_ideal, "{what}");
            let (passes, ideal) = (counters.shared_wavefronts, counters.shared_wavefronts_ideal);
            match (dtype, name) {
                // Lanes of a row share its numbers, 8 lanes a pass; dense would be less.
                (Dtype::F32, _) => assert!(passes <= 2 * ideal, "{what}"),
                // So do those of a column the terms of its query.
                (Dtype::Bf16, "keys") => assert!(20 * passes <= 21 * ideal, "{what}"),
                (Dtype::Bf16, _) => assert_eq!(passes, ideal, "{what}"),
            }
        }
    }
    coverage::passed(OP, TESTS);
}

#[test]
fn logarithms_of_sums_of_any_length() {
    const SCALE: f64 = 0.7;
    for (access, offset, shapes) in
        [("any", 1, [(1, 1), (9, 33), (3, 300)]), ("wide", 0, [(9, 4), (10, 132), (3, 1568)])]
    {
        let name = format!("attention_log_sums_{access}");
        for (rows, cols) in shapes {
            let x: Vec<f32> = noise(rows * cols, 1, Dtype::F32).iter().map(|x| 30.0 * x).collect();
            let (_, results) = in_all_orders(&name, |device| {
                let call = Call::new(device, &name).input(Dtype::F32, offset, &x);
                let call = call.output(Dtype::F32, 0, rows).size(rows).size(cols);
                let call = call.float(SCALE * std::f64::consts::LOG2_E);
                call.run([rows.div_ceil(8), 1, 1])
            });
            let want = x.chunks(cols).map(|row| {
                let sum = row.iter().map(|x| (SCALE * f64::from(*x)).exp()).sum::<f64>();
                (sum.ln(), 4e-6 * (1.0 + sum.ln().abs()))
            });
            near((&name, rows, cols), Dtype::F32, &results[0], &want.collect::<Vec<_>>());
        }
    }
    coverage::passed(OP, TESTS);
}
