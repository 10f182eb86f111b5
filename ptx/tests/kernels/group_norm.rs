//! Group norm of frames, with and without SiLU.

use crate::device::{Dtype, noise};
use crate::expect::{Call, dense, dtype, in_all_orders, is_wide, near, sum};
use crate::rows::at;
use vincie_ptx::Counters;
use vincie_ptx::catalogue::Entry;

const EPSILON: f64 = 1e-6;

/// Pixels of a split, and those that a thread of a walk takes.
const SPLIT: usize = 128;
const PASSES: usize = 8;

/// What kernels of the op take, and the values between them.
struct Norm {
    dtype: Dtype,
    offset: usize,
    frames: usize,
    pixels: usize,
    cols: usize,
    groups: usize,
    is_silu: bool,
    x: Vec<f32>,
    dy: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    fn new(entry: &Entry, [frames, pixels, cols, groups]: [usize; 4], offset: usize) -> Self {
        let dtype = dtype(entry);
        // Far from zero, where sums of squares would lose the variance.
        let x = noise(frames * pixels * cols, 1, dtype);
        let x = x.into_iter().map(|x| dtype.round(x + 3.0)).collect();
        Self {
            dtype,
            offset,
            frames,
            pixels,
            cols,
            groups,
            is_silu: entry.variant.get("form").is_some_and(|form| form == "silu"),
            x,
            dy: noise(frames * pixels * cols, 2, dtype),
            weight: noise(cols, 3, dtype),
            bias: noise(cols, 4, dtype),
        }
    }

    fn each(&self) -> usize {
        self.cols / self.groups
    }

    fn splits(&self) -> usize {
        self.pixels.div_ceil(SPLIT)
    }

    fn count(&self) -> f64 {
        (self.pixels * self.each()) as f64
    }

    /// Places in `x` of a frame's group.
    fn group(&self, frame: usize, group: usize) -> impl Iterator<Item = usize> {
        let (pixels, cols, each) = (self.pixels, self.cols, self.each());
        let pixel = move |p: usize| (frame * pixels + p) * cols + group * each;
        (0..pixels).flat_map(move |p| (0..each).map(move |c| pixel(p) + c))
    }

    /// Mean and inverse deviation by frame and group.
    fn statistics(&self) -> Vec<f32> {
        let mut all = Vec::new();
        for (f, g) in self.all_groups() {
            let mean = self.group(f, g).map(|i| at(&self.x, i)).sum::<f64>() / self.count();
            let squares = self.group(f, g).map(|i| (at(&self.x, i) - mean).powi(2));
            let variance = squares.sum::<f64>() / self.count();
            all.extend([mean as f32, (1.0 / (variance + EPSILON).sqrt()) as f32]);
        }
        all
    }

    fn all_groups(&self) -> impl Iterator<Item = (usize, usize)> {
        let groups = self.groups;
        (0..self.frames).flat_map(move |f| (0..groups).map(move |g| (f, g)))
    }

    /// Place of the statistics of element `i`.
    fn of(&self, i: usize) -> usize {
        let frame = i / (self.pixels * self.cols);
        2 * (frame * self.groups + i % self.cols / self.each())
    }

    /// n and the gradient of z of element `i`.
    fn normed(&self, statistics: &[f32], i: usize) -> (f64, f64) {
        let of = self.of(i);
        let n = (at(&self.x, i) - at(statistics, of)) * at(statistics, of + 1);
        let z = n * at(&self.weight, i % self.cols) + at(&self.bias, i % self.cols);
        let s = 1.0 / (1.0 + (-z).exp());
        let slope = if self.is_silu { s + z * s * (1.0 - s) } else { 1.0 };
        (n, at(&self.dy, i) * slope)
    }

    /// Sums over the pixels of each split, by columns: `[frames, splits, cols]`.
    fn split_sums(&self, term: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
        let mut all = Vec::new();
        for f in 0..self.frames {
            for split in 0..self.splits() {
                let pixels = split * SPLIT..self.pixels.min((split + 1) * SPLIT);
                for c in 0..self.cols {
                    let place = |p: usize| (f * self.pixels + p) * self.cols + c;
                    all.push(sum(pixels.clone().map(|p| term(place(p)))));
                }
            }
        }
        all
    }

    /// Lanes of a CTA that walks pixels, the pixels it takes, and its grid.
    fn walk(&self, entry: &Entry) -> (usize, usize, [usize; 3]) {
        let width = if is_wide(entry) { 16 / self.dtype.bytes() } else { 1 };
        let units = self.cols / width;
        let lanes = units.min(256);
        let stretch = PASSES * (256 / lanes);
        (lanes, stretch, [units.div_ceil(lanes), self.frames, self.pixels.div_ceil(stretch)])
    }

