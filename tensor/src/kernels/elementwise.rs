//! Functions of every element of one or two operands.

use super::disjoint::Disjoint;
use super::math;
use super::simd::{Kernel, Lane, Simd};
use super::sweep::{Function, Sweep, sweep};
use rayon::prelude::*;

/// Elements of a task. Smaller calls stay on the calling thread.
pub(crate) const CHUNK: usize = 1 << 15;

/// Applies `function` to slices of one length.
pub(crate) fn map<const I: usize, const O: usize>(
    simd: Simd,
    function: impl Function<I, O>,
    inputs: [&[f32]; I],
    outputs: [&mut [f32]; O],
) {
    let len = outputs[0].len();
    assert!(inputs.iter().all(|x| x.len() == len), "inputs and outputs differ in length");
    assert!(outputs.iter().all(|x| x.len() == len), "outputs differ in length");
    if len <= CHUNK {
        return simd.run(Sweep { function: &function, inputs, outputs });
    }
    let outputs = outputs.map(Disjoint::new);
    (0..len.div_ceil(CHUNK)).into_par_iter().for_each(|index| {
        let start = index * CHUNK;
        let len = CHUNK.min(len - start);
        let inputs = inputs.map(|x| &x[start..start + len]);
        // SAFETY: tasks own disjoint chunks.
        let outputs = outputs.each_ref().map(|x| unsafe { x.part(start, len) });
        simd.run(Sweep { function: &function, inputs, outputs });
    });
}

/// A function of one operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// `scale * x + shift`.
    Affine {
        /// Factor.
        scale: f32,
        /// Summand.
        shift: f32,
    },
    /// `e^x`.
    Exp,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `x / (1 + e^-x)`.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `x^2`.
    Square,
}

/// A function of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
}

/// Declares a function as a type, so that a call site is compiled for exactly one.
macro_rules! function {
    ($name:ident($($field:ident),*), $inputs:literal, |$lane:ident, $($x:ident),+| $body:expr) => {
        struct $name { $($field: f32),* }

        impl Function<$inputs, 1> for $name {
            #[inline(always)]
            fn apply<$lane: Lane>(&self, [$($x),+]: [$lane; $inputs], _: [$lane; 1]) -> [$lane; 1] {
                $(let $field = $lane::splat(self.$field);)*
                [$body]
            }
        }
    };
}

function!(Affine(scale, shift), 1, |L, x| x.mul_add(scale, shift));
function!(Exp(), 1, |L, x| math::exp(x));
function!(Sigmoid(), 1, |L, x| math::sigmoid(x));
function!(Silu(), 1, |L, x| math::silu(x));
function!(Tanh(), 1, |L, x| math::tanh(x));
function!(GeluTanh(), 1, |L, x| math::gelu_tanh(x));
function!(Square(), 1, |L, x| x * x);

function!(AffineSlope(scale), 2, |L, _x, d| scale * d);
function!(ExpSlope(), 2, |L, x, d| math::exp(x) * d);
function!(SigmoidSlope(), 2, |L, x, d| {
    let (s, rest) = math::sigmoids(x);
    s * rest * d
});
function!(SiluSlope(), 2, |L, x, d| math::silu_slope(x) * d);
function!(TanhSlope(), 2, |L, x, d| {
    let t = math::tanh(x);
    (L::splat(1.0) - t * t) * d
});
function!(GeluTanhSlope(), 2, |L, x, d| math::gelu_tanh_slope(x) * d);
function!(SquareSlope(), 2, |L, x, d| (x + x) * d);

function!(Add(), 2, |L, a, b| a + b);
function!(Sub(), 2, |L, a, b| a - b);
function!(Mul(), 2, |L, a, b| a * b);

/// y = f(x), element by element.
pub fn unary(simd: Simd, op: Unary, x: &[f32], y: &mut [f32]) {
    match op {
        Unary::Affine { scale, shift } => map(simd, Affine { scale, shift }, [x], [y]),
        Unary::Exp => map(simd, Exp {}, [x], [y]),
        Unary::Sigmoid => map(simd, Sigmoid {}, [x], [y]),
        Unary::Silu => map(simd, Silu {}, [x], [y]),
        Unary::Tanh => map(simd, Tanh {}, [x], [y]),
        Unary::GeluTanh => map(simd, GeluTanh {}, [x], [y]),
        Unary::Square => map(simd, Square {}, [x], [y]),
    }
}

/// dx = f'(x) dy, element by element.
pub fn unary_backward(simd: Simd, op: Unary, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    match op {
        Unary::Affine { scale, .. } => map(simd, AffineSlope { scale }, [x, dy], [dx]),
        Unary::Exp => map(simd, ExpSlope {}, [x, dy], [dx]),
        Unary::Sigmoid => map(simd, SigmoidSlope {}, [x, dy], [dx]),
        Unary::Silu => map(simd, SiluSlope {}, [x, dy], [dx]),
        Unary::Tanh => map(simd, TanhSlope {}, [x, dy], [dx]),
        Unary::GeluTanh => map(simd, GeluTanhSlope {}, [x, dy], [dx]),
        Unary::Square => map(simd, SquareSlope {}, [x, dy], [dx]),
    }
}

