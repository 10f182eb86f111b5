//! The table of op cases. A row is an op with inputs. Tests of results and gradients read it, on the
//! host and on emulated devices, and so do benches and the check of a GPU. Shapes include 0, 1, odd
//! sizes, sizes that are no multiple of a tile, and views.

use crate::ops::{
    Attention, AttentionMask, Binary, Cast, Concat, Expand, GateResidual, Gather, LayerNorm,
    LinearGateResidual, LinearSwiglu, Matmul, Mse, Narrow, Permute, QkNormRotary, QueryBlock,
    Reduce, Reduction, Reshape, RmsNorm, Softmax, Swiglu, Unary,
};
use crate::random::{Key, Stream};
use crate::reference::Array;
use crate::{DType, Op, Shape, Tensor};
use std::sync::Arc;

mod large;
mod pictures;

pub use large::{LARGE, Large, ONLY_LARGE};

/// One row.
#[derive(Clone, Debug)]
pub struct Case {
    /// The op's name and what is particular about the row.
    pub name: String,
    /// The op.
    pub op: Op,
    /// Its inputs.
    pub inputs: Vec<Tensor>,
    /// Largest `|fast - reference| / max |reference|` per result. f32 sums of n terms stray by about
    /// `sqrt(n) 2^-24`; bf16 rounds to 8 bits.
    pub tolerance: f64,
    /// Results, from the first, that carry a gradient.
    pub with_gradient: usize,
    /// Inputs, by position, that have one.
    pub differentiable: Vec<usize>,
}

impl Case {
    /// The same row with bf16 in place of f32 inputs. `None` where it has bf16 inputs of its own, or its
    /// op changes or compares types.
    pub fn rounded(&self) -> Option<Self> {
        let is_wide = self.inputs.iter().all(|input| input.dtype() != DType::BF16);
        if !is_wide || matches!(self.op, Op::Cast(_) | Op::Mse(_)) {
            return None;
        }
        // Rotary tables are f32 in any case.
        let tables = if matches!(self.op, Op::QkNormRotary(_)) { 2 } else { 0 };
        let count = self.inputs.len() - tables;
        let inputs = self.inputs.iter().enumerate().map(|(i, input)| match input.dtype() {
            DType::F32 if i < count => bf16(input),
            _ => input.clone(),
        });
        let name = format!("{} in bf16", self.name);
        Some(Self { name, inputs: inputs.collect(), tolerance: BF16, ..self.clone() })
    }
}

/// Deviations below this are rounding of values that cancel.
const ABSOLUTE: f64 = 2e-6;

/// Largest deviation of a result from a reference, relative to the reference's largest finite value;
/// NaN where one of them has a value that the other has not.
pub fn deviation(ours: &Array, reference: &Array) -> f64 {
    if ours.shape != reference.shape {
        return f64::NAN;
    }
    let finite = reference.data.iter().filter(|v| v.is_finite());
    let largest = finite.fold(0f64, |most, v| most.max(v.abs()));
    let of = |(a, b): (&f64, &f64)| {
        let error = (a - b).abs();
        if a == b || error <= ABSOLUTE { 0.0 } else { error / largest }
    };
    let deviations = ours.data.iter().zip(&reference.data).map(of);
    // A NaN is never the smaller one.
    deviations.fold(0.0, |most, d| if d <= most { most } else { d })
}

/// Rounding of f32 sums of a few thousand terms.
const F32: f64 = 2e-6;
/// Rounding of bf16 results.
const BF16: f64 = 8e-3;
/// Rounding of gradients of bf16 tensors, from results' gradients that are rounded, too.
const GRADIENT_BF16: f64 = 2e-2;

impl Case {
    /// Largest deviation of a gradient, relative to its largest value.
    pub fn gradient_tolerance(&self) -> f64 {
        let is_rounded = self.inputs.iter().any(|input| input.dtype() == DType::BF16);
        if is_rounded || self.tolerance >= BF16 { GRADIENT_BF16 } else { 50.0 * self.tolerance }
    }
}

/// Makes inputs; every draw is another stream of the same seed.
struct Rows {
    all: Vec<Case>,
    draws: u64,
}