    fn measure(&self, entry: &Entry, counters: &Counters, tensors: usize) {
        if self.x.len() >= 1 << 14 && (!entry.variant.contains_key("access") || is_wide(entry)) {
            let bytes = self.x.len() * tensors * self.dtype.bytes();
            dense(&entry.name, counters, bytes, 30);
        }
    }

    fn sums(&self, entry: &Entry) {
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let count = self.frames * self.splits() * self.cols;
            let call = Call::new(device, &entry.name).input(self.dtype, self.offset, &self.x);
            let call = call.output(Dtype::F32, 0, count).output(Dtype::F32, 0, count);
            let call = call.size(self.pixels).size(self.cols).size(SPLIT);
            call.run([self.cols.div_ceil(256), self.frames, self.splits()])
        });
        let frame = self.pixels * self.cols;
        let distance = |i: usize| at(&self.x, i) - at(&self.x, i / frame * frame + i % self.cols);
        near(&entry.name, Dtype::F32, &results[0], &self.split_sums(distance));
        let squares = self.split_sums(|i| distance(i).powi(2));
        near(&entry.name, Dtype::F32, &results[1], &squares);
        self.measure(entry, &counters, 1);
    }

    fn statistics_of(&self, entry: &Entry) {
        let frame = self.pixels * self.cols;
        let distance = |i: usize| at(&self.x, i) - at(&self.x, i / frame * frame + i % self.cols);
        let rounded = |sums: Vec<(f64, f64)>| -> Vec<f32> {
            sums.iter().map(|(sum, _)| *sum as f32).collect()
        };
        let sums = rounded(self.split_sums(distance));
        let squares = rounded(self.split_sums(|i| distance(i).powi(2)));
        let (_, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(self.dtype, self.offset, &self.x);
            let call = call.input(Dtype::F32, 0, &sums).input(Dtype::F32, 0, &squares);
            let call = call.output(Dtype::F32, 0, 2 * self.frames * self.groups);
            let call = call.size(self.pixels).size(self.cols).size(self.splits());
            let call = call.size(self.each()).float(self.count()).float(EPSILON);
            call.run([self.groups, self.frames, 1])
        });
        let want = self.statistics().into_iter().map(f64::from).map(|x| (x, 1e-6 * x.abs()));
        near(&entry.name, Dtype::F32, &results[0], &want.collect::<Vec<_>>());
    }

    fn forward(&self, entry: &Entry) {
        let statistics = self.statistics();
        let (lanes, stretch, grid) = self.walk(entry);
        let (dtype, offset) = (self.dtype, self.offset);
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &self.x);
            let call = call.input(dtype, offset, &self.weight).input(dtype, offset, &self.bias);
            let call = call.input(Dtype::F32, 0, &statistics).output(dtype, offset, self.x.len());
            let call = call.size(self.pixels).size(self.cols).size(self.groups);
            call.size(self.each()).size(lanes).size(stretch).run(grid)
        });
        let want = (0..self.x.len()).map(|i| {
            let (n, _) = self.normed(&statistics, i);
            let (scaled, bias) =
                (n * at(&self.weight, i % self.cols), at(&self.bias, i % self.cols));
            let z = scaled + bias;
            let y = if self.is_silu { z / (1.0 + (-z).exp()) } else { z };
            // The mean, in units of the deviation, is subtracted after it is rounded.
            (y, 2e-6 * (scaled.abs() + bias.abs() + 8.0))
        });
        near(&entry.name, dtype, &results[0], &want.collect::<Vec<_>>());
        self.measure(entry, &counters, 2);
    }

    fn backward_sums(&self, entry: &Entry) {
        let statistics = self.statistics();
        let (dtype, offset) = (self.dtype, self.offset);
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let count = self.frames * self.splits() * self.cols;
            let call = Call::new(device, &entry.name).input(dtype, offset, &self.x);
            let call = call.input(dtype, 0, &self.weight).input(dtype, 0, &self.bias);
            let call = call.input(Dtype::F32, 0, &statistics).input(dtype, offset, &self.dy);
            let call = call.output(Dtype::F32, 0, count).output(Dtype::F32, 0, count);
            let call = call.size(self.pixels).size(self.cols).size(SPLIT).size(self.groups);
            let call = call.size(self.each());
            call.run([self.cols.div_ceil(256), self.frames, self.splits()])
        });
        let loose = |(sum, error): (f64, f64)| (sum, error + 1e-5 * SPLIT as f64);
        let plain = self.split_sums(|i| self.normed(&statistics, i).1);
        let plain: Vec<_> = plain.into_iter().map(loose).collect();
        near(&entry.name, Dtype::F32, &results[0], &plain);
        let normed = self.split_sums(|i| {
            let (n, dz) = self.normed(&statistics, i);
            n * dz
        });
        let normed: Vec<_> = normed.into_iter().map(loose).collect();
        near(&entry.name, Dtype::F32, &results[1], &normed);
        self.measure(entry, &counters, 2);
    }

    fn means(&self, entry: &Entry) {
        let count = self.frames * self.splits() * self.cols;
        let [plain, normed] = [5, 6].map(|seed| noise(count, seed, Dtype::F32));
        let (_, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(self.dtype, self.offset, &self.weight);
            let call = call.input(Dtype::F32, 0, &plain).input(Dtype::F32, 0, &normed);
            let call = call.output(Dtype::F32, 0, 2 * self.frames * self.groups);
            let call = call.size(self.cols).size(self.splits()).size(self.each());
            call.float(self.count()).run([self.groups, self.frames, 1])
        });
        let mut want = Vec::new();
        for (f, g) in self.all_groups() {
            for sums in [&plain, &normed] {
                let terms = (0..self.splits() * self.each()).map(|i| {
                    let c = g * self.each() + i % self.each();
                    let place = (f * self.splits() + i / self.each()) * self.cols + c;
                    at(&self.weight, c) * at(sums, place)
                });
                let (value, error) = sum(terms);
                want.push((value / self.count(), error / self.count()));
            }
        }
        near(&entry.name, Dtype::F32, &results[0], &want);
    }

    fn backward(&self, entry: &Entry) {
        let statistics = self.statistics();
        let means = noise(2 * self.frames * self.groups, 7, Dtype::F32);
        let (lanes, stretch, grid) = self.walk(entry);
        let (dtype, offset) = (self.dtype, self.offset);
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &self.x);
            let call = call.input(dtype, offset, &self.weight).input(dtype, offset, &self.bias);
            let call = call.input(Dtype::F32, 0, &statistics).input(Dtype::F32, 0, &means);
            let call = call.input(dtype, offset, &self.dy).output(dtype, offset, self.x.len());
            let call = call.size(self.pixels).size(self.cols).size(self.groups);
            call.size(self.each()).size(lanes).size(stretch).run(grid)
        });
        let want = (0..self.x.len()).map(|i| {
            let (n, dz) = self.normed(&statistics, i);
            let (inverse, g) =
                (at(&statistics, self.of(i) + 1), dz * at(&self.weight, i % self.cols));
            let (plain, normed) = (at(&means, self.of(i)), at(&means, self.of(i) + 1));
            let size = inverse * (g.abs() + plain.abs() + (n.abs() + 8.0) * normed.abs());
            (inverse * (g - plain - n * normed), 1e-5 * size)
        });
        near(&entry.name, dtype, &results[0], &want.collect::<Vec<_>>());
        self.measure(entry, &counters, 3);
    }
}

