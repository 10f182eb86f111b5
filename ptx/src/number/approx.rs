//! The approximate functions, computed in f64 and rounded: better than the device, never worse.
//! Comparisons of `min` and `max`, and flushing of subnormals, stand here too.

/// Subnormal values become zero of the same sign.
pub(crate) fn flush(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

/// Clamps to [0, 1]; NaN becomes +0.
pub(crate) fn saturate(x: f32) -> f32 {
    if x > 0.0 { x.min(1.0) } else { 0.0 }
}

/// Clamps to [0, 1]; NaN becomes +0.
pub(crate) fn saturate_f64(x: f64) -> f64 {
    if x > 0.0 { x.min(1.0) } else { 0.0 }
}

pub(crate) fn ex2(x: f32) -> f32 {
    f64::from(x).exp2() as f32
}

pub(crate) fn lg2(x: f32) -> f32 {
    f64::from(x).log2() as f32
}

pub(crate) fn sine(x: f32) -> f32 {
    f64::from(x).sin() as f32
}

pub(crate) fn cosine(x: f32) -> f32 {
    f64::from(x).cos() as f32
}

pub(crate) fn tanh(x: f32) -> f32 {
    f64::from(x).tanh() as f32
}

pub(crate) fn rsqrt(x: f32) -> f32 {
    (1.0 / f64::from(x).sqrt()) as f32
}

/// The lesser value: -0 is less than +0, NaN loses.
pub(crate) fn min_f32(a: f32, b: f32) -> f32 {
    if a.is_nan() && b.is_nan() {
        f32::from_bits(0x7fff_ffff)
    } else if b.is_nan() || a < b || (a == b && a.is_sign_negative()) {
        a
    } else {
        b
    }
}

/// The greater value: +0 is greater than -0, NaN loses.
pub(crate) fn max_f32(a: f32, b: f32) -> f32 {
    if a.is_nan() && b.is_nan() {
        f32::from_bits(0x7fff_ffff)
    } else if b.is_nan() || a > b || (a == b && a.is_sign_positive()) {
        a
    } else {
        b
    }
}

/// As `min_f32`, but NaN wins.
pub(crate) fn min_nan_f32(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::from_bits(0x7fff_ffff) } else { min_f32(a, b) }
}

/// As `max_f32`, but NaN wins.
pub(crate) fn max_nan_f32(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::from_bits(0x7fff_ffff) } else { max_f32(a, b) }
}

pub(crate) fn min_f64(a: f64, b: f64) -> f64 {
    if b.is_nan() || a < b || (a == b && a.is_sign_negative()) { a } else { b }
}

pub(crate) fn max_f64(a: f64, b: f64) -> f64 {
    if b.is_nan() || a > b || (a == b && a.is_sign_positive()) { a } else { b }
}

/// The result takes the sign of `a · b`, as `.xorsign.abs` asks.
pub(crate) fn xorsign_abs(a: f32, b: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let sign = (a.to_bits() ^ b.to_bits()) & 0x8000_0000;
    f32::from_bits(f(a.abs(), b.abs()).to_bits() & 0x7fff_ffff | sign)
}