impl Rows {
    fn normal(&mut self, shape: impl Into<Shape>) -> Tensor {
        self.draws += 1;
        Key::new(2024, Stream::Test, self.draws).normal_tensor(shape).expect("small tensors fit")
    }

    fn add(&mut self, what: &str, op: impl Into<Op>, inputs: Vec<Tensor>) -> &mut Case {
        let op = op.into();
        let floats = (0..inputs.len()).filter(|&i| inputs[i].dtype() != DType::I32).collect();
        let name = format!("{} {what}", op.name());
        self.all.push(Case {
            name,
            op,
            inputs,
            tolerance: F32,
            with_gradient: 1,
            differentiable: floats,
        });
        self.all.last_mut().expect("just pushed")
    }
}

fn indices(values: &[i32]) -> Tensor {
    Tensor::from_slice(values, [values.len()]).expect("small tensors fit")
}

fn bf16(tensor: &Tensor) -> Tensor {
    tensor.to_dtype(DType::BF16).expect("f32 becomes bf16")
}

/// All rows.
pub fn cases() -> Vec<Case> {
    let mut rows = Rows { all: Vec::new(), draws: 0 };
    elementwise(&mut rows);
    views(&mut rows);
    products(&mut rows);
    norms(&mut rows);
    attention(&mut rows);
    larger(&mut rows);
    mixed(&mut rows);
    in_bf16(&mut rows);
    pictures::convolutions(&mut rows);
    pictures::pictures(&mut rows);
    linear_ends(&mut rows);
    rows.all
}

/// Sizes at which a device takes other kernels: whole accesses, long heads, many rows. They draw from
/// numbers of their own.
fn larger(rows: &mut Rows) {
    let draws = std::mem::replace(&mut rows.draws, 1 << 16);
    let table = rows.normal([7, 16]);
    rows.add("of 16 bytes at a time", Gather, vec![table, indices(&[6, 1, 1, 0])]);
    heads(rows, &[([2, 3], 1, 128, 126), ([1, 2], 1, 256, 64)]);
    let [p, t] = [0; 2].map(|_| bf16(&rows.normal([9, 48])));
    let w = rows.normal([9]);
    let case = rows.add("bf16 against bf16", Mse, vec![p, t, w]);
    (case.tolerance, case.differentiable) = (BF16, vec![0]);
    for (what, queries, keys) in [("many queries", 2050, 40), ("many keys", 40, 2050)] {
        for dim in [16, 32, 64, 128] {
            let inputs = [queries, keys, keys].map(|count| bf16(&rows.normal([count, dim])));
            let mask = Arc::new(AttentionMask::full(queries, keys));
            let op = Attention { heads: 1, scale: 1.0 / (dim as f32).sqrt(), mask };
            let case = rows.add(&format!("{what} bf16 {dim}"), op, inputs.into());
            (case.tolerance, case.differentiable) = (BF16, Vec::new());
        }
    }
    rows.draws = draws;
}

/// Linear layers that leave through a gate: in f32, and with bf16 factors around an f32 stream. They draw
/// from numbers of their own.
fn linear_ends(rows: &mut Rows) {
    let draws = std::mem::replace(&mut rows.draws, 1 << 17);
    for [r, c, k] in [[0, 8, 8], [1, 1, 1], [5, 37, 19], [70, 64, 40]] {
        let groups: Vec<i32> =
            (0..r as i32).map(|row| [1, 0, 2, 2][row as usize / 2 % 4]).collect();
        for is_rounded in [false, true] {
            let mut factor = |dims: [usize; 2]| {
                let factor = rows.normal(dims);
                if is_rounded { bf16(&factor) } else { factor }
            };
            let (x, weight, second) = (factor([r, k]), factor([c, k]), factor([c, k]));
            let what = if is_rounded { " of bf16" } else { "" };
            let tolerance = if is_rounded { BF16 } else { F32 };
            for has_bias in [false, true] {
                let mut inputs = vec![x.clone(), weight.clone(), rows.normal([3, c])];
                inputs.extend([rows.normal([c]), rows.normal([r, c]), indices(&groups)]);
                inputs.extend(has_bias.then(|| rows.normal([c])));
                let op = LinearGateResidual { has_bias, keeps_product: true };
                let name = format!("[{r}, {c}, {k}]{what}, bias {has_bias}");
                rows.add(&name, op, inputs).tolerance = tolerance;
            }
            let op = LinearSwiglu { keeps_factors: true };
            let case = rows.add(&format!("[{r}, {c}, {k}]{what}"), op, vec![x, weight, second]);
            case.tolerance = tolerance;
        }
    }
    rows.draws = draws;
}

