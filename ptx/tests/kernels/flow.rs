//! The straight path between data and noise: mixing, and what follows from a velocity.

use crate::device::{Dtype, noise};
use crate::expect::{Call, dense, dtype, in_all_orders, is_wide, value, width};
use crate::rows::shapes;
use vincie_ptx::catalogue::Entry;

pub(crate) fn flow(entry: &Entry) {
    if !entry.name.starts_with("flow_mix_") {
        return convert(entry);
    }
    let has_velocity = value(entry, "form") == "velocity";
    check(entry, has_velocity, |data, noise, share| {
        vec![(1.0 - share) * data + share * noise, noise - data]
    });
}

fn convert(entry: &Entry) {
    let function = value(entry, "function").to_owned();
    check(entry, false, |a, b, factor| match &function[..] {
        "move" => vec![a + factor * b],
        "velocity" => vec![(a - b) * factor],
        other => panic!("no reference of {other}"),
    });
}

/// Operations are rounded one by one, so that results have the bits of `reference`, rounded.
fn check(entry: &Entry, has_second: bool, reference: impl Fn(f32, f32, f32) -> Vec<f32>) {
    let (dtype, offset) = (dtype(entry), usize::from(!is_wide(entry)));
    let is_mix = entry.name.starts_with("flow_mix_");
    for (rows, cols) in shapes(entry) {
        let [a, b] = [1, 2].map(|seed| noise(rows * cols, seed, dtype));
        let factors: Vec<f32> = noise(rows, 3, Dtype::F32).into_iter().map(f32::abs).collect();
        let (counters, results) = in_all_orders(&entry.name, |device| {
            let call = Call::new(device, &entry.name);
            let call = call.input(dtype, offset, &a).input(dtype, offset, &b);
            let call = call.input(Dtype::F32, 0, &factors).output(dtype, offset, rows * cols);
            let call = match (is_mix, has_second) {
                (false, _) => call,
                (true, false) => call.null(),
                (true, true) => call.output(dtype, offset, rows * cols),
            };
            let units = rows * cols / width(entry);
            call.size(rows).size(cols).run([units.div_ceil(256), 1, 1])
        });
        for i in 0..rows * cols {
            let want = reference(a[i], b[i], factors[i / cols]);
            for (result, want) in results.iter().zip(want) {
                assert_eq!(result[i], dtype.round(want), "{} [{i}]", entry.name);
            }
        }
        if (rows, cols) == shapes(entry)[2] {
            let bytes = rows * cols * (2 + results.len()) * dtype.bytes();
            dense(&entry.name, &counters, bytes, if is_wide(entry) { 5 } else { 70 });
        }
    }
}
