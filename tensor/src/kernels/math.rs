//! Vector `exp` and what is built on it. Polynomials are minimax fits of relative error over one
//! octave of the argument; the largest errors found against f64 stand with each function.

use super::simd::Lane;

/// 1 / ln 2.
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 rounded to 12 bits, so that its products with exponents are exact, and the rest.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Polynomial with the coefficients lowest power first.
#[inline(always)]
fn polynomial<L: Lane, const N: usize>(x: L, coefficients: [f32; N]) -> L {
    let mut sum = L::splat(coefficients[N - 1]);
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum.mul_add(x, L::splat(coefficients[i]));
    }
    sum
}

/// e^x within 2 ulp; 0 below -104, infinite above 88.73, NaN for NaN.
#[inline(always)]
pub(crate) fn exp<L: Lane>(x: L) -> L {
    let x = L::splat(89.0).min(L::splat(-104.0).max(x));
    let n = (x * L::splat(LOG2_E)).round();
    let r = n.mul_add(L::splat(-LN_2_HIGH), x);
    let r = n.mul_add(L::splat(-LN_2_LOW), r);
    let tail =
        polynomial(r, [0.499_999_93, 0.166_665_2, 0.041_668_39, 0.008_368_745, 0.001_381_454]);
    let p = (r * r).mul_add(tail, r) + L::splat(1.0);
    p.scale_by_power(n)
}

/// 2^x within 2 ulp for x at most 127; 0 below -150, NaN for NaN.
#[inline(always)]
pub(crate) fn exp2<L: Lane>(x: L) -> L {
    let x = L::splat(-151.0).max(x);
    let n = x.round();
    let r = x - n;
    let p = polynomial(
        r,
        [
            1.0,
            std::f32::consts::LN_2,
            0.240_226_53,
            0.055_503_105,
            0.009_617_693,
            0.001_340_664_4,
            1.559_467_8e-4,
        ],
    );
    p.scale_by_power(n)
}

/// 1 / (1 + e^-x) within 4 ulp.
#[inline(always)]
pub(crate) fn sigmoid<L: Lane>(x: L) -> L {
    L::splat(1.0) / (L::splat(1.0) + exp(L::zero() - x))
}

/// x sigmoid(x) within 4 ulp.
#[inline(always)]
pub(crate) fn silu<L: Lane>(x: L) -> L {
    x / (L::splat(1.0) + exp(L::zero() - x))
}

/// sigmoid(x) and sigmoid(-x), neither by subtraction, for the derivatives.
#[inline(always)]
pub(crate) fn sigmoids<L: Lane>(x: L) -> (L, L) {
    // Below -80 both are flat in f32, and a finite power keeps the second one a number.
    let power = exp(L::zero() - L::splat(-80.0).max(x));
    let s = L::splat(1.0) / (L::splat(1.0) + power);
    (s, s * power)
}

/// Derivative of [`silu`]: s (1 + x (1 - s)) with s = sigmoid(x).
#[inline(always)]
pub(crate) fn silu_slope<L: Lane>(x: L) -> L {
    let (s, rest) = sigmoids(x);
    s * rest.mul_add(x, L::splat(1.0))
}

/// tanh(x) within 4 ulp.
#[inline(always)]
pub(crate) fn tanh<L: Lane>(x: L) -> L {
    let square = x * x;
    let tail = polynomial(
        square,
        [-0.333_333_3, 0.133_331_96, -0.053_945_38, 0.021_692_607, -0.008_156_28, 0.002_122_745_8],
    );
    let near = (x * square).mul_add(tail, x);
    let two = L::splat(2.0);
    let far = L::splat(1.0) - two / (exp(x * two) + L::splat(1.0));
    L::where_less(square, L::splat(0.4), near, far)
}

/// sqrt(2 / pi) and the cubic coefficient of the tanh form of GELU.
const GELU_SLOPE: f32 = 0.797_884_6;
const GELU_CUBIC: f32 = 0.044_715;

/// 0.5 x (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3).
#[inline(always)]
pub(crate) fn gelu_tanh<L: Lane>(x: L) -> L {
    let cubic = (x * x).mul_add(L::splat(GELU_CUBIC), L::splat(1.0));
    x / (L::splat(1.0) + exp(x * cubic * L::splat(-2.0 * GELU_SLOPE)))
}