/// Types as training in bf16 has them: f32 vectors and residual stream around bf16 products.
fn mixed(rows: &mut Rows) {
    let groups = indices(&[1, 0, 2, 2, 1]);
    for c in [37, 64] {
        let mut inputs = vec![rows.normal([5, c])];
        inputs.extend([rows.normal([3, c]), rows.normal([3, c]), rows.normal([c])]);
        inputs.extend([rows.normal([c]), groups.clone()]);
        let result = Some(DType::BF16);
        let op = RmsNorm { epsilon: 1e-5, has_weight: false, is_modulated: true, result };
        rows.add(&format!("modulated [5, {c}] to bf16"), op, inputs).tolerance = BF16;
        let x = bf16(&rows.normal([5, c]));
        let inputs = vec![x, rows.normal([3, c]), rows.normal([c]), rows.normal([5, c])];
        let inputs = inputs.into_iter().chain([groups.clone()]).collect();
        rows.add(&format!("of bf16 [5, {c}] into f32"), GateResidual, inputs);
        let inputs = vec![bf16(&rows.normal([5, 24])), bf16(&rows.normal([c, 24]))];
        let inputs = inputs.into_iter().chain([rows.normal([c])]).collect();
        let op = Matmul { result: Some(DType::F32), ..Matmul::linear(true) };
        rows.add(&format!("bf16 to f32 with bias, {c} columns"), op, inputs);
    }
    let (p, t, w) = (bf16(&rows.normal([9, 48])), rows.normal([9, 48]), rows.normal([9]));
    let case = rows.add("bf16 against f32", Mse, vec![p, t, w]);
    (case.tolerance, case.differentiable) = (BF16, vec![0]);
}

/// The rows before once more, with bf16 in place of f32 tensors.
fn in_bf16(rows: &mut Rows) {
    let all: Vec<Case> = rows.all.iter().filter_map(Case::rounded).collect();
    rows.all.extend(all);
}

fn elementwise(rows: &mut Rows) {
    let functions = [
        Unary::Affine { scale: -1.5, shift: 0.25 },
        Unary::Exp,
        Unary::Silu,
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::GeluTanh,
        Unary::Square,
    ];
    for function in functions {
        for shape in [Shape::from([0]), Shape::from([1]), Shape::from([3, 37]), Shape::from([])] {
            let x = rows.normal(shape);
            rows.add(&format!("{function:?} {shape}"), function, vec![x]);
        }
    }
    let x = rows.normal([5, 7]).transpose().expect("two axes");
    rows.add("Silu of a transposed view", Unary::Silu, vec![x]);
    let x = bf16(&rows.normal([5, 33]));
    rows.add("Silu bf16", Unary::Silu, vec![x]).tolerance = BF16;
    for op in [Binary::Add, Binary::Sub, Binary::Mul] {
        for (a, b) in [
            (Shape::from([4, 9]), Shape::from([4, 9])),
            (Shape::from([4, 9]), Shape::from([9])),
            (Shape::from([]), Shape::from([2, 3])),
            (Shape::from([2, 1, 5]), Shape::from([3, 1])),
            (Shape::from([0, 4]), Shape::from([4])),
            (Shape::from([6, 4, 1]), Shape::from([6, 4, 3])),
        ] {
            let (x, y) = (rows.normal(a), rows.normal(b));
            rows.add(&format!("{op:?} {a} {b}"), op, vec![x, y]);
        }
    }
    for shape in [Shape::from([0, 8]), Shape::from([1, 1]), Shape::from([7, 129])] {
        let (gate, up) = (rows.normal(shape), rows.normal(shape));
        rows.add(&format!("{shape}"), Swiglu, vec![gate, up]);
    }
    for (r, c) in [(0, 4), (1, 1), (9, 48)] {
        let (p, t, w) = (rows.normal([r, c]), rows.normal([r, c]), rows.normal([r]));
        rows.add(&format!("[{r}, {c}]"), Mse, vec![p, t, w]).differentiable = vec![0];
    }
}

