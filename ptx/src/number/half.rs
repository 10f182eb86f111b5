//! f16 and bf16 arithmetic: exact in f64, rounded once; and the packed pairs.

use super::directed::two_sum;
use super::round::{BF16, F16, Format, Mode, from_f64, round_pair};

/// Value of an f16 encoding.
pub(crate) fn to_f32_f16(bits: u32) -> f32 {
    // Scaling moves the exponent, subnormal values included; infinities and NaN are set apart.
    let shifted = (bits & 0x7fff) << 13;
    let scaled = f32::from_bits(shifted) * f32::from_bits(0x7780_0000);
    let special = if shifted >= 0x0f80_0000 { 0x7f80_0000 } else { 0 };
    f32::from_bits(scaled.to_bits() | special | (bits & 0x8000) << 16)
}

/// Value of a bf16 encoding.
pub(crate) fn to_f32_bf16(bits: u32) -> f32 {
    f32::from_bits(bits << 16)
}

/// Applies a scalar function to both halves.
pub(crate) fn halves(a: u32, b: u32, c: u32, f: impl Fn(u32, u32, u32) -> u32) -> u32 {
    f(a & 0xffff, b & 0xffff, c & 0xffff) | f(a >> 16, b >> 16, c >> 16) << 16
}

/// Rounds `a · b + c` to the format.
fn fused(a: f64, b: f64, c: f64, format: Format) -> u32 {
    let (sum, error) = two_sum(a * b, c);
    round_pair(sum, error, format, Mode::Nearest) as u32
}

macro_rules! format_module {
    ($name:ident, $format:expr, $to:path, $doc:literal) => {
        #[doc = $doc]
        pub(crate) mod $name {
            use super::*;

            fn value(bits: u32) -> f64 {
                f64::from($to(bits & 0xffff))
            }

            fn is_nan(bits: u32) -> bool {
                u64::from(bits & 0x7fff) > $format.infinity()
            }

            pub(crate) fn add(a: u32, b: u32) -> u32 {
                fused(value(a), 1.0, value(b), $format)
            }

            pub(crate) fn sub(a: u32, b: u32) -> u32 {
                fused(value(a), 1.0, -value(b), $format)
            }

            pub(crate) fn mul(a: u32, b: u32) -> u32 {
                from_f64(value(a) * value(b), $format, Mode::Nearest) as u32
            }

            pub(crate) fn fma(a: u32, b: u32, c: u32) -> u32 {
                fused(value(a), value(b), value(c), $format)
            }

            /// Clamps to [0, 1]; NaN becomes 0.
            pub(crate) fn saturate(a: u32) -> u32 {
                let x = value(a);
                if x.is_nan() || x <= 0.0 {
                    return 0;
                }
                if x >= 1.0 { from_f64(1.0, $format, Mode::Nearest) as u32 } else { a }
            }

            /// Negative values become 0; NaN becomes the canonical NaN.
            pub(crate) fn relu(a: u32) -> u32 {
                if is_nan(a) {
                    return 0x7fff;
                }
                if a & 0x8000 != 0 { 0 } else { a }
            }

            /// Subnormal values become zero of the same sign.
            pub(crate) fn flush(a: u32) -> u32 {
                let smallest = 1 << ($format.precision - 1);
                if a & 0x7fff < smallest { a & 0x8000 } else { a }
            }

            /// The lesser value; a NaN loses, unless `nan` says that it wins.
            pub(crate) fn min(a: u32, b: u32, nan: bool) -> u32 {
                pick(a, b, nan, value(a) < value(b) || (value(a) == value(b) && a & 0x8000 != 0))
            }

            /// The greater value; a NaN loses, unless `nan` says that it wins.
            pub(crate) fn max(a: u32, b: u32, nan: bool) -> u32 {
                pick(a, b, nan, value(a) > value(b) || (value(a) == value(b) && a & 0x8000 == 0))
            }

            fn pick(a: u32, b: u32, nan: bool, first: bool) -> u32 {
                match (is_nan(a), is_nan(b)) {
                    (true, true) => 0x7fff,
                    (true, false) if !nan => b,
                    (false, true) if !nan => a,
                    (true, false) | (false, true) => 0x7fff,
                    _ if first => a,
                    _ => b,
                }
            }

            /// Applies a function of f32 and rounds its result.
            pub(crate) fn through(a: u32, f: impl Fn(f32) -> f32) -> u32 {
                from_f64(f64::from(f($to(a & 0xffff))), $format, Mode::Nearest) as u32
            }
        }
    };
}

format_module!(f16x2, F16, to_f32_f16, "Scalar operations on f16 encodings.");
format_module!(bf16x2, BF16, to_f32_bf16, "Scalar operations on bf16 encodings.");
