//! Two readers of the table of op cases: fast kernels against the f64 reference, and gradients
//! against central differences of it.

use vincie_autograd::check;
use vincie_tensor::Op;
use vincie_tensor::cases::cases;
use vincie_tensor::reference::Array;

/// Elements of a large input whose gradient is checked.
const SAMPLES: usize = 60;

#[test]
fn every_op_has_cases() {
    let cases = cases();
    for name in Op::NAMES {
        assert!(
            cases.iter().any(|case| case.op.name() == *name),
            "the table has no row for {name}"
        );
    }
}

#[test]
fn fast_kernels_equal_the_reference() {
    for case in cases() {
        let inputs: Vec<_> = case.inputs.iter().collect();
        let results = case.op.forward(&inputs).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let specs = case.op.infer(&inputs).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let arrays: Vec<Array> =
            case.inputs.iter().map(|t| Array::from_tensor(t).unwrap()).collect();
        let references = case.op.reference(&arrays);
        assert_eq!(results.len(), references.len(), "{}", case.name);
        for (i, ((result, reference), spec)) in
            results.iter().zip(&references).zip(specs).enumerate()
        {
            assert_eq!(
                (result.shape(), result.dtype()),
                spec,
                "{}: result {i} is not what the rule says",
                case.name
            );
            assert_eq!(result.shape(), reference.shape, "{}: result {i}", case.name);
            let ours = Array::from_tensor(result).unwrap();
            let largest =
                reference.data.iter().filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs()));
            for (at, (a, b)) in ours.data.iter().zip(&reference.data).enumerate() {
                let is_close = a == b || (a - b).abs() <= case.tolerance * largest;
                assert!(
                    is_close,
                    "{}: result {i} at {at}: {a}, reference {b}, largest {largest}",
                    case.name
                );
            }
        }
    }
}

/// The gradient is computed in f32 or bf16 and the differences in f64, so what is left is rounding.
#[test]
fn gradients_equal_central_differences() {
    for case in cases() {
        let deviations = check::compare(
            &case.op,
            &case.inputs,
            &case.differentiable,
            case.with_gradient,
            SAMPLES,
        )
        .unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(deviations.len(), case.differentiable.len());
        let tolerance = case.gradient_tolerance().max(2e-5);
        for deviation in deviations {
            let is_close = deviation.relative <= tolerance || deviation.absolute <= 5e-6;
            assert!(is_close, "{}: {deviation:?}, tolerance {tolerance}", case.name);
        }
    }
}
