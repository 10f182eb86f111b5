//! Rounding of an exact value to a binary format, once, in any mode. Every conversion and every
//! directed operation ends here.

/// Rounding modes of the ISA: `.rn`, `.rz`, `.rm`, `.rp` and `.rna`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Nearest,
    Zero,
    Down,
    Up,
    NearestAway,
}

impl Mode {
    pub(crate) fn parse(word: &str) -> Option<Mode> {
        Some(match word {
            "rn" | "rni" => Mode::Nearest,
            "rz" | "rzi" => Mode::Zero,
            "rm" | "rmi" => Mode::Down,
            "rp" | "rpi" => Mode::Up,
            "rna" => Mode::NearestAway,
            _ => return None,
        })
    }
}

/// A binary floating-point format with IEEE encoding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// Significand bits with the hidden one.
    pub(crate) precision: u32,
    pub(crate) min_exponent: i32,
    pub(crate) max_exponent: i32,
}

pub(crate) const F32: Format = Format { precision: 24, min_exponent: -126, max_exponent: 127 };
pub(crate) const F16: Format = Format { precision: 11, min_exponent: -14, max_exponent: 15 };
pub(crate) const BF16: Format = Format { precision: 8, min_exponent: -126, max_exponent: 127 };
pub(crate) const TF32: Format = Format { precision: 11, min_exponent: -126, max_exponent: 127 };
pub(crate) const F64: Format = Format { precision: 53, min_exponent: -1022, max_exponent: 1023 };
/// Four bits of exponent, three of mantissa; has no infinity, so its top binade ends at 448.
pub(crate) const E4M3: Format = Format { precision: 4, min_exponent: -6, max_exponent: 8 };
pub(crate) const E5M2: Format = Format { precision: 3, min_exponent: -14, max_exponent: 15 };

impl Format {
    fn sign_bit(self) -> u64 {
        2 << self.infinity().ilog2()
    }

    pub(crate) fn infinity(self) -> u64 {
        ((self.max_exponent - self.min_exponent + 2) as u64) << (self.precision - 1)
    }
}

/// Rounds `±(mantissa · 2^exponent + tail)`, where the tail is 0 or, with `sticky`, somewhere
/// strictly between 0 and the last bit of the mantissa. Returns the encoding without the sign.
fn round_magnitude(
    is_negative: bool,
    mantissa: u128,
    exponent: i32,
    sticky: bool,
    format: Format,
    mode: Mode,
) -> u64 {
    if mantissa == 0 {
        return u64::from(
            sticky && (mode == Mode::Up && !is_negative || mode == Mode::Down && is_negative),
        );
    }
    let top = exponent + 127 - mantissa.leading_zeros() as i32;
    let last = top.max(format.min_exponent) - (format.precision as i32 - 1);
    let shift = last - exponent;
    let (kept, above_half, is_half, is_exact) = if shift <= 0 {
        ((mantissa << -shift) as u64, false, false, !sticky)
    } else if shift > 127 {
        (0, false, false, false)
    } else {
        let rest = mantissa & ((1 << shift) - 1);
        let half = 1u128 << (shift - 1);
        let kept = (mantissa >> shift) as u64;
        (
            kept,
            rest > half || (rest == half && sticky),
            rest == half && !sticky,
            rest == 0 && !sticky,
        )
    };
    let up = match mode {
        Mode::Nearest => above_half || (is_half && kept & 1 == 1),
        Mode::NearestAway => above_half || is_half,
        Mode::Zero => false,
        Mode::Down => is_negative && !is_exact,
        Mode::Up => !is_negative && !is_exact,
    };
    let kept = kept + u64::from(up);
    let hidden = 1u64 << (format.precision - 1);
    let encoded = if kept < hidden {
        kept
    } else {
        let field = (last + format.precision as i32 - 1 - format.min_exponent + 1) as u64;
        (field << (format.precision - 1)) + (kept - hidden)
    };
    if encoded < format.infinity() {
        return encoded;
    }
    let stays_finite = match mode {
        Mode::Nearest | Mode::NearestAway => false,
        Mode::Zero => true,
        Mode::Down => !is_negative,
        Mode::Up => is_negative,
    };
    format.infinity() - u64::from(stays_finite)
}

