//! Applying a rule to two lists of numbers.

use super::manifest::Rule;
use half::bf16;

/// The outcome for one tensor: its error in the rule's own measure, and the bound on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) error: f64,
    pub(super) bound: f64,
    pub(super) is_within: bool,
}

/// Compares ours `a` with golden `b` of the same length. NaN is never within a bound.
pub(super) fn compare(rule: Rule, a: &[f64], b: &[f64]) -> Outcome {
    let worst =
        |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| f(a, b)).fold(0.0, worse);
    let distance = |a: f64, b: f64| if a == b { 0.0 } else { (a - b).abs() };
    let largest = b.iter().fold(0f64, |m, v| m.max(v.abs()));
    let (error, bound) = match rule {
        Rule::Exact => (
            worst(&|a, b| if a == b { 0.0 } else { worse(distance(a, b), f64::MIN_POSITIVE) }),
            0.0,
        ),
        Rule::MaxAbs { value } => (worst(&distance), value),
        Rule::MaxRel { value, abs } => (worst(&distance), value * largest + abs),
        Rule::RmsRel { value } => {
            let square = |sum: f64, v: f64| sum + v * v;
            let rms = |sum: f64| (sum / a.len().max(1) as f64).sqrt();
            let error = rms(a.iter().zip(b).map(|(a, b)| a - b).fold(0.0, square));
            (error, value * rms(b.iter().copied().fold(0.0, square)))
        }
        Rule::Levels { value, share } => {
            let differing =
                a.iter().zip(b).filter(|(a, b)| a != b).count() as f64 / a.len().max(1) as f64;
            let error = worst(&distance);
            return Outcome {
                error,
                bound: value,
                is_within: error <= value && differing <= share,
            };
        }
        Rule::Bf16Ulp { value } => (worst(&|a, b| ulps(a, b)), value),
    };
    Outcome { error, bound, is_within: error <= bound }
}

/// The larger of two errors, where not-a-number is the largest of all.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Steps of bf16 between two values, both rounded to bf16 first.
fn ulps(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    let place = |x: f64| {
        let bits = i32::from(bf16::from_f64(x).to_bits());
        if bits & 0x8000 == 0 { bits } else { 0x8000 - bits }
    };
    f64::from((place(a) - place(b)).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_accept_and_refuse() {
        let within = |rule, a: &[f64], b: &[f64]| compare(rule, a, b).is_within;
        assert!(
            within(Rule::Exact, &[1.0], &[1.0]) && !within(Rule::Exact, &[1.0], &[1.0 + 1e-15])
        );
        assert!(
            within(Rule::MaxAbs { value: 0.1 }, &[1.05], &[1.0])
                && !within(Rule::MaxAbs { value: 0.1 }, &[1.2], &[1.0])
        );
        let relative = Rule::MaxRel { value: 0.1, abs: 0.0 };
        assert!(
            within(relative, &[0.5, 10.0], &[1.0, 10.0])
                && !within(relative, &[2.5, 10.0], &[1.0, 10.0])
        );
        assert!(
            !within(relative, &[f64::NAN, 10.0], &[1.0, 10.0])
                && !within(Rule::Exact, &[f64::NAN], &[f64::NAN])
        );
        let levels = Rule::Levels { value: 1.0, share: 0.5 };
        assert!(
            within(levels, &[1.0, 2.0], &[1.0, 3.0]) && !within(levels, &[0.0, 2.0], &[1.0, 3.0])
        );
        let ulp = Rule::Bf16Ulp { value: 1.0 };
        assert!(
            within(ulp, &[1.0], &[1.0078125])
                && !within(ulp, &[1.0], &[1.015625])
                && within(ulp, &[-0.0], &[0.0])
        );
        let rms = Rule::RmsRel { value: 0.1 };
        assert!(within(rms, &[1.0, 1.1], &[1.0, 1.0]) && !within(rms, &[1.2, 1.2], &[1.0, 1.0]));
    }
}
