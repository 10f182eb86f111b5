//! RMS norm, and the norm with rotation of queries and keys.

use crate::device::{Dtype, noise};
use crate::expect::{Call, dense, dtype, in_all_orders, is_wide, near, sum, value, width};
use crate::rows::{FINISH, SUMS, at, by_split, groups, measure_sums};
use vincie_ptx::catalogue::Entry;

const EPSILON: f64 = 1e-5;

/// Groups of rows with modulation of their own.
const NUMBER: usize = 3;

/// The inputs of a norm.
struct Norm {
    dtype: Dtype,
    offset: usize,
    rows: usize,
    cols: usize,
    x: Vec<f32>,
    dy: Vec<f32>,
    weight: Option<Vec<f32>>,
    /// Scale and shift `[NUMBER, cols]`, and their parameters.
    modulation: Option<[Vec<f32>; 4]>,
    groups: Vec<usize>,
}

impl Norm {
    fn new(entry: &Entry, rows: usize, cols: usize, offset: usize) -> Self {
        let (dtype, form) = (dtype(entry), value(entry, "form"));
        let has_weight = matches!(form, "weight" | "both");
        let is_modulated = matches!(form, "modulated" | "both");
        let vector = |count: usize, seed: u64| noise(count * cols, seed, dtype);
        Self {
            dtype,
            offset,
            rows,
            cols,
            x: vector(rows, 1),
            dy: vector(rows, 2),
            weight: has_weight.then(|| vector(1, 3)),
            modulation: is_modulated
                .then(|| [vector(NUMBER, 4), vector(NUMBER, 5), vector(1, 6), vector(1, 7)]),
            groups: groups(rows, NUMBER),
        }
    }

    fn part(&self, index: usize) -> Option<&[f32]> {
        self.modulation.as_ref().map(|all| &all[index][..])
    }

    fn inverse_rms(&self, row: usize) -> f64 {
        let x = &self.x[row * self.cols..][..self.cols];
        let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / self.cols as f64;
        1.0 / (mean + EPSILON).sqrt()
    }

    /// What the normed element is multiplied with, and what is added.
    fn affine(&self, row: usize, col: usize) -> (f64, f64) {
        let weight = self.weight.as_ref().map_or(1.0, |weight| at(weight, col));
        let Some([scale, shift, scale_parameter, shift_parameter]) = &self.modulation else {
            return (weight, 0.0);
        };
        let place = self.groups[row] * self.cols + col;
        let (scale, shift) = (at(scale, place), at(shift, place));
        (weight * (scale + at(scale_parameter, col)), shift + at(shift_parameter, col))
    }

    fn is_large(&self) -> bool {
        self.rows * self.cols >= 1 << 14
    }

    /// Vectors are read once a row, from the cache; what is left is x, dy, and what is written.
    fn measure(&self, entry: &Entry, counters: &vincie_ptx::Counters, tensors: usize) {
        if is_wide(entry) && self.is_large() && value(entry, "form") == "plain" {
            let bytes = self.rows * (self.cols * tensors * self.dtype.bytes() + 4);
            dense(&entry.name, counters, bytes, 5);
        }
    }

