//! Layer norm and softmax, by rows.

use crate::device::{Dtype, noise};
use crate::expect::{Call, dense, dtype, in_all_orders, is_wide, near, value, width};
use crate::rows::{SUMS, at, by_split, measure_sums};
use vincie_ptx::Counters;
use vincie_ptx::catalogue::Entry;

const EPSILON: f64 = 1e-6;

/// Few columns, a rest of a warp's units, as many as a lane keeps, and more.
fn shapes(entry: &Entry) -> Vec<(usize, usize)> {
    let width = width(entry);
    match is_wide(entry) {
        true => vec![(9, width), (10, 33 * width), (8, 384 * width), (3, 392 * width)],
        false => vec![(1, 1), (9, 33), (3, 300), (2, 1025)],
    }
}

/// Every tensor is read once where a lane keeps its row.
fn measure(entry: &Entry, counters: &Counters, elements: usize, tensors: usize) {
    if is_wide(entry) && elements >= 1 << 14 {
        dense(&entry.name, counters, elements * tensors * dtype(entry).bytes(), 5);
    }
}

/// Mean and inverse deviation of a row.
fn moments(x: &[f32]) -> (f64, f64) {
    let count = x.len() as f64;
    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    (mean, 1.0 / (variance + EPSILON).sqrt())
}

pub(crate) fn layer_norm(entry: &Entry) {
    if entry.name.starts_with("layer_norm_sums_") {
        return layer_norm_sums(entry);
    }
    let is_forward = entry.name.starts_with("layer_norm_forward_");
    assert!(is_forward || entry.name.starts_with("layer_norm_backward_"), "{}", entry.name);
    let (dtype, offset) = (dtype(entry), usize::from(!is_wide(entry)));
    let is_affine = value(entry, "form") == "affine";
    for (rows, cols) in shapes(entry) {
        // A mean far from 0 shows whether squares are taken around it.
        let x: Vec<f32> =
            noise(rows * cols, 1, dtype).into_iter().map(|x| dtype.round(x + 3.0)).collect();
        let dy = noise(rows * cols, 2, dtype);
        let [weight, bias] = [3, 4].map(|seed| is_affine.then(|| noise(cols, seed, dtype)));
        let of = |vector: &Option<Vec<f32>>, col: usize, none: f64| {
            vector.as_ref().map_or(none, |vector| at(vector, col))
        };
        let moments: Vec<(f64, f64)> = x.chunks(cols).map(moments).collect();
        let means: Vec<f32> = moments.iter().map(|(mean, _)| *mean as f32).collect();
        let inverses: Vec<f32> = moments.iter().map(|(_, inverse)| *inverse as f32).collect();
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &x);
            let call = call.optional(dtype, offset, weight.as_deref());
            let call = match is_forward {
                true => {
                    let call = call.optional(dtype, offset, bias.as_deref());
                    let call = call.output(dtype, offset, rows * cols);
                    call.output(Dtype::F32, 0, rows).output(Dtype::F32, 0, rows)
                }
                false => {
                    let call = call.input(Dtype::F32, 0, &means).input(Dtype::F32, 0, &inverses);
                    call.input(dtype, offset, &dy).output(dtype, offset, rows * cols)
                }
            };
            let call = call.size(rows).size(cols).float(1.0 / cols as f64);
            let call = if is_forward { call.float(EPSILON) } else { call };
            call.run([rows.div_ceil(8), 1, 1])
        });
        let mut want = Vec::new();
        for (row, (mean, inverse)) in moments.iter().enumerate() {
            let n = |col: usize| (at(&x, row * cols + col) - mean) * inverse;
            let g = |col: usize| at(&dy, row * cols + col) * of(&weight, col, 1.0);
            let average = |f: &dyn Fn(usize) -> f64| (0..cols).map(f).sum::<f64>() / cols as f64;
            let (of_g, of_product) = (average(&g), average(&|col| g(col) * n(col)));
            for col in 0..cols {
                // The mean is rounded in f32, and the deviation magnifies that.
                let slack = 4e-6 * inverse * (1.0 + n(col).abs());
                want.push(match is_forward {
                    true => {
                        let weight = of(&weight, col, 1.0);
                        (n(col) * weight + of(&bias, col, 0.0), slack.max(1e-6))
                    }
                    false => {
                        ((g(col) - of_g - n(col) * of_product) * inverse, slack * (1.0 + inverse))
                    }
                });
            }
        }
        near((&entry.name, rows, cols), dtype, &results[0], &want);
        if is_forward {
            let means: Vec<(f64, f64)> = moments.iter().map(|(mean, _)| (*mean, 1e-5)).collect();
            let inverses: Vec<(f64, f64)> =
                moments.iter().map(|(_, inverse)| (*inverse, 1e-5 * inverse)).collect();
            near(&entry.name, Dtype::F32, &results[1], &means);
            near(&entry.name, Dtype::F32, &results[2], &inverses);
        }
        if !is_affine {
            measure(entry, &counters, rows * cols, if is_forward { 2 } else { 3 });
        }
    }
}