/// Derivative of [`gelu_tanh`].
#[inline(always)]
pub(crate) fn gelu_tanh_slope<L: Lane>(x: L) -> L {
    let square = x * x;
    let cubic = square.mul_add(L::splat(GELU_CUBIC), L::splat(1.0));
    let (s, rest) = sigmoids(x * cubic * L::splat(2.0 * GELU_SLOPE));
    let inner = square.mul_add(L::splat(3.0 * GELU_CUBIC), L::splat(1.0));
    let slope = x * inner * L::splat(2.0 * GELU_SLOPE);
    s * rest.mul_add(slope, L::splat(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::{Kernel, Simd};

    /// Applies function `F` to every element.
    struct Apply<'a>(Function, &'a mut [f32]);

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Exp,
        Exp2,
        Sigmoid,
        Silu,
        SiluSlope,
        Tanh,
        Gelu,
        GeluSlope,
    }

    impl Function {
        fn exact(self, x: f64) -> f64 {
            let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
            let u = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            match self {
                Self::Exp => x.exp(),
                Self::Exp2 => x.exp2(),
                Self::Sigmoid => sigmoid(x),
                Self::Silu => x * sigmoid(x),
                Self::SiluSlope => sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
                Self::Tanh => x.tanh(),
                Self::Gelu => 0.5 * x * (1.0 + u(x).tanh()),
                Self::GeluSlope => {
                    let t = u(x).tanh();
                    let slope = (2.0 / std::f64::consts::PI).sqrt() * (1.0 + 0.134145 * x * x);
                    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope
                }
            }
        }
    }

    impl Kernel for Apply<'_> {
        type Output = ();

        #[inline(always)]
        fn run<L: Lane>(self) {
            for chunk in self.1.chunks_mut(L::WIDTH) {
                let x = L::read_part(chunk);
                let y = match self.0 {
                    Function::Exp => exp(x),
                    Function::Exp2 => exp2(x),
                    Function::Sigmoid => sigmoid(x),
                    Function::Silu => silu(x),
                    Function::SiluSlope => silu_slope(x),
                    Function::Tanh => tanh(x),
                    Function::Gelu => gelu_tanh(x),
                    Function::GeluSlope => gelu_tanh_slope(x),
                };
                y.write_part(chunk);
            }
        }
    }

    /// Distance between neighbouring floats at `x`.
    fn ulp(x: f64) -> f64 {
        let x = (x.abs() as f32).max(f32::MIN_POSITIVE);
        f64::from(f32::from_bits(x.to_bits() + 1)) - f64::from(x)
    }

    /// Largest error over [from, to]: in ulp of the result, but at least of `floor`.
    fn worst(simd: Simd, function: Function, from: f64, to: f64, floor: f64) -> (f64, f64) {
        const POINTS: usize = 200_003;
        let points: Vec<f32> = (0..POINTS)
            .map(|i| (from + (to - from) * i as f64 / (POINTS - 1) as f64) as f32)
            .collect();
        let mut results = points.clone();
        simd.run(Apply(function, &mut results));
        let mut worst = (0.0, 0.0);
        for (&x, &y) in points.iter().zip(&results) {
            let exact = function.exact(f64::from(x));
            let error = (f64::from(y) - exact).abs() / ulp(exact.abs().max(floor));
            assert!(!error.is_nan(), "{function:?}({x}) = {y}, exact {exact}");
            if error > worst.0 {
                worst = (error, f64::from(x));
            }
        }
        worst
    }

    #[test]
    fn errors_stay_within_the_documented_ulp() {
        let cases = [
            (Function::Exp, -87.3, 88.7, 0.0, 2.0),
            (Function::Exp, -0.7, 0.7, 0.0, 2.0),
            (Function::Exp2, -125.9, 127.0, 0.0, 2.0),
            (Function::Exp2, -1.0, 0.0, 0.0, 2.0),
            (Function::Sigmoid, -87.0, 87.0, 0.0, 4.0),
            (Function::Silu, -80.0, 80.0, 0.0, 4.0),
            (Function::SiluSlope, -30.0, 30.0, 0.5, 4.0),
            (Function::Tanh, -20.0, 20.0, 0.0, 4.0),
            (Function::Tanh, -0.7, 0.7, 0.0, 4.0),
            (Function::Gelu, -20.0, 20.0, 0.1, 8.0),
            (Function::GeluSlope, -20.0, 20.0, 0.5, 8.0),
        ];
        for simd in Simd::available() {
            for (function, from, to, floor, limit) in cases {
                let (error, at) = worst(simd, function, from, to, floor);
                assert!(error <= limit, "{simd:?} {function:?}: {error} ulp at {at}");
            }
        }
    }

    #[test]
    fn special_values_follow_the_limits() {
        for simd in Simd::available() {
            let apply = |function, x: f32| {
                let mut out = [x];
                simd.run(Apply(function, &mut out));
                out[0]
            };
            for function in [Function::Exp, Function::Exp2, Function::Sigmoid, Function::Tanh] {
                assert!(apply(function, f32::NAN).is_nan(), "{simd:?} {function:?} of NaN");
            }
            assert_eq!(apply(Function::Exp, f32::INFINITY), f32::INFINITY);
            assert_eq!(apply(Function::Exp, f32::NEG_INFINITY), 0.0);
            assert_eq!(apply(Function::Exp, 0.0), 1.0);
            assert_eq!(apply(Function::Exp2, f32::NEG_INFINITY), 0.0);
            assert_eq!(apply(Function::Exp2, -3.0), 0.125);
            assert_eq!(apply(Function::Sigmoid, f32::NEG_INFINITY), 0.0);
            assert_eq!(apply(Function::Sigmoid, f32::INFINITY), 1.0);
            assert_eq!(apply(Function::Tanh, f32::NEG_INFINITY), -1.0);
            assert_eq!(apply(Function::Tanh, 100.0), 1.0);
            assert_eq!(apply(Function::Silu, 100.0), 100.0);
            assert_eq!(apply(Function::Gelu, -50.0), 0.0);
        }
    }
}
