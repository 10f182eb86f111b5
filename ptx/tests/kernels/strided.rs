//! Kernels that walk tensors at steps of their own.

use crate::device::{Arg, Device, Dtype, Rows, noise};
use crate::elementwise::combine;
use crate::expect::{Call, dense, dtype, in_all_orders, near, value};
use vincie_ptx::catalogue::{Entry, find};

/// Sizes of the axes that tests use, innermost last.
const SIZES: [usize; 6] = [3, 2, 5, 4, 2, 11];

/// A walk over a tensor: sizes, and a step an axis for each tensor.
struct Walk {
    sizes: Vec<usize>,
    steps: Vec<Vec<usize>>,
}

impl Walk {
    /// The last `rank` sizes; tensors follow with their steps.
    fn new(rank: usize) -> Self {
        Self { sizes: SIZES[6 - rank..].to_vec(), steps: Vec::new() }
    }

    fn count(&self) -> usize {
        self.sizes.iter().product()
    }

    /// A tensor without gaps whose axes lie in this order in memory, the outermost first.
    fn ordered(mut self, order: &[usize]) -> Self {
        let mut steps = vec![0; self.sizes.len()];
        let mut step = 1;
        for &axis in order.iter().rev() {
            steps[axis] = step;
            step *= self.sizes[axis];
        }
        self.steps.push(steps);
        self
    }

    /// A row-major tensor.
    fn in_order(self) -> Self {
        let order: Vec<usize> = (0..self.sizes.len()).collect();
        self.ordered(&order)
    }

    /// A tensor whose axes lie the other way round.
    fn reversed(self) -> Self {
        let order: Vec<usize> = (0..self.sizes.len()).rev().collect();
        self.ordered(&order)
    }

    /// A vector along the innermost axis that repeats along all others.
    fn repeated(mut self) -> Self {
        let mut steps = vec![0; self.sizes.len()];
        *steps.last_mut().expect("an axis") = 1;
        self.steps.push(steps);
        self
    }

    /// Places of every element in a tensor, in row-major order of the walk.
    fn places(&self, tensor: usize) -> Vec<usize> {
        let mut places = vec![0];
        for (&size, &step) in self.sizes.iter().zip(&self.steps[tensor]) {
            places = places.iter().flat_map(|at| (0..size).map(move |i| at + i * step)).collect();
        }
        places
    }

    fn args(&self) -> Vec<Arg> {
        let mut args = vec![Arg::U32(self.count() as u32)];
        for (axis, &size) in self.sizes.iter().enumerate() {
            args.push(Arg::U32(size as u32));
            args.extend(self.steps.iter().map(|steps| Arg::U32(steps[axis] as u32)));
        }
        args
    }

    fn grid(&self) -> [u32; 3] {
        [self.count().div_ceil(256) as u32, 1, 1]
    }
}

fn rank(entry: &Entry) -> usize {
    value(entry, "rank").parse().expect("a number")
}

/// `y = a op b` of a tensor turned round and one that repeats.
pub(crate) fn binary(entry: &Entry) {
    let (dtype, op) = (dtype(entry), value(entry, "op"));
    let walk = Walk::new(rank(entry)).reversed().repeated();
    let (a, b) = (noise(walk.count(), 1, dtype), noise(walk.count(), 2, dtype));
    let y = in_all_orders(&entry.name, |device| {
        let rows = Rows { offset: 1, ..Rows::dense(1, walk.count()) };
        let y = device.result(dtype, rows);
        let mut args = vec![Arg::U64(y.at())];
        for input in [&a, &b] {
            args.push(Arg::U64(device.upload(dtype, rows, input).at()));
        }
        args.extend(walk.args());
        device.launch(&entry.name, walk.grid(), &args);
        device.download(&y)
    });
    let want: Vec<(f64, f64)> = walk
        .places(0)
        .into_iter()
        .zip(walk.places(1))
        .map(|(i, j)| (combine(op, f64::from(a[i]), f64::from(b[j])), 0.0))
        .collect();
    near(&entry.name, dtype, &y, &want);
}

/// Bytes of the unit of a copy.
fn unit(entry: &Entry) -> usize {
    let bits: usize = value(entry, "unit")[1..].parse().expect("a number of bits");
    bits / 8
}

/// Copies bytes; returns what the counters say.
fn copy_bytes(device: &mut Device, entry: &Entry, walk: &Walk) -> vincie_ptx::Counters {
    let bytes = unit(entry);
    let size = |steps: &[usize]| {
        let last: usize = walk.sizes.iter().zip(steps).map(|(size, step)| (size - 1) * step).sum();
        (last + 1) * bytes
    };
    let from: Vec<u8> = (0..size(&walk.steps[1])).map(|i| (i % 251) as u8 + 1).collect();
    let (to, at) = (device.blank(size(&walk.steps[0])), device.bytes(&from));
    let mut args = vec![Arg::U64(to.0), Arg::U64(at.0)];
    args.extend(walk.args());
    let counters = device.launch(&entry.name, walk.grid(), &args);
    let got = device.read(to, size(&walk.steps[0]));
    for (to, at) in walk.places(0).into_iter().zip(walk.places(1)) {
        let (got, want) = (&got[to * bytes..][..bytes], &from[at * bytes..][..bytes]);
        assert_eq!(got, want, "{} [{to}]", entry.name);
    }
    counters
}

