//! The table of op cases on an emulated device, under all checks: results against the f64 reference,
//! gradients against those of the CPU.

use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::reference::Array;
use vincie_tensor::{Accelerator, DType, Tensor};
use vincie_tests::{Case, cases};

/// The approximate exponential and reciprocal of the device, in units of the largest result.
const APPROXIMATE: f64 = 4e-6;

fn emulated() -> Accelerator {
    Accelerator::open("emulated:0".parse().expect("a device")).expect("the emulator starts")
}

/// Deviations below this are rounding of values that cancel.
const ABSOLUTE: f64 = 2e-6;

/// Largest deviation, relative to the largest value.
fn deviation(ours: &Array, reference: &Array) -> f64 {
    let finite = reference.data.iter().filter(|v| v.is_finite());
    let largest = finite.fold(0f64, |most, v| most.max(v.abs()));
    let of = |(a, b): (&f64, &f64)| {
        let error = (a - b).abs();
        if a == b || error <= ABSOLUTE { 0.0 } else { error / largest }
    };
    // A NaN is never the smaller one.
    ours.data.iter().zip(&reference.data).map(of).fold(0.0, |most, d| if d <= most { most } else { d })
}

fn on(place: &Accelerator, tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().map(|t| t.to_place(Some(place)).expect("it is uploaded")).collect()
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

/// Gradients of all differentiable inputs, for a random gradient of the results.
fn gradients(case: &Case, inputs: &[Tensor]) -> vincie_tensor::Result<Vec<Option<Tensor>>> {
    let parameters = Parameters::new();
    let graph = Graph::recording(&parameters);
    let vars: Vec<Var> = inputs
        .iter()
        .enumerate()
        .map(|(i, input)| match case.differentiable.contains(&i) {
            true => graph.input(input.clone()),
            false => input.clone().into(),
        })
        .collect();
    let results = graph.apply(case.op.clone(), &vars.iter().collect::<Vec<_>>())?;
    let mut seeds = Vec::new();
    for (i, result) in results.iter().take(case.with_gradient).enumerate() {
        let seed = Key::new(7, Stream::Test, i as u64).normal_tensor(result.value().shape())?;
        seeds.push((result, seed.to_place(result.value().accelerator())?));
    }
    let gradients = graph.backward_from(&seeds)?;
    case.differentiable
        .iter()
        .map(|&i| gradients.of(&vars[i]).map(Tensor::to_host).transpose())
        .collect()
}

#[test]
fn gradients_equal_those_of_the_cpu() {
    let place = emulated();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in cases() {
        let expected = gradients(&case, &case.inputs).unwrap_or_else(|e| panic!("{}: {e}", case.name));
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
