//! Products of gathered pixels, and the gradient of their weights.

use crate::device::{Arg, Dtype, Rows, noise};
use crate::expect::{Call, in_all_orders, near, sum, value};
use vincie_ptx::Counters;
use vincie_ptx::catalogue::Entry;

/// Rows and terms, as `include/gather.ptx` describes them.
#[derive(Clone, Debug)]
struct Lattice {
    batch: usize,
    size: [usize; 3],
    origin: [usize; 3],
    step: [usize; 3],
    scale: [usize; 3],
    to: [usize; 3],
    from: [usize; 3],
    repeats_first: bool,
    /// Shifts and taps.
    terms: Vec<([i32; 3], usize)>,
}

impl Lattice {
    /// A convolution with zeros around it: of a clip with a copy of its first frame before it,
    /// or with a stride of 2.
    fn forward(is_sparse: bool) -> Self {
        let (kernel, from, to) = match is_sparse {
            false => ([2, 2, 2], [2, 5, 7], [2, 5, 7]),
            true => ([1, 3, 2], [2, 6, 9], [2, 3, 4]),
        };
        let front = kernel[0] - 1;
        let mut terms = Vec::new();
        for tap in 0..kernel.iter().product::<i32>() {
            let [t, h, w] =
                [tap / kernel[1] / kernel[2], tap / kernel[2] % kernel[1], tap % kernel[2]];
            terms.push(([t - front, h - 1, w - 1], tap as usize));
        }
        let scale = if is_sparse { [1, 2, 2] } else { [1; 3] };
        let (origin, step) = ([0; 3], [1; 3]);
        Self { batch: 2, size: to, origin, step, scale, to, from, repeats_first: true, terms }
    }

    /// One phase of the gradient of a convolution with a stride of 2.
    fn backward() -> Self {
        let terms = vec![([0, 0, 0], 4), ([1, -1, 0], 0), ([0, 0, 1], 7), ([-1, -1, -1], 2)];
        Self {
            batch: 2,
            size: [2, 4, 9],
            origin: [1, 0, 1],
            step: [1, 2, 2],
            scale: [1; 3],
            to: [3, 7, 18],
            from: [3, 4, 9],
            repeats_first: false,
            terms,
        }
    }

    fn rows(&self) -> usize {
        self.batch * self.size.iter().product::<usize>()
    }

    fn pixels(&self, size: [usize; 3]) -> usize {
        self.batch * size.iter().product::<usize>()
    }

    fn taps(&self) -> usize {
        self.terms.iter().map(|(_, tap)| tap + 1).max().unwrap_or(0)
    }

    fn place(&self, row: usize) -> [usize; 4] {
        let [frames, height, width] = self.size;
        let frame = row / width / height;
        [frame / frames, frame % frames, row / width % height, row % width]
    }

    /// The pixel that a row is written to.
    fn target(&self, row: usize) -> usize {
        let [clip, place @ ..] = self.place(row);
        let at = |axis: usize| self.origin[axis] + self.step[axis] * place[axis];
        ((clip * self.to[0] + at(0)) * self.to[1] + at(1)) * self.to[2] + at(2)
    }

    /// The pixel that a term reads.
    fn read(&self, row: usize, shift: [i32; 3]) -> Option<usize> {
        let [clip, place @ ..] = self.place(row);
        let at = |axis: usize| place[axis] as i32 * self.scale[axis] as i32 + shift[axis];
        let first = if self.repeats_first { at(0).max(0) } else { at(0) };
        let mut pixel = clip;
        for (at, size) in [first, at(1), at(2)].into_iter().zip(self.from) {
            pixel = pixel * size + usize::try_from(at).ok().filter(|&at| at < size)?;
        }
        Some(pixel)
    }

    fn words(&self) -> Vec<u32> {
        let all = [self.size, self.origin, self.step, self.scale, self.to, self.from];
        let mut words: Vec<u32> = all.iter().flatten().map(|&word| word as u32).collect();
        words.extend([u32::from(self.repeats_first), 0]);
        for size in self.size.into_iter().rev() {
            let shift = 31 + size.next_power_of_two().trailing_zeros();
            words.extend([(1u64 << shift).div_ceil(size as u64) as u32, shift]);
        }
        words.resize(32, 0);
        for (shift, tap) in &self.terms {
            words.extend(shift.map(i32::cast_unsigned));
            words.push(*tap as u32);
        }
        words
    }
}

/// Sizes of a kernel's tile.
fn tile(entry: &Entry) -> (usize, usize) {
    match value(entry, "tile").split_once('x') {
        Some((m, n)) => (m.parse().expect("a number"), n.parse().expect("a number")),
        None => (64, 64),
    }
}

fn dtype(entry: &Entry) -> Dtype {
    if entry.name.contains("_bf16_") { Dtype::Bf16 } else { Dtype::F32 }
}

/// Channels on either side, with and without rests of a tile.
fn widths(entry: &Entry) -> [[usize; 2]; 2] {
    match value(entry, "tile") {
        "any" => [[45, 70], [3, 5]],
        _ => [[72, 16], [8, 72]],
    }
}

/// Every kernel of the op.
pub(crate) fn convolution(entry: &Entry) {
    for ([k, n], is_sparse) in widths(entry).into_iter().zip([false, true]) {
        if entry.name.starts_with("convolution_weight") {
            weight(entry, &Lattice::forward(is_sparse), k, n);
        } else if value(entry, "pass") == "forward" {
            gather(entry, &Lattice::forward(is_sparse), k, n);
        } else {
            gather(entry, &Lattice::backward(), k, n);
        }
    }
    if value(entry, "tile") != "any" {
        measure(entry);
    }
}