fn views(rows: &mut Rows) {
    let x = rows.normal([2, 6, 4]);
    rows.add("to [3, 16]", Reshape { shape: [3, 16].into() }, vec![x.clone()]);
    rows.add(
        "of a view",
        Reshape { shape: [8, 6].into() },
        vec![x.permute(&[2, 0, 1]).expect("an order")],
    );
    rows.add("[2, 0, 1]", Permute::new(&[2, 0, 1]), vec![x.clone()]);
    rows.add("to [5, 2, 6, 4]", Expand { shape: [5, 2, 6, 4].into() }, vec![x.clone()]);
    let narrow = rows.normal([3, 1, 2]);
    rows.add("inner axis", Expand { shape: [3, 4, 2].into() }, vec![narrow]);
    rows.add("middle of an axis", Narrow { axis: 1, start: 2, length: 3 }, vec![x.clone()]);
    rows.add("nothing", Narrow { axis: 2, start: 4, length: 0 }, vec![x.clone()]);
    let (a, b) = (rows.normal([2, 3, 4]), rows.normal([2, 0, 4]));
    rows.add("axis 1", Concat { axis: 1 }, vec![x.clone(), a, b]);
    let (a, b) = (rows.normal([1, 5]), rows.normal([4, 5]));
    rows.add("axis 0", Concat { axis: 0 }, vec![a, b]);
    rows.add("to bf16", Cast { dtype: DType::BF16 }, vec![x.clone()]).tolerance = BF16;
    // Rounding is no smooth function, so differences say nothing about its gradient.
    rows.all.last_mut().expect("just pushed").differentiable.clear();
    rows.add("from bf16", Cast { dtype: DType::F32 }, vec![bf16(&x)]).differentiable.clear();
    for axis in 0..3 {
        for reduction in [Reduction::Sum, Reduction::Mean] {
            rows.add(
                &format!("{reduction:?} axis {axis}"),
                Reduce { reduction, axis },
                vec![x.clone()],
            );
        }
    }
    let empty = rows.normal([3, 0, 2]);
    rows.add("Mean of an empty axis", Reduce { reduction: Reduction::Mean, axis: 1 }, vec![empty]);
    let table = rows.normal([7, 5]);
    rows.add("with repeats", Gather, vec![table.clone(), indices(&[3, 0, 3, 6, 3])]);
    rows.add("no rows", Gather, vec![table, indices(&[])]);
}

fn products(rows: &mut Rows) {
    for (m, n, k) in
        [(1, 1, 1), (5, 7, 3), (33, 65, 17), (0, 4, 3), (3, 0, 2), (4, 5, 0), (64, 128, 96)]
    {
        for (transpose_a, transpose_b) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let a = if transpose_a { [k, m] } else { [m, k] };
            let b = if transpose_b { [n, k] } else { [k, n] };
            let inputs = vec![rows.normal(a), rows.normal(b)];
            let op = Matmul { transpose_a, transpose_b, has_bias: false, result: None };
            rows.add(
                &format!("{m} x {n} x {k} {}{}", transpose_a as u8, transpose_b as u8),
                op,
                inputs,
            );
        }
    }
    let inputs = vec![rows.normal([2, 3, 8]), rows.normal([5, 8]), rows.normal([5])];
    rows.add("shared b with bias", Matmul::linear(true), inputs);
    let inputs = vec![rows.normal([2, 3, 4, 8]), rows.normal([2, 3, 8, 5])];
    rows.add("batched", Matmul::default(), inputs);
    let inputs = vec![rows.normal([3, 8, 4]), rows.normal([3, 5, 8])];
    rows.add(
        "batched transposed",
        Matmul { transpose_a: true, transpose_b: true, has_bias: false, result: None },
        inputs,
    );
    // Long sums with a small result, which a device cuts into parts, the last one shorter.
    let inputs = vec![rows.normal([3, 1500]), rows.normal([8, 1500]), rows.normal([8])];
    rows.add("long sums with bias", Matmul::linear(true), inputs);
    let inputs = vec![rows.normal([1500, 5]), rows.normal([1500, 7])];
    rows.add("long sums by columns", Matmul { transpose_a: true, ..Matmul::default() }, inputs);
    let a = rows.normal([9, 6]).narrow(1, 1, 4).expect("in range");
    let inputs =
        vec![a, rows.normal([4, 3]).transpose().expect("two axes").contiguous().expect("fits")];
    rows.add(
        "of views",
        Matmul { transpose_a: false, transpose_b: true, has_bias: false, result: None },
        inputs,
    );
    let inputs = vec![bf16(&rows.normal([6, 32])), bf16(&rows.normal([10, 32]))];
    let case = rows.add("bf16", Matmul::linear(false), inputs);
    (case.tolerance, case.differentiable) = (BF16, Vec::new());
}

