//! f32 and f64 operations with a rounding mode. An f32 operation is done in f64 with its exact
//! rounding error and rounded once; an f64 one is done in exact integers.

use super::round::{F32, Mode, div_exact, fma_exact, round_pair};

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

/// `a · b + c`, rounded once.
pub(crate) fn fma_f64(a: f64, b: f64, c: f64, mode: Mode) -> f64 {
    let near = a.mul_add(b, c);
    if mode == Mode::Nearest || !(a.is_finite() && b.is_finite() && c.is_finite()) {
        return near;
    }
    if near == 0.0 && (a == 0.0 || b == 0.0 || a * b == -c) {
        let exact = fma_exact(a, b, c, mode);
        let product_is_negative = a.is_sign_negative() != b.is_sign_negative();
        let cancels = product_is_negative != c.is_sign_negative();
        return match (exact == 0.0, cancels) {
            (true, true) if mode == Mode::Down => -0.0,
            (true, _) => near,
            _ => exact,
        };
    }
    fma_exact(a, b, c, mode)
}

/// `a + b`.
pub(crate) fn add_f64(a: f64, b: f64, mode: Mode) -> f64 {
    fma_f64(a, 1.0, b, mode)
}

/// `a · b`.
pub(crate) fn mul_f64(a: f64, b: f64, mode: Mode) -> f64 {
    if a == 0.0 || b == 0.0 || !a.is_finite() || !b.is_finite() {
        return a * b;
    }
    fma_exact(a, b, 0.0, mode)
}

/// `a / b`.
pub(crate) fn div_f64(a: f64, b: f64, mode: Mode) -> f64 {
    if a == 0.0 || b == 0.0 || !a.is_finite() || !b.is_finite() {
        return a / b;
    }
    div_exact(a, b, mode)
}

/// `√a`.
pub(crate) fn sqrt_f64(a: f64, mode: Mode) -> f64 {
    // Scaled up, the square of the root of a tiny value is exact enough to compare.
    let (scale, half) =
        if a.abs() < 1e-200 { (2f64.powi(400), 2f64.powi(-200)) } else { (1.0, 1.0) };
    let scaled = a * scale;
    let root = scaled.sqrt();
    if !root.is_finite() || root == 0.0 {
        return root;
    }
    let error = (-root).mul_add(root, scaled);
    let rounded = match mode {
        Mode::Up if error > 0.0 => root.next_up(),
        Mode::Down | Mode::Zero if error < 0.0 => root.next_down(),
        _ => root,
    };
    rounded * half
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