fn split(value: f64) -> (bool, u64, i32) {
    let bits = value.to_bits();
    let field = ((bits >> 52) & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let mantissa = if field == 0 { fraction } else { fraction | 1 << 52 };
    (bits >> 63 == 1, mantissa, field.max(1) - 1075)
}

/// Rounds the exact value `sum + error`, where `|error|` is at most half a last bit of `sum`;
/// only the sign of the error matters. Not finite sums keep their kind; NaN is the canonical one.
pub(crate) fn round_pair(sum: f64, error: f64, format: Format, mode: Mode) -> u64 {
    let sign = format.sign_bit();
    if sum.is_nan() {
        return sign - 1;
    }
    if sum.is_infinite() {
        return format.infinity() | if sum < 0.0 { sign } else { 0 };
    }
    let (is_negative, mantissa, exponent) = split(sum);
    let mut wide = u128::from(mantissa) << 8;
    let has_error = error != 0.0;
    if has_error && (error < 0.0) != is_negative {
        wide = wide.wrapping_sub(1);
    }
    let magnitude = round_magnitude(is_negative, wide, exponent - 8, has_error, format, mode);
    magnitude | if is_negative { sign } else { 0 }
}

/// `a · b + c` for finite values, in exact integers, rounded once. The caller treats exact zeros.
pub(crate) fn fma_exact(a: f64, b: f64, c: f64, mode: Mode) -> f64 {
    let ((sign_a, mantissa_a, exponent_a), (sign_b, mantissa_b, exponent_b)) = (split(a), split(b));
    let (sign_c, mantissa_c, exponent_c) = split(c);
    let product = (
        sign_a != sign_b,
        u128::from(mantissa_a) * u128::from(mantissa_b),
        exponent_a + exponent_b,
    );
    let (is_negative, magnitude, exponent, sticky) =
        add_exact(product, (sign_c, u128::from(mantissa_c), exponent_c));
    let bits = round_magnitude(is_negative, magnitude, exponent, sticky, F64, mode);
    let value = f64::from_bits(bits);
    if is_negative { -value } else { value }
}

/// The sum of two signed integers with exponents; what does not fit 126 bits becomes a tail.
fn add_exact(x: (bool, u128, i32), y: (bool, u128, i32)) -> (bool, u128, i32, bool) {
    if x.1 == 0 {
        return (y.0, y.1, y.2, false);
    }
    if y.1 == 0 {
        return (x.0, x.1, x.2, false);
    }
    let top = |v: &(bool, u128, i32)| v.2 + 128 - v.1.leading_zeros() as i32;
    let (big, small) = if top(&x) >= top(&y) { (x, y) } else { (y, x) };
    let room = big.1.leading_zeros() as i32 - 2;
    let exponent = big.2 - room;
    let big_value = big.1 << room;
    let shift = small.2 - exponent;
    let (small_value, sticky) = if shift >= 0 {
        (small.1 << shift, false)
    } else if -shift > 127 {
        (0, true)
    } else {
        (small.1 >> -shift, small.1 & ((1 << -shift) - 1) != 0)
    };
    if big.0 == small.0 {
        return (big.0, big_value + small_value, exponent, sticky);
    }
    let difference = big_value.wrapping_sub(small_value).wrapping_sub(u128::from(sticky));
    if big_value < small_value {
        return (small.0, small_value - big_value, exponent, sticky);
    }
    (big.0, difference, exponent, sticky)
}

/// `a / b` for finite values with `b` not 0, rounded once.
pub(crate) fn div_exact(a: f64, b: f64, mode: Mode) -> f64 {
    let ((sign_a, mantissa_a, exponent_a), (sign_b, mantissa_b, exponent_b)) = (split(a), split(b));
    let numerator = u128::from(mantissa_a) << 70;
    let (quotient, rest) = (numerator / u128::from(mantissa_b), numerator % u128::from(mantissa_b));
    let exponent = exponent_a - exponent_b - 70;
    let is_negative = sign_a != sign_b;
    let bits = round_magnitude(is_negative, quotient, exponent, rest != 0, F64, mode);
    let value = f64::from_bits(bits);
    if is_negative { -value } else { value }
}

/// Rounds a double to the format.
pub(crate) fn from_f64(value: f64, format: Format, mode: Mode) -> u64 {
    round_pair(value, 0.0, format, mode)
}

/// Rounds an integer to the format.
pub(crate) fn from_integer(value: i128, format: Format, mode: Mode) -> u64 {
    let is_negative = value < 0;
    let magnitude = round_magnitude(is_negative, value.unsigned_abs(), 0, false, format, mode);
    magnitude | if is_negative { format.sign_bit() } else { 0 }
}

/// `cvt.rn.satfinite.e4m3x2`: values beyond 448 become 448, NaN stays NaN.
pub(crate) fn to_e4m3(value: f32) -> u32 {
    if value.is_nan() {
        return 0x7f;
    }
    let bits = round_pair(f64::from(value.abs()), 0.0, E4M3, Mode::Nearest).min(0x7e) as u32;
    bits | if value.is_sign_negative() { 0x80 } else { 0 }
}

/// `cvt.rn.satfinite.e5m2x2`: values beyond 57344 become 57344, NaN stays NaN.
pub(crate) fn to_e5m2(value: f32) -> u32 {
    if value.is_nan() {
        return 0x7f;
    }
    let bits = round_pair(f64::from(value.abs()), 0.0, E5M2, Mode::Nearest).min(0x7b) as u32;
    bits | if value.is_sign_negative() { 0x80 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_agrees_with_the_host() {
        let mut state = 1u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let value = f64::from_bits(state);
            if value.is_nan() {
                continue;
            }
            assert_eq!(from_f64(value, F32, Mode::Nearest) as u32, (value as f32).to_bits());
            let near = f64::from(f32::from_bits((state >> 32) as u32)) * 1.000_000_01;
            if !near.is_nan() {
                assert_eq!(from_f64(near, F32, Mode::Nearest) as u32, (near as f32).to_bits());
                let half = ::half::f16::from_f64(near).to_bits();
                assert_eq!(from_f64(near, F16, Mode::Nearest) as u16, half, "{near}");
                assert_eq!(from_f64(near, F64, Mode::Nearest), near.to_bits());
            }
            let integer = state as i64;
            let want = (integer as f32).to_bits();
            assert_eq!(from_integer(i128::from(integer), F32, Mode::Nearest) as u32, want);
        }
    }

    #[test]
    fn directed_modes_bracket_the_value() {
        let value = 0.1f64;
        let at = |mode| f32::from_bits(from_f64(value, F32, mode) as u32);
        assert!(f64::from(at(Mode::Down)) < value && f64::from(at(Mode::Up)) > value);
        assert_eq!(at(Mode::Zero), at(Mode::Down));
        assert_eq!(from_f64(1e300, F32, Mode::Zero) as u32, f32::MAX.to_bits());
        assert_eq!(from_f64(-1e300, F32, Mode::Up) as u32, (-f32::MAX).to_bits());
        assert_eq!(from_f64(-1e300, F32, Mode::Down) as u32, f32::NEG_INFINITY.to_bits());
        assert_eq!(from_f64(1e-300, F32, Mode::Up) as u32, 1);
    }

    #[test]
    fn eight_bit_formats_saturate() {
        assert_eq!(to_e4m3(1.0), 0x38);
        assert_eq!(to_e4m3(1e9), 0x7e);
        assert_eq!(to_e4m3(-448.0), 0xfe);
        assert_eq!(to_e4m3(470.0), 0x7e);
        assert_eq!(to_e5m2(1.0), 0x3c);
        assert_eq!(to_e5m2(1e9), 0x7b);
        assert_eq!(to_e5m2(-0.0), 0x80);
    }
}