fn norms(rows: &mut Rows) {
    for (shape, scale) in [
        (Shape::from([0, 8]), 1.0),
        (Shape::from([3, 0]), 1.0),
        (Shape::from([1]), 1.0),
        (Shape::from([2, 3, 37]), 0.25),
        (Shape::from([19, 64]), 1.0),
    ] {
        let x = rows.normal(shape);
        rows.add(&format!("{shape} scale {scale}"), Softmax { scale }, vec![x]);
    }
    let x = rows.normal([9, 5]).transpose().expect("two axes");
    rows.add("of a transposed view", Softmax { scale: 1.0 }, vec![x]);
    let x = bf16(&rows.normal([4, 24]));
    rows.add("bf16", Softmax { scale: 1.0 }, vec![x]).tolerance = BF16;
    for (r, c) in [(0, 8), (2, 0), (3, 2), (5, 37), (140, 64)] {
        for is_affine in [false, true] {
            let mut inputs = vec![rows.normal([r, c])];
            if is_affine {
                inputs.extend([rows.normal([c]), rows.normal([c])]);
            }
            let op = LayerNorm { epsilon: 1e-3, is_affine };
            rows.add(&format!("[{r}, {c}] affine {is_affine}"), op, inputs).tolerance = 2.0 * F32;
        }
    }
    for (r, c) in [(0, 8), (1, 1), (5, 37), (19, 64)] {
        let inputs = vec![rows.normal([r, c])];
        rows.add(
            &format!("plain [{r}, {c}]"),
            RmsNorm { epsilon: 1e-5, has_weight: false, is_modulated: false, result: None },
            inputs,
        );
        let inputs = vec![rows.normal([r, c]), rows.normal([c])];
        rows.add(
            &format!("weight [{r}, {c}]"),
            RmsNorm { epsilon: 1e-5, has_weight: true, is_modulated: false, result: None },
            inputs,
        );
        let groups: Vec<i32> = (0..r as i32).map(|i| [1, 0, 2, 2][i as usize % 4]).collect();
        let modulation = [
            rows.normal([3, c]),
            rows.normal([3, c]),
            rows.normal([c]),
            rows.normal([c]),
            indices(&groups),
        ];
        for has_weight in [false, true] {
            let mut inputs = vec![rows.normal([r, c])];
            if has_weight {
                inputs.push(rows.normal([c]));
            }
            inputs.extend(modulation.iter().cloned());
            let op = RmsNorm { epsilon: 1e-5, has_weight, is_modulated: true, result: None };
            rows.add(&format!("modulated [{r}, {c}] weight {has_weight}"), op, inputs);
        }
        let inputs = vec![
            rows.normal([r, c]),
            rows.normal([3, c]),
            rows.normal([c]),
            rows.normal([r, c]),
            indices(&groups),
        ];
        rows.add(&format!("[{r}, {c}]"), GateResidual, inputs);
    }
    heads(rows, &[([0, 3], 1, 8, 6), ([4, 5], 2, 16, 12), ([3, 6], 3, 10, 0), ([1, 0], 2, 32, 30)]);
}