fn layer_norm_sums(entry: &Entry) {
    let dtype = dtype(entry);
    for (rows, cols, split, offset) in SUMS {
        let [x, dy] = [1, 2].map(|seed| noise(rows * cols, seed, dtype));
        let [means, inverses] = [3, 4].map(|seed| noise(rows, seed, Dtype::F32));
        let splits = rows.div_ceil(split);
        let (counters, sums) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &x);
            let call = call.input(Dtype::F32, 0, &means).input(Dtype::F32, 0, &inverses);
            let call = call.input(dtype, offset, &dy);
            let call = call.output(Dtype::F32, 0, splits * cols);
            let call = call.output(Dtype::F32, 0, splits * cols);
            call.size(rows).size(cols).size(split).run([cols.div_ceil(256), 1, splits])
        });
        let normed = |i: usize| (at(&x, i) - at(&means, i / cols)) * at(&inverses, i / cols);
        let groups = vec![0; rows];
        let products = by_split(split, rows, cols, &groups, 1, |i| at(&dy, i) * normed(i));
        let products: Vec<_> = products.iter().map(|(sum, error)| (*sum, error + 1e-5)).collect();
        let shifts = by_split(split, rows, cols, &groups, 1, |i| at(&dy, i));
        near((&entry.name, rows, cols), Dtype::F32, &sums[0], &products);
        near((&entry.name, rows, cols), Dtype::F32, &sums[1], &shifts);
        measure_sums(entry, &counters, (rows, cols, offset), 2 * dtype.bytes());
    }
}

pub(crate) fn softmax(entry: &Entry) {
    let is_forward = entry.name.starts_with("softmax_forward_");
    assert!(is_forward || entry.name.starts_with("softmax_backward_"), "{}", entry.name);
    let (dtype, offset) = (dtype(entry), usize::from(!is_wide(entry)));
    let scale = 0.75;
    for (rows, cols) in shapes(entry) {
        let spread = if is_forward { 20.0 } else { 1.0 };
        let x: Vec<f32> =
            noise(rows * cols, 1, dtype).into_iter().map(|x| dtype.round(spread * x)).collect();
        let dy = noise(rows * cols, 2, dtype);
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name).input(dtype, offset, &x);
            let call = if is_forward { call } else { call.input(dtype, offset, &dy) };
            let call = call.output(dtype, offset, rows * cols).size(rows).size(cols);
            let factor = if is_forward { std::f64::consts::LOG2_E } else { 1.0 };
            call.float(scale * factor).run([rows.div_ceil(8), 1, 1])
        });
        let mut want = Vec::new();
        for (row, dy) in x.chunks(cols).zip(dy.chunks(cols)) {
            let y: Vec<f64> = match is_forward {
                true => row.iter().map(|x| (f64::from(*x) * scale).exp()).collect(),
                false => row.iter().map(|y| f64::from(*y)).collect(),
            };
            let sum: f64 = y.iter().sum();
            let dot: f64 = y.iter().zip(dy).map(|(y, dy)| y * f64::from(*dy)).sum();
            let size: f64 = y.iter().zip(dy).map(|(y, dy)| (y * f64::from(*dy)).abs()).sum();
            want.extend(y.iter().zip(dy).map(|(y, dy)| match is_forward {
                true => (y / sum, 1e-5 * y / sum),
                false => {
                    let slack = 2e-6 * y.abs() * (1.0 + size);
                    (scale * y * (f64::from(*dy) - dot), slack)
                }
            }));
        }
        near((&entry.name, rows, cols), dtype, &results[0], &want);
        measure(entry, &counters, rows * cols, if is_forward { 2 } else { 3 });
    }
}