/// y = f(a, b). An operand that is shorter than `y` is a row that repeats: its length must divide
/// that of `y`.
pub fn binary(simd: Simd, op: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    match op {
        Binary::Add => repeat(simd, &Add {}, [a, b], y),
        Binary::Sub => repeat(simd, &Sub {}, [a, b], y),
        Binary::Mul => repeat(simd, &Mul {}, [a, b], y),
    }
}

fn repeat<F: Function<2, 1>>(simd: Simd, function: &F, inputs: [&[f32]; 2], y: &mut [f32]) {
    if y.is_empty() {
        return;
    }
    let row = inputs[0].len().min(inputs[1].len());
    if inputs.iter().all(|x| x.len() == y.len()) {
        return map(simd, Borrowed(function), inputs, [y]);
    }
    for x in inputs {
        let divides = x.len() == y.len() || (x.len() == row && y.len().is_multiple_of(row.max(1)));
        assert!(divides && row > 0, "a row of {} does not repeat over {}", x.len(), y.len());
    }
    let chunk = CHUNK.next_multiple_of(row);
    let run = |(index, y): (usize, &mut [f32])| {
        simd.run(Repeat { function, inputs, start: index * chunk, row, y });
    };
    if y.len() <= CHUNK {
        run((0, y));
    } else {
        y.par_chunks_mut(chunk).enumerate().for_each(run);
    }
}

/// A function that somebody else keeps.
struct Borrowed<'a, F>(&'a F);

impl<F: Function<2, 1>> Function<2, 1> for Borrowed<'_, F> {
    #[inline(always)]
    fn apply<L: Lane>(&self, inputs: [L; 2], outputs: [L; 1]) -> [L; 1] {
        self.0.apply(inputs, outputs)
    }
}

/// Whole rows of a call in which an operand repeats.
struct Repeat<'a, F> {
    function: &'a F,
    inputs: [&'a [f32]; 2],
    /// Where `y` starts in the result.
    start: usize,
    row: usize,
    y: &'a mut [f32],
}

impl<F: Function<2, 1>> Kernel for Repeat<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { function, inputs, start, row, y } = self;
        for (i, y) in y.chunks_mut(row).enumerate() {
            let inputs = inputs.map(|x| {
                let at = if x.len() == row { 0 } else { start + i * row };
                &x[at..at + y.len()]
            });
            sweep::<L, F, 2, 1>(function, inputs, [y]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPS: [Unary; 7] = [
        Unary::Affine { scale: -1.5, shift: 0.25 },
        Unary::Exp,
        Unary::Sigmoid,
        Unary::Silu,
        Unary::Tanh,
        Unary::GeluTanh,
        Unary::Square,
    ];

    fn exact(op: Unary, x: f64) -> f64 {
        let sigmoid = 1.0 / (1.0 + (-x).exp());
        match op {
            Unary::Affine { scale, shift } => f64::from(scale) * x + f64::from(shift),
            Unary::Exp => x.exp(),
            Unary::Sigmoid => sigmoid,
            Unary::Silu => x * sigmoid,
            Unary::Tanh => x.tanh(),
            Unary::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Unary::Square => x * x,
        }
    }

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 12.0 - 4.0).collect()
    }

    #[test]
    fn functions_and_slopes_equal_plain_ones_at_every_length() {
        for simd in Simd::available() {
            for n in [0, 1, 3, 16, 33, CHUNK + 5] {
                let (x, dy) = (numbers(n, 1), numbers(n, 2));
                for op in OPS {
                    let (mut y, mut dx) = (vec![9.0; n], vec![9.0; n]);
                    unary(simd, op, &x, &mut y);
                    unary_backward(simd, op, &x, &dy, &mut dx);
                    for i in 0..n {
                        let at = f64::from(x[i]);
                        let slope = (exact(op, at + 1e-6) - exact(op, at - 1e-6)) / 2e-6;
                        let (value, slope) = (exact(op, at), slope * f64::from(dy[i]));
                        let near =
                            |got: f32, e: f64| (f64::from(got) - e).abs() < 1e-6 + 2e-6 * e.abs();
                        assert!(near(y[i], value), "{simd:?} {op:?}({at}) = {} not {value}", y[i]);
                        assert!(
                            near(dx[i], slope),
                            "{simd:?} {op:?}'({at}): {} not {slope}",
                            dx[i]
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rows_repeat_on_either_side() {
        let plain = |op, a: f32, b: f32| match op {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
        };
        for simd in Simd::available() {
            for (rows, row) in [(0, 3), (1, 1), (7, 5), (3, 64), (CHUNK / 40 + 3, 41)] {
                let n = rows * row;
                let (long, short) = (numbers(n, 3), numbers(row, 4));
                for op in [Binary::Add, Binary::Sub, Binary::Mul] {
                    let mut y = vec![9.0; n];
                    binary(simd, op, &long, &short, &mut y);
                    assert!((0..n).all(|i| y[i] == plain(op, long[i], short[i % row])));
                    binary(simd, op, &short, &long, &mut y);
                    assert!((0..n).all(|i| y[i] == plain(op, short[i % row], long[i])));
                    binary(simd, op, &long, &long, &mut y);
                    assert!((0..n).all(|i| y[i] == plain(op, long[i], long[i])));
                }
            }
        }
    }
}