pub(crate) fn copy(entry: &Entry) {
    let rank = rank(entry);
    let walk = Walk::new(rank).in_order().reversed();
    in_all_orders(&entry.name, |device| copy_bytes(device, entry, &walk));
    let walk = Walk::new(rank).reversed().repeated();
    in_all_orders(&entry.name, |device| copy_bytes(device, entry, &walk));
    // Long rows into every second one of a wider tensor, as when keys join a cache.
    let mut walk = Walk { sizes: vec![1; rank], steps: vec![vec![0; rank]; 2] };
    walk.sizes[rank - 1] = 256;
    walk.steps.iter_mut().for_each(|steps| steps[rank - 1] = 1);
    if rank > 1 {
        walk.sizes[rank - 2] = 8;
        (walk.steps[0][rank - 2], walk.steps[1][rank - 2]) = (512, 256);
    }
    let counters = copy_bytes(&mut Device::new(crate::device::ORDERS[0]), entry, &walk);
    dense(&entry.name, &counters, 2 * walk.count() * unit(entry), 0);
}

/// Patches of 2 x 2 of latents, the axes as the host joins them: runs of `channels` bf16 pairs stay.
#[test]
fn patches_are_copied_in_whole_runs() {
    for (unit, channels, percent) in [("b128", 16, 0), ("b32", 33, 50)] {
        let entry = find(&format!("copy_strided_{unit}_r4")).expect("a kernel");
        let run = 2 * channels * 2 / self::unit(entry);
        let walk = Walk { sizes: vec![8, 12, 2, run], steps: Vec::new() };
        let walk = walk.in_order().ordered(&[0, 2, 1, 3]);
        let counters = in_all_orders(unit, |device| copy_bytes(device, entry, &walk));
        dense(unit, &counters, 2 * walk.count() * self::unit(entry), percent);
    }
}

pub(crate) fn cast(entry: &Entry) {
    if entry.name.starts_with("cast_wide_") {
        return cast_wide(entry);
    }
    let (from, to) = (value(entry, "from"), value(entry, "to"));
    let to = if to == "bf16" { Dtype::Bf16 } else { Dtype::F32 };
    let walk = Walk::new(rank(entry)).reversed();
    let count = walk.count();
    let values: Vec<f32> = match from {
        "u8" => (0..count).map(|i| (i % 256) as f32).collect(),
        "s32" => (0..count).map(|i| i as f32 * 1e5 - 3e6).collect(),
        "f32" => noise(count, 1, Dtype::F32),
        "bf16" => noise(count, 1, Dtype::Bf16),
        other => panic!("{} casts from {other}", entry.name),
    };
    let bytes: Vec<u8> = match from {
        "u8" => values.iter().map(|x| *x as u8).collect(),
        "s32" => values.iter().flat_map(|x| (*x as i32).to_le_bytes()).collect(),
        "f32" => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect(),
    };
    let got = in_all_orders(&entry.name, |device| {
        let y = device.result(to, Rows { offset: 1, ..Rows::dense(1, count) });
        let mut args = vec![Arg::U64(y.at()), Arg::U64(device.bytes(&bytes).0)];
        args.extend(walk.args());
        device.launch(&entry.name, walk.grid(), &args);
        device.download(&y)
    });
    let want: Vec<f32> = walk.places(0).into_iter().map(|at| to.round(values[at])).collect();
    assert_eq!(got, want, "{}", entry.name);
}

/// Casts without gaps: a rest that is no unit, and a CTA that is not full.
fn cast_wide(entry: &Entry) {
    let (from, to, elements) = match value(entry, "pair") {
        "f32_bf16" => (Dtype::F32, Dtype::Bf16, 2048),
        "bf16_f32" => (Dtype::Bf16, Dtype::F32, 4096),
        other => panic!("{} casts {other}", entry.name),
    };
    for count in [1, 3, 1027, 4096, 8195] {
        let x = noise(count, 1, from);
        let (counters, y) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).output(to, 0, count);
            call.input(from, 0, &x).size(count).run([count.div_ceil(elements), 1, 1])
        });
        let want: Vec<f32> = x.iter().map(|x| to.round(*x)).collect();
        assert_eq!(y[0], want, "{} {count}", entry.name);
        if count == 4096 {
            dense(&entry.name, &counters, count * 6, 0);
        }
    }
}
