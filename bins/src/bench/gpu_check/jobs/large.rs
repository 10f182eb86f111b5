//! Ops at the sizes of a model, forward and backward, beside the host's kernels in f32.

use super::{Kind, Wrong};
use crate::bench::gpu_check::protocol::{Deviations, Told};
use crate::bench::gpu_check::report::Status;
use std::time::Instant;
use vincie_autograd::check;
use vincie_tensor::cases::{Case, LARGE as CASES, deviation};
use vincie_tensor::reference::Array;
use vincie_tensor::{Accelerator, DType, Tensor};

/// Names of the jobs.
pub(in crate::bench::gpu_check) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|large| large.name)
}

/// Largest deviation of gradients, relative to the largest one: sums of thousands of terms.
fn tolerance(dtype: Kind) -> f64 {
    match dtype {
        Kind::F32 => 3e-5,
        Kind::Bf16 => 2e-2,
    }
}

pub(super) fn run(place: &Accelerator, index: usize, dtype: Kind) -> Result<Told, Wrong> {
    let Some(large) = CASES.get(index) else {
        return Err(Wrong::Other(format!("no large case {index}")));
    };
    let begun = Instant::now();
    let case = match dtype {
        Kind::F32 => Some(large.case()),
        Kind::Bf16 => large.case().rounded(),
    };
    let Some(case) = case else {
        return Ok(Told::passed().because(Status::Skipped, "the op takes f32 only"));
    };
    // The host's kernels get the same values, rounded or not, and compute in f32.
    let widened: vincie_tensor::Result<Vec<Tensor>> = case
        .inputs
        .iter()
        .map(|x| if x.dtype().is_float() { x.to_dtype(DType::F32) } else { Ok(x.clone()) })
        .collect();
    let reference = Case { inputs: widened?, ..case.clone() };
    let expected = reference.op.forward(&reference.inputs.iter().collect::<Vec<_>>())?;
    let expected_gradients = check::gradients(&reference, &reference.inputs)?;
    let on_host = begun.elapsed().as_secs_f64();

    let put = |input: &Tensor| input.to_place(Some(place));
    let inputs = case.inputs.iter().map(put).collect::<vincie_tensor::Result<Vec<_>>>()?;
    let mut seen = Deviations::default();
    let mut compare = |what: String, ours: &Tensor, expected: &Tensor| -> Result<(), Wrong> {
        let (ours, expected) =
            (Array::from_tensor(&ours.to_host()?)?, Array::from_tensor(expected)?);
        seen.add(&what, deviation(&ours, &expected), tolerance(dtype));
        Ok(())
    };
    let results = case.op.forward(&inputs.iter().collect::<Vec<_>>())?;
    for (i, (ours, expected)) in results.iter().zip(&expected).enumerate() {
        compare(format!("result {i}"), ours, expected)?;
    }
    let gradients = check::gradients(&case, &inputs)?;
    for (i, pair) in gradients.iter().zip(&expected_gradients).enumerate() {
        if let (Some(ours), Some(expected)) = pair {
            compare(format!("gradient {i}"), ours, expected)?;
        }
    }
    // Nothing but the order of instructions may differ between two runs.
    let again = case.op.forward(&inputs.iter().collect::<Vec<_>>())?;
    for (i, (first, second)) in results.iter().zip(&again).enumerate() {
        if !same_bits(first, second)? {
            seen.fail(format!("result {i} has other bits the second time"));
        }
    }
    for (i, pair) in gradients.iter().zip(check::gradients(&case, &inputs)?).enumerate() {
        if let (Some(first), Some(second)) = (pair.0, &pair.1)
            && !same_bits(first, second)?
        {
            seen.fail(format!("gradient {i} has other bits the second time"));
        }
    }
    let mut told = Told::passed();
    told.detail("host_seconds", (on_host * 1e3).round() / 1e3);
    Ok(told.judged(&seen))
}

/// Whether two tensors hold the same bits.
fn same_bits(a: &Tensor, b: &Tensor) -> Result<bool, Wrong> {
    // Widening is exact.
    let bits = |tensor: &Tensor| -> Result<Vec<u32>, Wrong> {
        let values = tensor.to_host()?.to_f32()?.to_vec::<f32>()?;
        Ok(values.into_iter().map(f32::to_bits).collect())
    };
    Ok(bits(a)? == bits(b)?)
}
