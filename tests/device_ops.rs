//! The table of op cases on an emulated device, under all checks: results against the f64 reference,
//! gradients against those of the CPU.

use vincie_autograd::check::{gradients, optimized};
use vincie_tensor::cases::{cases, deviation};
use vincie_tensor::ops::Concat;
use vincie_tensor::reference::Array;
use vincie_tensor::{Accelerator, DType, Op, Tensor};

/// The approximate exponential and reciprocal of the device, in units of the largest result.
const APPROXIMATE: f64 = 4e-6;

fn emulated() -> Accelerator {
    Accelerator::open("emulated:0".parse().expect("a device")).expect("the emulator starts")
}

fn on(place: &Accelerator, tensors: &[Tensor]) -> Vec<Tensor> {
    let to = |t: &Tensor| t.to_place(Some(place)).expect("it is uploaded");
    // bf16 tensors lie one element behind an aligned address.
    let shifted = |t: &Tensor| -> vincie_tensor::Result<Tensor> {
        let flat = t.reshape([t.count()])?;
        let longer = Op::from(Concat { axis: 0 }).forward(&[&flat.narrow(0, 0, 1)?, &flat])?;
        to(&longer[0]).narrow(0, 1, t.count())?.reshape(t.shape())
    };
    let is_shifted = |t: &Tensor| t.dtype() == DType::BF16 && t.count() > 0;
    let place = |t: &Tensor| if is_shifted(t) { shifted(t).expect("a view") } else { to(t) };
    tensors.iter().map(place).collect()
}

#[test]
fn kernels_equal_the_reference() {
    let place = emulated();
    let mut wrong = Vec::new();
    for case in cases() {
        let inputs = on(&place, &case.inputs);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let results = match case.op.forward(&inputs) {
            Ok(results) => results,
            Err(e) => {
                wrong.push(format!("{}: {e}", case.name));
                continue;
            }
        };
        let specs = case.op.infer(&inputs).expect("it was inferred before");
        let arrays: Vec<Array> =
            case.inputs.iter().map(|t| Array::from_tensor(t).expect("on the host")).collect();
        let references = case.op.reference(&arrays);
        for (i, ((result, reference), spec)) in
            results.iter().zip(&references).zip(specs).enumerate()
        {
            assert_eq!((result.shape(), result.dtype()), spec, "{}: result {i}", case.name);
            assert!(result.accelerator().is_some(), "{}: result {i}", case.name);
            let host = match result.to_host() {
                Ok(host) => host,
                Err(e) => {
                    wrong.push(format!("{}: result {i}: {e}", case.name));
                    continue;
                }
            };
            let ours = Array::from_tensor(&host).expect("on the host");
            let deviation = deviation(&ours, reference);
            if deviation > case.tolerance.max(APPROXIMATE) {
                wrong.push(format!("{}: result {i}: {deviation:e}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn gradients_equal_those_of_the_cpu() {
    let place = emulated();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in cases() {
        let expected =
            gradients(&case, &case.inputs).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let ours = match gradients(&case, &on(&place, &case.inputs)) {
            Ok(ours) => ours,
            Err(e) => {
                wrong.push(format!("{}: {e}", case.name));
                continue;
            }
        };
        let is_rounded = case.inputs.iter().any(|input| input.dtype() == DType::BF16);
        let tolerance = if is_rounded { 1.6e-2 } else { 1e-5 };
        for (i, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
            match (ours, expected) {
                (None, None) => {}
                (Some(ours), Some(expected)) if ours.shape() == expected.shape() => {
                    let array = |t: &Tensor| Array::from_tensor(t).expect("on the host");
                    let deviation = deviation(&array(ours), &array(expected));
                    compared += 1;
                    if deviation.is_nan() || deviation > tolerance {
                        wrong.push(format!("{}: gradient {i}: {deviation:e}", case.name));
                    }
                }
                (ours, expected) => {
                    wrong.push(format!("{}: gradient {i}: {ours:?}, {expected:?}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 100, "only {compared} gradients");
}

#[test]
fn optimizer_steps_equal_those_of_the_host() {
    let place = Accelerator::open("emulated:5".parse().expect("a device")).expect("it starts");
    for is_broken in [false, true] {
        let expected = optimized(None, is_broken).expect("it runs on the host");
        let ours = optimized(Some(&place), is_broken).expect("it runs on the device");
        assert_eq!(expected.len(), ours.len());
        for (at, (a, b)) in expected.iter().zip(&ours).enumerate() {
            // A bf16 weight may round the other way, which its average then shows, too.
            let is_close = a == b || (a - b).abs() <= 1e-5 + 8e-3 * a.abs() && at >= 3;
            assert!(is_close || (a - b).abs() <= 1e-6 * a.abs(), "{at}: host {a}, device {b}");
        }
        let apart = expected.iter().zip(&ours).filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
        assert!(apart < expected.len() / 1000, "{apart} of {} apart", expected.len());
        assert_eq!(expected[2].is_finite(), !is_broken);
    }
}