fn gather(entry: &Entry, lattice: &Lattice, k: usize, n: usize) -> Counters {
    let (dtype, m, taps) = (dtype(entry), lattice.rows(), lattice.taps());
    let is_forward = value(entry, "pass") == "forward";
    let source = noise(lattice.pixels(lattice.from) * k, 1, dtype);
    let weight = noise(n * taps * k, 2, dtype);
    let bias = noise(n, 3, Dtype::F32);
    let (tile_m, tile_n) = tile(entry);
    let grid = [m.div_ceil(tile_m) * n.div_ceil(tile_n), 1, 1];
    let place = |filter: usize, tap: usize, channel: usize| match is_forward {
        true => (filter * taps + tap) * k + channel,
        false => (channel * taps + tap) * n + filter,
    };
    // What no row is written to keeps its values.
    let old = noise(lattice.pixels(lattice.to) * n, 4, dtype);
    let mut want: Vec<(f64, f64)> = old.iter().map(|old| (f64::from(*old), 0.0)).collect();
    for row in 0..m {
        let read = |&(shift, tap): &([i32; 3], usize)| Some((lattice.read(row, shift)?, tap));
        let pixels: Vec<(usize, usize)> = lattice.terms.iter().filter_map(read).collect();
        for filter in 0..n {
            let products = pixels.iter().flat_map(|&(pixel, tap)| {
                let from = source[pixel * k..][..k].iter().enumerate();
                let (weight, place) = (&weight, &place);
                from.map(move |(c, from)| {
                    f64::from(*from) * f64::from(weight[place(filter, tap, c)])
                })
            });
            let (value, error) = sum(products.chain([f64::from(bias[filter])]));
            // Tensor cores cut off bits where others round.
            want[lattice.target(row) * n + filter] = (value, 2.0 * error);
        }
    }
    let (counters, got) = in_all_orders(&entry.name, |device| {
        let table = device.table(&lattice.words());
        let written = device.upload(dtype, Rows::dense(1, old.len()), &old);
        let call = Call::new(device, &entry.name).input(dtype, 0, &source);
        let call = call.input(dtype, 0, &weight).input(Dtype::F32, 0, &bias);
        let call = call.arg(Arg::U64(written.at())).arg(Arg::U64(table));
        let call = call.size(m).size(n).size(k).size(lattice.terms.len()).size(taps).size(1);
        let (counters, _) = call.run(grid);
        (counters, device.download(&written))
    });
    near((&entry.name, lattice, k, n), dtype, &got, &want);
    counters
}

fn weight(entry: &Entry, lattice: &Lattice, m: usize, n: usize) -> Counters {
    let (dtype, pixels, taps) = (dtype(entry), lattice.rows(), lattice.taps());
    let source = noise(lattice.pixels(lattice.from) * n, 1, dtype);
    let gradient = noise(pixels * m, 2, dtype);
    let part = if pixels > 64 { 64 } else { 32 };
    let parts = pixels.div_ceil(part);
    let (tile_m, tile_n) = tile(entry);
    let grid = [m.div_ceil(tile_m) * n.div_ceil(tile_n), taps, parts];
    let (counters, got) = in_all_orders(&entry.name, |device| {
        let table = device.table(&lattice.words());
        let call = Call::new(device, &entry.name).input(dtype, 0, &source);
        let call = call.input(dtype, 0, &gradient).output(Dtype::F32, 0, parts * m * taps * n);
        let call = call.arg(Arg::U64(table)).size(m).size(n).size(pixels).size(part).size(taps);
        call.run(grid)
    });
    let mut want = Vec::new();
    for first in (0..pixels).step_by(part) {
        let rows = first..pixels.min(first + part);
        for filter in 0..m {
            for &(shift, _) in &lattice.terms {
                for channel in 0..n {
                    let products = rows.clone().filter_map(|row| {
                        let pixel = lattice.read(row, shift)?;
                        let from = f64::from(source[pixel * n + channel]);
                        Some(from * f64::from(gradient[row * m + filter]))
                    });
                    let (value, error) = sum(products);
                    want.push((value, 2.0 * error));
                }
            }
        }
    }
    near((&entry.name, lattice, m, n), Dtype::F32, &got[0], &want);
    counters
}

/// Whole tiles of neighbouring pixels: copies and fragments meet in no bank, and device memory is read in
/// whole sectors. The notes of rows, once a term, are read by eight lanes at a time, which counts four
/// times.
fn measure(entry: &Entry) {
    let terms = (0..3).map(|tap| ([0, 0, tap - 1], tap as usize)).collect();
    let (rows, cols) = tile(entry);
    let size = [1, rows / 8, 16];
    let lattice = Lattice {
        batch: 1,
        size,
        origin: [0; 3],
        step: [1; 3],
        scale: [1; 3],
        to: size,
        from: size,
        repeats_first: true,
        terms,
    };
    let counters = if entry.name.starts_with("convolution_weight") {
        weight(entry, &lattice, rows, cols)
    } else {
        gather(entry, &lattice, 64, cols)
    };
    let (got, ideal) = (counters.global_sectors, counters.global_sectors_ideal);
    assert!(100 * got <= 105 * ideal, "{}: {got} sectors; dense {ideal}", entry.name);
    if dtype(entry) == Dtype::Bf16 {
        let (got, ideal) = (counters.shared_wavefronts, counters.shared_wavefronts_ideal);
        assert!(100 * got <= 115 * ideal, "{}: {got} passes, ideal {ideal}", entry.name);
    }
}