    fn forward(&self, entry: &Entry) {
        let Self { dtype, offset, rows, cols, .. } = *self;
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &self.x);
            let mut call = call.optional(dtype, offset, self.weight.as_deref());
            for part in 0..4 {
                call = call.optional(dtype, offset, self.part(part));
            }
            let call = match self.modulation {
                Some(_) => call.indices(&self.groups),
                None => call.null(),
            };
            let call = call.output(dtype, offset, rows * cols).output(Dtype::F32, 0, rows);
            let call = call.size(rows).size(cols).float(1.0 / cols as f64).float(EPSILON);
            call.run([rows.div_ceil(8), 1, 1])
        });
        let inverse: Vec<f64> = (0..rows).map(|row| self.inverse_rms(row)).collect();
        let want = (0..rows * cols).map(|i| {
            let (factor, term) = self.affine(i / cols, i % cols);
            let y = at(&self.x, i) * inverse[i / cols] * factor;
            (y + term, 2e-6 * (y.abs() + term.abs()))
        });
        let what = (&entry.name, rows, cols);
        near(what, dtype, &results[0], &want.collect::<Vec<_>>());
        let want: Vec<(f64, f64)> = inverse.iter().map(|x| (*x, 2e-6 * x)).collect();
        near(what, Dtype::F32, &results[1], &want);
        self.measure(entry, &counters, 2);
    }

    fn backward(&self, entry: &Entry) {
        let Self { dtype, offset, rows, cols, .. } = *self;
        let inverse: Vec<f32> = (0..rows).map(|row| self.inverse_rms(row) as f32).collect();
        let (counters, dx) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &self.x);
            let call = call.optional(dtype, offset, self.weight.as_deref());
            let call = call.optional(dtype, offset, self.part(0));
            let call = call.optional(dtype, offset, self.part(2));
            let call = match self.modulation {
                Some(_) => call.indices(&self.groups),
                None => call.null(),
            };
            let call = call.input(Dtype::F32, 0, &inverse).input(dtype, offset, &self.dy);
            let call = call.output(dtype, offset, rows * cols).size(rows).size(cols);
            call.float(1.0 / cols as f64).run([rows.div_ceil(8), 1, 1])
        });
        let mut want = Vec::new();
        for (row, inverse) in inverse.iter().enumerate() {
            let inverse = f64::from(*inverse);
            let g = |col: usize| at(&self.dy, row * cols + col) * self.affine(row, col).0;
            let n = |col: usize| at(&self.x, row * cols + col) * inverse;
            let mean = (0..cols).map(|col| g(col) * n(col)).sum::<f64>() / cols as f64;
            let size = (0..cols).map(|col| (g(col) * n(col)).abs()).sum::<f64>() / cols as f64;
            for col in 0..cols {
                let error = 4e-6 * inverse * (g(col).abs() + n(col).abs() * size);
                want.push(((g(col) - n(col) * mean) * inverse, error));
            }
        }
        near((&entry.name, rows, cols), dtype, &dx[0], &want);
        self.measure(entry, &counters, 3);
    }

    fn finish(&self, entry: &Entry, splits: usize) {
        let Self { dtype, cols, .. } = *self;
        let number = if self.modulation.is_some() { NUMBER } else { 1 };
        let [products, shifts] = [8, 9].map(|seed| noise(splits * number * cols, seed, Dtype::F32));
        let is_modulated = self.modulation.is_some();
        let (_, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(Dtype::F32, 0, &products);
            let call = call.optional(Dtype::F32, 0, is_modulated.then_some(&shifts[..]));
            let call = call.optional(dtype, 0, self.weight.as_deref());
            let call = call.optional(dtype, 0, self.part(0)).optional(dtype, 0, self.part(2));
            let has_weight = self.weight.is_some();
            let mut call = call.output_if(has_weight, cols);
            for count in [number * cols, number * cols, cols, cols] {
                call = call.output_if(is_modulated, count);
            }
            let call = call.size(splits).size(number).size(cols);
            call.run([cols.div_ceil(FINISH), 1, 1])
        });
        let total = |all: &[f32], group: usize, col: usize| {
            (0..splits).map(|s| at(all, (s * number + group) * cols + col)).sum::<f64>()
        };
        let weight = |col: usize| self.weight.as_ref().map_or(1.0, |weight| at(weight, col));
        let scale = |group: usize, col: usize| match &self.modulation {
            Some([scale, _, parameter, _]) => at(scale, group * cols + col) + at(parameter, col),
            None => 1.0,
        };
        let d_weight =
            |col: usize| (0..number).map(|g| total(&products, g, col) * scale(g, col)).sum::<f64>();
        let d_scale = |g: usize, col: usize| total(&products, g, col) * weight(col);
        let d_shift = |g: usize, col: usize| total(&shifts, g, col);
        let all = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..number * cols).map(|i| f(i / cols, i % cols)).collect()
        };
        let columns = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..cols).map(|col| (0..number).map(|g| f(g, col)).sum()).collect()
        };
        let mut wanted: Vec<Vec<f64>> = Vec::new();
        if self.weight.is_some() {
            wanted.push((0..cols).map(d_weight).collect());
        }
        if is_modulated {
            wanted.extend([all(&d_scale), all(&d_shift), columns(&d_scale), columns(&d_shift)]);
        }
        assert_eq!(results.len(), wanted.len(), "{}", entry.name);
        for (got, want) in results.iter().zip(wanted) {
            let want: Vec<(f64, f64)> = want.into_iter().map(|x| (x, 1e-5)).collect();
            near((&entry.name, splits, cols), Dtype::F32, got, &want);
        }
    }
}

