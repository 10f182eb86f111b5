//! Kernels that make one element from others at the same place.

use crate::device::{Arg, Rows, noise};
use crate::expect::{dense, dtype, in_all_orders, is_wide, near, value, width};
use vincie_ptx::catalogue::Entry;

/// Relative error of results in f32: of approximate exponentials and reciprocals, and of what is
/// built on them.
const APPROXIMATE: f64 = 2e-6;

/// An op of elements.
struct Op<'a> {
    entry: &'a Entry,
    inputs: usize,
    outputs: usize,
    /// Arguments behind the count.
    more: &'a [Arg],
    /// Results and the magnitude that their errors are relative to.
    reference: &'a Reference<'a>,
}

/// Inputs at a place to results there, each with the magnitude that its error is relative to.
type Reference<'a> = dyn Fn(&[f64]) -> Vec<(f64, f64)> + 'a;

impl Op<'_> {
    /// Sizes with and without a rest; the last one is measured.
    fn check(&self) {
        let Self { entry, inputs, outputs, .. } = *self;
        let (dtype, width) = (dtype(entry), width(entry));
        let offset = usize::from(!is_wide(entry));
        for count in [1, 33, 256 * width + width + 1, 2048 * width] {
            let rows = Rows { rows: 1, cols: count, stride: count, offset };
            let given: Vec<Vec<f32>> = (0..inputs)
                .map(|i| noise(count, i as u64 + 1, dtype))
                .map(|all| all.into_iter().map(|x| 6.0 * x).collect())
                .map(|all: Vec<f32>| all.into_iter().map(|x| dtype.round(x)).collect())
                .collect();
            let (counters, results) = in_all_orders(&entry.name, |device| {
                let ins: Vec<_> = given.iter().map(|x| device.upload(dtype, rows, x)).collect();
                let outs: Vec<_> = (0..outputs).map(|_| device.result(dtype, rows)).collect();
                let mut args: Vec<Arg> =
                    ins.iter().chain(&outs).map(|placed| Arg::U64(placed.at())).collect();
                args.push(Arg::U32(count as u32));
                args.extend(self.more);
                let threads = count / width + count % width;
                let grid = [threads.div_ceil(256) as u32, 1, 1];
                let counters = device.launch(&entry.name, grid, &args);
                let results: Vec<_> = outs.iter().map(|placed| device.download(placed)).collect();
                (counters, results)
            });
            let mut wanted = vec![Vec::new(); outputs];
            for at in 0..count {
                let x: Vec<f64> = given.iter().map(|all| f64::from(all[at])).collect();
                for (to, (want, size)) in wanted.iter_mut().zip((self.reference)(&x)) {
                    to.push((want, APPROXIMATE * size));
                }
            }
            for (got, want) in results.iter().zip(&wanted) {
                near((&entry.name, count), dtype, got, want);
            }
            let bytes = count * dtype.bytes() * (inputs + outputs);
            match (is_wide(entry), count == 2048 * width) {
                (true, true) => dense(&entry.name, &counters, bytes, 0),
                // Accesses of 32 lanes that begin anywhere touch one sector more.
                (false, true) => dense(&entry.name, &counters, bytes, 50),
                _ => {}
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The value, with errors relative to itself and to how far it moves with the argument of exp.
fn through_exp(value: f64, x: f64) -> (f64, f64) {
    (value, value.abs() * (1.0 + x.abs()))
}

const SCALE: f32 = 1.7;
const SHIFT: f32 = -0.4;

pub(crate) fn unary(entry: &Entry) {
    let function = value(entry, "function");
    if entry.name.contains("_backward_") {
        let reference = |x: &[f64]| {
            let (derivative, size) = derivative(function, x[0]);
            vec![(derivative * x[1], size * x[1].abs())]
        };
        return Op { entry, inputs: 2, outputs: 1, more: &[], reference: &reference }.check();
    }
    let more = [Arg::F32(SCALE), Arg::F32(SHIFT)];
    let more = if function == "affine" { &more[..] } else { &[] };
    let reference = |x: &[f64]| vec![apply(function, x[0])];
    Op { entry, inputs: 1, outputs: 1, more, reference: &reference }.check();
}

fn apply(function: &str, x: f64) -> (f64, f64) {
    match function {
        "affine" => {
            let (scale, shift) = (f64::from(SCALE), f64::from(SHIFT));
            (scale * x + shift, (scale * x).abs() + shift.abs())
        }
        "silu" => through_exp(x * sigmoid(x), x),
        "sigmoid" => through_exp(sigmoid(x), x),
        "gelu_tanh" => {
            let inner = gelu_inner(x);
            through_exp(x * sigmoid(inner), inner)
        }
        "exp" => through_exp(x.exp(), x),
        "tanh" => (x.tanh(), x.tanh().abs()),
        "square" => (x * x, x * x),
        other => panic!("no reference of {other}"),
    }
}

/// 2 sqrt(2 / pi) (x + 0.044715 x^3).
fn gelu_inner(x: f64) -> f64 {
    2.0 * std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044_715 * x.powi(3))
}

fn derivative(function: &str, x: f64) -> (f64, f64) {
    let s = sigmoid(x);
    match function {
        "silu" => (s + x * s * (1.0 - s), s * (1.0 + x.abs()) * (1.0 + x.abs())),
        "sigmoid" => through_exp(s * sigmoid(-x), 2.0 * x),
        "gelu_tanh" => {
            let (inner, s) = (gelu_inner(x), sigmoid(gelu_inner(x)));
            let slope = 2.0 * std::f64::consts::FRAC_2_PI.sqrt() * (1.0 + 0.134_145 * x * x);
            let size = s * (1.0 + (x * slope).abs()) * (1.0 + inner.abs());
            (s + x * s * (1.0 - s) * slope, size)
        }
        "exp" => through_exp(x.exp(), x),
        "tanh" => (1.0 - x.tanh().powi(2), 1.0),
        "square" => (2.0 * x, 2.0 * x.abs()),
        other => panic!("no derivative of {other}"),
    }
}

pub(crate) fn binary(entry: &Entry) {
    let op = value(entry, "op");
    let reference = |x: &[f64]| vec![(combine(op, x[0], x[1]), 0.0)];
    Op { entry, inputs: 2, outputs: 1, more: &[], reference: &reference }.check();
}

/// The operation of a binary kernel.
pub(crate) fn combine(op: &str, a: f64, b: f64) -> f64 {
    match op {
        "add" => a + b,
        "sub" => a - b,
        "mul" => a * b,
        other => panic!("no reference of {other}"),
    }
}

pub(crate) fn swiglu(entry: &Entry) {
    if entry.name.contains("_forward_") {
        let reference = |x: &[f64]| vec![through_exp(x[0] * sigmoid(x[0]) * x[1], x[0])];
        return Op { entry, inputs: 2, outputs: 1, more: &[], reference: &reference }.check();
    }
    assert!(entry.name.contains("_backward_"), "{}", entry.name);
    let reference = |x: &[f64]| {
        let (slope, size) = derivative("silu", x[0]);
        let d_gate = (slope * x[1] * x[2], size * (x[1] * x[2]).abs());
        vec![d_gate, through_exp(x[0] * sigmoid(x[0]) * x[2], x[0])]
    };
    Op { entry, inputs: 3, outputs: 2, more: &[], reference: &reference }.check();
}
