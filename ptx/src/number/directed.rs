//! f32 and f64 operations with a rounding mode. An f32 operation is done in f64 with its exact
//! rounding error and rounded once; an f64 one is rounded to nearest and then moved by the sign
//! of its error.

use super::round::{F32, Mode, round_pair};

/// The rounded sum and its exact error.
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    if !sum.is_finite() {
        return (sum, 0.0);
    }
    let bb = sum - a;
    (sum, (a - (sum - bb)) + (b - bb))
}

fn finish(sum: f64, error: f64, is_cancelled: bool, mode: Mode) -> f32 {
    if is_cancelled && sum == 0.0 && error == 0.0 && mode == Mode::Down {
        return -0.0;
    }
    f32::from_bits(round_pair(sum, error, F32, mode) as u32)
}

/// `a · b + c`, rounded once.
pub(crate) fn fma_f32(a: f32, b: f32, c: f32, mode: Mode) -> f32 {
    if mode == Mode::Nearest {
        return a.mul_add(b, c);
    }
    let product = f64::from(a) * f64::from(b);
    let (sum, error) = two_sum(product, f64::from(c));
    let signs_differ = product.is_sign_negative() != c.is_sign_negative();
    finish(sum, error, signs_differ, mode)
}

/// `a + b`.
pub(crate) fn add_f32(a: f32, b: f32, mode: Mode) -> f32 {
    fma_f32(a, 1.0, b, mode)
}

/// `a · b`.
pub(crate) fn mul_f32(a: f32, b: f32, mode: Mode) -> f32 {
    finish(f64::from(a) * f64::from(b), 0.0, false, mode)
}

/// `a / b`.
pub(crate) fn div_f32(a: f32, b: f32, mode: Mode) -> f32 {
    let (a, b) = (f64::from(a), f64::from(b));
    let quotient = a / b;
    let rest = if quotient.is_finite() { (-quotient).mul_add(b, a) / b } else { 0.0 };
    finish(quotient, rest, false, mode)
}

/// `√a`.
pub(crate) fn sqrt_f32(a: f32, mode: Mode) -> f32 {
    let a = f64::from(a);
    let root = a.sqrt();
    let rest = if root.is_finite() { (-root).mul_add(root, a) } else { 0.0 };
    finish(root, rest, false, mode)
}

/// Moves a nearest result by the sign of the error it left.
fn nudge(result: f64, error: f64, mode: Mode) -> f64 {
    if !result.is_finite() || error == 0.0 || error.is_nan() {
        return result;
    }
    match mode {
        Mode::Nearest | Mode::NearestAway => result,
        Mode::Up if error > 0.0 => result.next_up(),
        Mode::Down if error < 0.0 => result.next_down(),
        Mode::Zero if result > 0.0 && error < 0.0 => result.next_down(),
        Mode::Zero if result < 0.0 && error > 0.0 => result.next_up(),
        _ => result,
    }
}

/// An overflow to infinity in a mode that stays finite.
fn bound(result: f64, is_exact_infinity: bool, mode: Mode) -> f64 {
    if !result.is_infinite() || is_exact_infinity {
        return result;
    }
    match mode {
        Mode::Zero => f64::MAX.copysign(result),
        Mode::Down if result > 0.0 => f64::MAX,
        Mode::Up if result < 0.0 => f64::MIN,
        _ => result,
    }
}

/// `a · b + c`, rounded once.
pub(crate) fn fma_f64(a: f64, b: f64, c: f64, mode: Mode) -> f64 {
    let result = a.mul_add(b, c);
    if mode == Mode::Nearest {
        return result;
    }
    let product = a * b;
    let low = a.mul_add(b, -product);
    let (alpha, z) = two_sum(c, low);
    let (beta, beta_low) = two_sum(product, alpha);
    let gamma = (beta - result) + beta_low;
    let infinite = a.is_infinite() || b.is_infinite() || c.is_infinite();
    bound(nudge(result, gamma + z, mode), infinite, mode)
}

/// `a + b`.
pub(crate) fn add_f64(a: f64, b: f64, mode: Mode) -> f64 {
    let (sum, error) = two_sum(a, b);
    if sum == 0.0 && mode == Mode::Down && a.is_sign_negative() != b.is_sign_negative() {
        return -0.0;
    }
    bound(nudge(sum, error, mode), a.is_infinite() || b.is_infinite(), mode)
}

/// `a · b`.
pub(crate) fn mul_f64(a: f64, b: f64, mode: Mode) -> f64 {
    let product = a * b;
    let infinite = a.is_infinite() || b.is_infinite();
    bound(nudge(product, a.mul_add(b, -product), mode), infinite, mode)
}

/// `a / b`.
pub(crate) fn div_f64(a: f64, b: f64, mode: Mode) -> f64 {
    let quotient = a / b;
    let rest = (-quotient).mul_add(b, a);
    let error = if b < 0.0 { -rest } else { rest };
    bound(nudge(quotient, error, mode), a.is_infinite() || b == 0.0, mode)
}

/// `√a`.
pub(crate) fn sqrt_f64(a: f64, mode: Mode) -> f64 {
    let root = a.sqrt();
    nudge(root, (-root).mul_add(root, a), mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directed_results_bracket_nearest() {
        let pairs = [(1.0f32, 3.0f32), (0.1, 0.7), (-5.5, 1e-9), (3e38, 1.5), (1e-40, 0.3)];
        for (a, b) in pairs {
            for f in [add_f32, mul_f32, div_f32] {
                let (down, up) = (f(a, b, Mode::Down), f(a, b, Mode::Up));
                let near = f(a, b, Mode::Nearest);
                assert!(down <= near && near <= up, "{a} {b}: {down} {near} {up}");
                assert!(up == down || up == down.next_up(), "{a} {b}: {down} {up}");
                let zero = f(a, b, Mode::Zero);
                assert_eq!(zero.abs(), down.abs().min(up.abs()));
            }
            for f in [add_f64, mul_f64, div_f64] {
                let (a, b) = (f64::from(a) * 1.1, f64::from(b) * 1.3);
                let (down, up) = (f(a, b, Mode::Down), f(a, b, Mode::Up));
                assert!(up == down || up == down.next_up(), "{a} {b}: {down} {up}");
            }
        }
        assert!(add_f32(1.0, -1.0, Mode::Down).is_sign_negative());
        assert!(add_f32(1.0, -1.0, Mode::Nearest).is_sign_positive());
        assert_eq!(sqrt_f32(2.0, Mode::Up), 2f32.sqrt().max(sqrt_f32(2.0, Mode::Down).next_up()));
        assert_eq!(fma_f32(3.0, 4.0, 5.0, Mode::Zero), 17.0);
    }
}
