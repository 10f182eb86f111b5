//! The table of op cases on an emulated device, under all checks: results against the f64 reference,
//! gradients against those of the CPU.

use vincie_autograd::check::{gradients, optimized};
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::cases::{cases, deviation};
use vincie_tensor::ops::Concat;
use vincie_tensor::random::{Key, Stream};
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

/// What leaves a product with it has the bits of ops behind each other, kept or not, and so have
/// gradients: on the host and on the device, where small sizes take the tiles of small products.
#[test]
fn linear_layers_and_their_ends_in_one_have_the_same_bits() {
    let device = emulated();
    let draw = |number: u64, dims: &[usize]| -> Tensor {
        Key::new(41, Stream::Test, number).normal_tensor(dims).expect("small tensors fit")
    };
    for (place, [r, c, k]) in [
        (None, [5, 37, 19]),
        (Some(&device), [5, 37, 19]),
        (Some(&device), [70, 72, 40]),
        (Some(&device), [3, 8, 1100]),
    ] {
        for dtype in [DType::F32, DType::BF16] {
            let groups: Vec<i32> = (0..r as i32).map(|row| row / 3 % 3).collect();
            let to = |t: Tensor| t.to_place(place).expect("it is uploaded");
            let factor = |n, dims: &[usize]| to(draw(n, dims).to_dtype(dtype).expect("a type"));
            let (x, w, second) = (factor(1, &[r, k]), factor(2, &[c, k]), factor(3, &[c, k]));
            let (gate, parameter) = (to(draw(4, &[3, c])), to(draw(5, &[c])));
            let (residual, bias) = (to(draw(6, &[r, c])), to(draw(7, &[c])));
            let groups: Var = to(Tensor::from_slice(&groups, [r]).expect("a table")).into();
            // Results, and gradients of everything for random gradients of the results.
            let run = |is_one: bool, is_recording: bool| -> Vec<Vec<f32>> {
                let parameters = Parameters::new();
                let g = match is_recording {
                    true => Graph::recording(&parameters),
                    false => Graph::inference(&parameters),
                };
                let inputs = [&x, &w, &second, &gate, &parameter, &residual, &bias];
                let vars = inputs.map(|input| g.input(input.clone()));
                let [x, w, second, gate, parameter, residual, bias] = &vars;
                let (first, other) = if is_one {
                    let bias = Some(bias);
                    let first =
                        g.linear_gate_residual(x, w, bias, gate, parameter, residual, &groups);
                    (first, g.linear_swiglu(x, w, second))
                } else {
                    let linear = |w, bias| g.linear(x, w, bias).expect("it is computed");
                    let product = linear(w, Some(bias));
                    let first = g.gate_residual(&product, gate, parameter, residual, &groups);
                    (first, g.swiglu(&linear(w, None), &linear(second, None)))
                };
                let results = [first.expect("it is computed"), other.expect("it is computed")];
                let read = |t: &Tensor| t.to_f32()?.to_host()?.to_vec::<f32>();
                let mut all: Vec<Vec<f32>> =
                    results.iter().map(|r| read(r.value()).expect("it is read")).collect();
                if is_recording {
                    let seeds = [8, 9].map(|number| to(draw(number, &[r, c])));
                    let seeds: Vec<_> = results.iter().zip(seeds).collect();
                    let gradients = g.backward_from(&seeds).expect("it has gradients");
                    let of = |var| read(gradients.of(var).expect("everything has a gradient"));
                    all.extend(vars.iter().map(|var| of(var).expect("it is read")));
                }
                all
            };
            let apart = run(false, true);
            assert!(run(true, true) == apart, "{dtype} [{r}, {c}, {k}] on {place:?}");
            assert!(run(true, false) == apart[..2], "{dtype} [{r}, {c}, {k}] on {place:?}");
        }
    }
    let launches = device.device().launches();
    for end in ["gate_residual", "swiglu"] {
        for tile in ["any", "64x64"] {
            let name = format!("matmul_{end}_bf16_{tile}");
            assert!(launches.contains_key(&name[..]), "{name} was not launched");
        }
    }
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
