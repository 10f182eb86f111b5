//! Kernels that change parameters in place: AdamW, averages, clipping.

use crate::device::{Arg, Dtype, Rows, noise};
use crate::expect::{dense, in_all_orders, is_wide, named, near, value};
use vincie_ptx::catalogue::Entry;

const KEEP: f32 = 0.99;
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.95;
const RATE: f32 = 0.01;
const CORRECTION: f32 = 3.0;
const EPSILON: f32 = 1e-6;

/// Counts without and with wide accesses, the last of which is measured.
fn counts(entry: &Entry) -> [usize; 3] {
    if is_wide(entry) { [4, 1028, 8192] } else { [1, 259, 2048] }
}

fn grid(entry: &Entry, count: usize) -> [u32; 3] {
    let threads = if is_wide(entry) { count / 4 } else { count };
    [threads.div_ceil(256) as u32, 1, 1]
}

pub(crate) fn adamw(entry: &Entry) {
    let gradient = named(entry, "gradient");
    let has_master = value(entry, "weights") == "master";
    for (count, keep_at, scale) in
        counts(entry).into_iter().zip([0, 7, 0]).flat_map(|(c, k)| [(c, k, 0.5), (c, k, f32::NAN)])
    {
        let rows = Rows { offset: usize::from(!is_wide(entry)), ..Rows::dense(1, count) };
        let g = noise(count, 1, gradient);
        let [p, m, v] = [2, 3, 4].map(|seed| noise(count, seed, Dtype::F32));
        let v: Vec<f32> = v.into_iter().map(f32::abs).collect();
        let constants = [KEEP, 1.0 - BETA1, BETA2, 1.0 - BETA2, RATE, CORRECTION, EPSILON, 1.0]
            .map(f32::to_bits);
        let (counters, got) = in_all_orders(&entry.name, |device| {
            let on_g = device.upload(gradient, rows, &g);
            let state = [&p, &m, &v].map(|x| device.upload(Dtype::F32, rows, x));
            let rounded = device.upload(Dtype::Bf16, rows, &p);
            let mut args = vec![Arg::U64(on_g.at())];
            args.extend(state.iter().map(|placed| Arg::U64(placed.at())));
            args.push(Arg::U64(if has_master { rounded.at() } else { 0 }));
            args.push(Arg::U64(device.table(&constants)));
            args.push(Arg::U64(device.table(&[0, scale.to_bits()])));
            args.extend([Arg::U32(count as u32), Arg::U32(keep_at)]);
            let counters = device.launch(&entry.name, grid(entry, count), &args);
            let [p, m, v] = state.map(|placed| device.download(&placed));
            (counters, [p, m, v, device.download(&rounded)])
        });
        if scale.is_nan() {
            assert_eq!(got[..3], [p, m, v], "{}: a step without a factor", entry.name);
            continue;
        }
        let f = f64::from;
        let mut want = vec![Vec::new(); 3];
        for at in 0..count {
            let keep = if keep_at == 0 { f(KEEP) } else { 1.0 };
            let g = f(g[at]) * f(scale);
            let first = f(m[at]) + (g - f(m[at])) * f(1.0 - BETA1);
            let second = f(v[at]) * f(BETA2) + g * g * f(1.0 - BETA2);
            let step = f(RATE) * first / (second.sqrt() * f(CORRECTION) + f(EPSILON));
            want[0].push((f(p[at]) * keep - step, 1e-6 * (f(p[at]).abs() + step.abs())));
            want[1].push((first, 3e-7));
            want[2].push((second, 3e-7 * second));
        }
        for (got, want) in got.iter().zip(&want) {
            near((&entry.name, count), Dtype::F32, got, want);
        }
        if has_master {
            let rounded: Vec<f32> = got[0].iter().map(|x| Dtype::Bf16.round(*x)).collect();
            assert_eq!(got[3], rounded, "{}", entry.name);
        }
        if count == counts(entry)[2] {
            let bytes = gradient.bytes() + 6 * 4 + if has_master { 2 } else { 0 };
            // Every warp reads the constants, which stay in the cache.
            dense(&entry.name, &counters, count * bytes, if is_wide(entry) { 20 } else { 60 });
        }
    }
}

pub(crate) fn ema(entry: &Entry) {
    let dtype = named(entry, "dtype");
    for count in counts(entry) {
        let rows = Rows { offset: usize::from(!is_wide(entry)), ..Rows::dense(1, count) };
        let (x, average) = (noise(count, 1, dtype), noise(count, 2, Dtype::F32));
        let (counters, got) = in_all_orders(&entry.name, |device| {
            let on_x = device.upload(dtype, rows, &x);
            let on_average = device.upload(Dtype::F32, rows, &average);
            let args = [
                Arg::U64(on_x.at()),
                Arg::U64(on_average.at()),
                Arg::U32(count as u32),
                Arg::F32(0.25),
            ];
            let counters = device.launch(&entry.name, grid(entry, count), &args);
            (counters, device.download(&on_average))
        });
        let all = x.iter().zip(&average).map(|(x, a)| (f64::from(*x), f64::from(*a)));
        let want: Vec<(f64, f64)> = all.map(|(x, a)| (a + 0.25 * (x - a), 3e-7)).collect();
        near((&entry.name, count), Dtype::F32, &got, &want);
        if count == counts(entry)[2] {
            let percent = if is_wide(entry) { 0 } else { 50 };
            dense(&entry.name, &counters, count * (dtype.bytes() + 8), percent);
        }
    }
}

pub(crate) fn clip(entry: &Entry) {
    assert_eq!(entry.name, "clip_finish");
    for (tensors, most) in [(0, 1.0), (1, 0.1), (33, 100.0), (70, 0.5)] {
        let squares: Vec<f32> = noise(tensors, 1, Dtype::F32).into_iter().map(f32::abs).collect();
        let norm = squares.iter().map(|x| f64::from(*x)).sum::<f64>().sqrt();
        let got = finish(entry, &squares, most);
        let factor = (f64::from(most) / norm.max(1e-12)).min(1.0);
        near((&entry.name, tensors), Dtype::F32, &got, &[(norm, 1e-6 * norm), (factor, 1e-6)]);
    }
    for bad in [f32::NAN, f32::INFINITY] {
        assert!(finish(entry, &[1.0, bad], 1.0)[1].is_nan());
    }
}

fn finish(entry: &Entry, squares: &[f32], most: f32) -> Vec<f32> {
    let bits = in_all_orders(&entry.name, |device| {
        let words: Vec<u32> = squares.iter().map(|x| x.to_bits()).collect();
        let clip = device.result(Dtype::F32, Rows::dense(1, 2));
        let args = [
            Arg::U64(device.table(&words)),
            Arg::U64(clip.at()),
            Arg::U32(squares.len() as u32),
            Arg::F32(most),
        ];
        device.launch(&entry.name, [1, 1, 1], &args);
        device.download(&clip).into_iter().map(f32::to_bits).collect::<Vec<_>>()
    });
    bits.into_iter().map(f32::from_bits).collect()
}