/// Every kernel of the op.
pub(crate) fn group_norm(entry: &Entry) {
    let is_aligned = entry.variant.get("access").is_none_or(|access| access == "wide");
    let shapes: &[[usize; 4]] = match is_aligned {
        true => &[[2, 5, 16, 4], [1, 300, 64, 8], [2, 130, 264, 33]],
        false => &[[2, 5, 6, 3], [1, 150, 33, 11], [1, 3, 300, 2]],
    };
    for &shape in shapes {
        let norm = Norm::new(entry, shape, if is_aligned { 0 } else { 1 });
        let kernel = entry.name.strip_prefix("group_norm_").unwrap_or_default();
        match kernel.split('_').next() {
            Some("sums") => norm.sums(entry),
            Some("statistics") => norm.statistics_of(entry),
            Some("forward") => norm.forward(entry),
            Some("means") => norm.means(entry),
            Some("backward") if entry.variant.contains_key("access") => norm.backward(entry),
            Some("backward") => norm.backward_sums(entry),
            other => panic!("{}: {other:?}", entry.name),
        }
    }
    if !entry.variant.contains_key("access") {
        // The kernels that sum go by elements where rows are no multiples of 16 bytes.
        let norm = Norm::new(entry, [2, 140, 35, 5], 1);
        match entry.name.split('_').nth(2) {
            Some("sums") => norm.sums(entry),
            Some("backward") => norm.backward_sums(entry),
            _ => {}
        }
    }
}