/// Tokens of two streams, heads, their size, and how much of it is rotated.
fn heads(rows: &mut Rows, sizes: &[([usize; 2], usize, usize, usize)]) {
    for &(tokens, heads, head_dim, rotated) in sizes {
        let all: usize = tokens.iter().sum();
        // Streams interleave: the second stream takes the even places first.
        let mut places: Vec<i32> = (0..all as i32).collect();
        places.sort_by_key(|i| (i % 2, *i));
        let (second, first) = places.split_at(tokens[1]);
        let mut inputs = Vec::new();
        for (n, own) in [(tokens[0], first), (tokens[1], second)] {
            inputs.extend([
                rows.normal([n, 3 * heads * head_dim]),
                rows.normal([head_dim]),
                rows.normal([head_dim]),
                indices(own),
            ]);
        }
        let angles: Vec<f32> = (0..all * rotated / 2).map(|i| (i * 7 % 23) as f32 / 3.0).collect();
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|&a| f(a)).collect();
            Tensor::from_slice(&values, [all, rotated / 2]).expect("small tensors fit")
        };
        let differentiable = vec![0, 1, 2, 4, 5, 6];
        inputs.extend([table(f32::cos), table(f32::sin)]);
        let op = QkNormRotary { heads, head_dim, rotated, epsilon: 1e-5, streams: 2 };
        let case =
            rows.add(&format!("{tokens:?} {heads} x {head_dim}, {rotated} rotated"), op, inputs);
        (case.with_gradient, case.differentiable) = (3, differentiable);
    }
}

fn attention(rows: &mut Rows) {
    let block = |queries, prefix, own| QueryBlock { queries, prefix, own };
    let masks = [
        ("full", 5, 7, AttentionMask::full(5, 7)),
        ("one token", 1, 1, AttentionMask::full(1, 1)),
        ("no keys", 3, 0, AttentionMask::full(3, 0)),
        ("no queries", 0, 4, AttentionMask::full(0, 4)),
        ("block-causal", 21, 21, AttentionMask::block_causal(&[3, 7, 1, 10])),
        (
            "clean and noisy copies",
            24,
            24,
            AttentionMask::new(vec![
                block(0..6, 0..6, 0..0),
                block(6..14, 0..14, 0..0),
                block(14..19, 0..6, 14..19),
                block(19..24, 0..14, 19..24),
            ])
            .expect("blocks ascend"),
        ),
        (
            "gaps and own ranges below the prefix",
            12,
            9,
            AttentionMask::new(vec![block(2..5, 4..9, 0..2), block(8..9, 0..0, 3..4)])
                .expect("blocks ascend"),
        ),
        (
            "past a tile",
            70,
            150,
            AttentionMask::new(vec![block(0..70, 0..130, 131..150)]).expect("one block"),
        ),
    ];
    for (what, queries, keys, mask) in masks {
        let large: &[_] = if what == "block-causal" { &[(2, 64), (1, 128)] } else { &[] };
        for &(heads, dim) in [(1, 8), (2, 32), (3, 5), (2, 132)].iter().chain(large) {
            let width = heads * dim;
            let inputs = vec![
                rows.normal([queries, width]),
                rows.normal([keys, width]),
                rows.normal([keys, width]),
            ];
            let op =
                Attention { heads, scale: 1.0 / (dim as f32).sqrt(), mask: Arc::new(mask.clone()) };
            rows.add(&format!("{what} {heads} x {dim}"), op, inputs);
        }
    }
    let inputs = [rows.normal([9, 264]), rows.normal([24, 264]), rows.normal([24, 264])];
    let mask = Arc::new(AttentionMask::full(9, 24));
    let op = Attention { heads: 2, scale: 1.0 / 132f32.sqrt(), mask };
    let case = rows.add("bf16 2 x 132", op, inputs.iter().map(bf16).collect());
    (case.tolerance, case.differentiable) = (BF16, Vec::new());
}