pub(crate) fn rms_norm(entry: &Entry) {
    let kind = entry.name.trim_start_matches("rms_norm_").split('_').next().unwrap_or_default();
    match kind {
        "sums" => return sums(entry),
        "finish" => {
            for (splits, cols) in [(0, 3), (1, 1), (5, 300)] {
                Norm::new(entry, 1, cols, 0).finish(entry, splits);
            }
            return;
        }
        _ => {}
    }
    let width = width(entry);
    let shapes = if is_wide(entry) {
        // Few columns, a rest of a warp's units, as many as a lane keeps, and more.
        [(9, width), (10, 33 * width), (8, 384 * width), (3, 392 * width)]
    } else {
        [(1, 1), (9, 33), (3, 300), (2, 1025)]
    };
    for (rows, cols) in shapes {
        let norm = Norm::new(entry, rows, cols, usize::from(!is_wide(entry)));
        match kind {
            "forward" => norm.forward(entry),
            "backward" => norm.backward(entry),
            other => panic!("no check of {other}"),
        }
    }
}

fn sums(entry: &Entry) {
    let (dtype, is_grouped) = (dtype(entry), value(entry, "form") == "grouped");
    for (rows, cols, split, offset) in SUMS {
        let number = if is_grouped { 3 } else { 1 };
        let [x, dy] = [1, 2].map(|seed| noise(rows * cols, seed, dtype));
        let inverse = noise(rows, 3, Dtype::F32);
        let (groups, splits) = (groups(rows, number), rows.div_ceil(split));
        let (counters, sums) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &x);
            let call = call.input(Dtype::F32, 0, &inverse).input(dtype, offset, &dy);
            let call = if is_grouped { call.indices(&groups) } else { call.null() };
            let call = call.output(Dtype::F32, 0, splits * number * cols);
            let call = call.output_if(is_grouped, splits * number * cols);
            call.size(rows).size(cols).size(split).run([cols.div_ceil(256), number, splits])
        });
        let terms: [&dyn Fn(usize) -> f64; 2] =
            [&|i| at(&dy, i) * at(&x, i) * at(&inverse, i / cols), &|i| at(&dy, i)];
        for (got, term) in sums.iter().zip(terms) {
            let want = by_split(split, rows, cols, &groups, number, term);
            near((&entry.name, rows, cols), Dtype::F32, got, &want);
        }
        measure_sums(entry, &counters, (rows, cols, offset), 2 * dtype.bytes());
    }
}

/// Heads of a joint sequence: which token stands where, and how far its features turn.
struct Heads {
    dtype: Dtype,
    n: usize,
    heads: usize,
    dim: usize,
    /// Pairs of a head that are rotated.
    half: usize,
    rows: Vec<usize>,
    qkv: Vec<f32>,
    weights: [Vec<f32>; 2],
    angles: Vec<f32>,
}

impl Heads {
    fn new(dtype: Dtype, n: usize, heads: usize, dim: usize, half: usize) -> Self {
        Self {
            dtype,
            n,
            heads,
            dim,
            half,
            // A permutation, so that the kernel writes every row.
            rows: (0..n).map(|i| n - 1 - i).collect(),
            qkv: noise(n * 3 * heads * dim, 1, dtype),
            weights: [2, 3].map(|seed| noise(dim, seed, dtype)),
            angles: noise(n * half, 4, Dtype::F32),
        }
    }

    /// The element of a part of the input.
    fn x(&self, token: usize, part: usize, head: usize, col: usize) -> f64 {
        at(&self.qkv, ((token * 3 + part) * self.heads + head) * self.dim + col)
    }

    fn inverse(&self, token: usize, part: usize, head: usize) -> f64 {
        let sum = (0..self.dim).map(|col| self.x(token, part, head, col).powi(2)).sum::<f64>();
        1.0 / (sum / self.dim as f64 + EPSILON).sqrt()
    }

    /// Cosine and sine of a pair at a joint place, as the tables hold them.
    fn turn(&self, place: usize, pair: usize) -> (f64, f64) {
        if pair >= self.half {
            return (1.0, 0.0);
        }
        let angle = self.angles[place * self.half + pair];
        (f64::from(angle.cos()), f64::from(angle.sin()))
    }

    fn tables(&self) -> [Vec<f32>; 2] {
        [f32::cos, f32::sin].map(|f| self.angles.iter().map(|angle| f(*angle)).collect())
    }

    /// Token at each joint place.
    fn token(&self, place: usize) -> usize {
        self.n - 1 - place
    }

    fn forward(&self, entry: &Entry) -> vincie_ptx::Counters {
        let Self { dtype, n, heads, dim, half, .. } = *self;
        let (offset, [cos, sin]) = (2, self.tables());
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &self.qkv);
            let call = call.input(dtype, 0, &self.weights[0]).input(dtype, 0, &self.weights[1]);
            let call = call.indices(&self.rows);
            let mut call = call.input(Dtype::F32, 0, &cos).input(Dtype::F32, 0, &sin);
            for _ in 0..3 {
                call = call.output(dtype, offset, n * heads * dim);
            }
            let call = call.output(Dtype::F32, 0, n * 2 * heads).size(n).size(heads).size(dim);
            let call = call.size(half).float(1.0 / dim as f64).float(EPSILON);
            call.run([(n * heads).div_ceil(8), 1, 1])
        });
        let each = |f: &dyn Fn(usize, usize, usize) -> (f64, f64)| -> Vec<(f64, f64)> {
            let place = |i: usize| (i / dim / heads, i / dim % heads, i % dim);
            (0..n * heads * dim).map(place).map(|(p, h, c)| f(p, h, c)).collect()
        };
        for (part, result) in results[..2].iter().enumerate() {
            let want = each(&|place, head, col| {
                let token = self.token(place);
                let inverse = self.inverse(token, part, head);
                let normed = |col: usize| {
                    self.x(token, part, head, col) * inverse * at(&self.weights[part], col)
                };
                let (a, b) = (normed(col & !1), normed(col | 1));
                let (cos, sin) = self.turn(place, col / 2);
                let y = if col & 1 == 0 { a * cos - b * sin } else { b * cos + a * sin };
                (y, 2e-6 * (a.abs() + b.abs()))
            });
            near((&entry.name, part), dtype, result, &want);
        }
        let want = each(&|place, head, col| (self.x(self.token(place), 2, head, col), 0.0));
        near((&entry.name, "v"), dtype, &results[2], &want);
        let want = (0..n * 2 * heads).map(|i| {
            let (place, part, head) = (i / heads / 2, i / heads % 2, i % heads);
            let inverse = self.inverse(self.token(place), part, head);
            (inverse, 2e-6 * inverse)
        });
        near((&entry.name, "rms"), Dtype::F32, &results[3], &want.collect::<Vec<_>>());
        counters
    }

    fn backward(&self, entry: &Entry) -> vincie_ptx::Counters {
        let Self { dtype, n, heads, dim, half, .. } = *self;
        let (offset, [cos, sin]) = (2, self.tables());
        let grads = [5, 6, 7].map(|seed| noise(n * heads * dim, seed, dtype));
        let inverse: Vec<f32> = (0..n * 2 * heads)
            .map(|i| self.inverse(self.token(i / heads / 2), i / heads % 2, i % heads) as f32)
            .collect();
        let ctas = (n * heads).div_ceil(64);
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &self.qkv);
            let call = call.input(dtype, 0, &self.weights[0]).input(dtype, 0, &self.weights[1]);
            let call = call.indices(&self.rows);
            let call = call.input(Dtype::F32, 0, &cos).input(Dtype::F32, 0, &sin);
            let mut call = call.input(Dtype::F32, 0, &inverse);
            for grad in &grads {
                call = call.input(dtype, offset, grad);
            }
            let call = call.output(dtype, offset, n * 3 * heads * dim);
            let call = call.output(Dtype::F32, 0, ctas * 2 * dim);
            let call = call.size(n).size(heads).size(dim).size(half).float(1.0 / dim as f64);
            call.run([ctas, 1, 1])
        });
        let mut d_weights = vec![(0.0, 0.0); ctas * 2 * dim];
        let mut want = vec![(0.0, 0.0); n * 3 * heads * dim];
        for token in 0..n {
            let place = self.token(token);
            for (head, part) in (0..heads).flat_map(|head| (0..3).map(move |part| (head, part))) {
                let grad = |col: usize| at(&grads[part], (place * heads + head) * dim + col);
                let to = ((token * 3 + part) * heads + head) * dim;
                if part == 2 {
                    (0..dim).for_each(|col| want[to + col] = (grad(col), 0.0));
                    continue;
                }
                let inverse = self.inverse(token, part, head);
                let n = |col: usize| self.x(token, part, head, col) * inverse;
                let back = |col: usize| {
                    let (a, b) = (grad(col & !1), grad(col | 1));
                    let (cos, sin) = self.turn(place, col / 2);
                    if col & 1 == 0 { a * cos + b * sin } else { b * cos - a * sin }
                };
                let g = |col: usize| back(col) * at(&self.weights[part], col);
                let (mean, _) = sum((0..dim).map(|col| g(col) * n(col) / dim as f64));
                for col in 0..dim {
                    let dx = (g(col) - n(col) * mean) * inverse;
                    want[to + col] = (dx, 1e-5 * inverse * (1.0 + n(col).abs()));
                    let cta = (token * heads + head) / 64;
                    let weight = &mut d_weights[(cta * 2 + part) * dim + col];
                    weight.0 += back(col) * n(col);
                    weight.1 += 1e-6 * (1.0 + n(col).abs());
                }
            }
        }
        near((&entry.name, n, dim), dtype, &results[0], &want);
        near((&entry.name, n, dim), Dtype::F32, &results[1], &d_weights);
        counters
    }
}

pub(crate) fn qk_norm_rotary(entry: &Entry) {
    let pairs: usize = value(entry, "PAIRS").parse().expect("a number");
    let dtype = dtype(entry);
    let whole = 64 * pairs;
    // One token; heads that lanes do not fill, partly rotated; full heads of more than a CTA.
    let problems = [
        Heads::new(dtype, 1, 1, whole - 62, 1),
        Heads::new(dtype, 5, 3, whole - 22, 13),
        Heads::new(dtype, 17, 4, whole, whole / 2),
    ];
    for problem in &problems {
        let is_forward = entry.name.contains("_forward_");
        let counters = match is_forward {
            true => problem.forward(entry),
            false => problem.backward(entry),
        };
        if problem.dim == whole {
            // Beside the tensors: tables and weights for each head, from the cache.
            let tensors = if is_forward { 6 } else { 9 };
            let head = whole * dtype.bytes() * (tensors + 2) + whole / 2 * 4 * 2 + 64;
            dense(&entry.name, &counters, problem.n * problem.heads * head, 25);
        }
    }
}
