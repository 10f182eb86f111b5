//! The table of cases on the device: results against the f64 reference of the op, gradients against
//! those of the host, which the tests hold to differences of that reference.

use super::{Kind, Lie, Pass, Wrong};
use crate::bench::gpu_check::protocol::{Deviations, Told};
use crate::bench::gpu_check::report::Status;
use vincie_autograd::check;
use vincie_tensor::cases::{Case, cases, deviation};
use vincie_tensor::reference::Array;
use vincie_tensor::{Accelerator, DType, Op, Tensor};

/// The approximate exponential and reciprocal of the device, in units of the largest result.
const APPROXIMATE: f64 = 4e-6;

/// Largest deviation of gradients in f32.
const GRADIENTS: f64 = 1e-5;

/// Rows of an op that have bf16 inputs, or have none.
fn rows(op: &str, dtype: Kind) -> Vec<Case> {
    let has_bf16 = |case: &Case| case.inputs.iter().any(|input| input.dtype() == DType::BF16);
    let is_wanted = |case: &Case| case.op.name() == op && has_bf16(case) == (dtype == Kind::Bf16);
    cases().into_iter().filter(is_wanted).map(with_gradients).collect()
}

/// Where differences say nothing, or take long, the host's gradient does as well.
fn with_gradients(mut case: Case) -> Case {
    let is_known = matches!(case.op, Op::Attention(_) | Op::Convolution(_) | Op::GroupNorm(_));
    if case.differentiable.is_empty() && is_known {
        case.differentiable = check::float_inputs(&case.inputs);
    }
    case
}

pub(super) fn run(place: &Accelerator, op: &str, dtype: Kind, pass: Pass) -> Result<Told, Wrong> {
    let rows = rows(op, dtype);
    let mut seen = Deviations::default();
    for case in &rows {
        for lie in Lie::ALL {
            let put = |input: &Tensor| lie.put(place, input);
            let inputs = case.inputs.iter().map(put).collect::<vincie_tensor::Result<Vec<_>>>()?;
            let name = format!("{}{}", case.name, lie.name());
            match pass {
                Pass::Forward => forward(case, &inputs, &name, &mut seen)?,
                Pass::Gradients => gradients(case, &inputs, &name, dtype, &mut seen)?,
            }
        }
    }
    let mut told = Told::passed();
    told.detail("rows", rows.len());
    if rows.is_empty() {
        return Ok(told.because(Status::Skipped, "no rows of this type"));
    }
    Ok(told.judged(&seen))
}

fn forward(case: &Case, inputs: &[Tensor], name: &str, seen: &mut Deviations) -> Result<(), Wrong> {
    let results = case.op.forward(&inputs.iter().collect::<Vec<_>>())?;
    let arrays: vincie_tensor::Result<Vec<Array>> =
        case.inputs.iter().map(Array::from_tensor).collect();
    for (i, (result, reference)) in results.iter().zip(case.op.reference(&arrays?)).enumerate() {
        let ours = Array::from_tensor(&result.to_host()?)?;
        let tolerance = case.tolerance.max(APPROXIMATE);
        seen.add(&format!("{name}: result {i}"), deviation(&ours, &reference), tolerance);
    }
    Ok(())
}

fn gradients(
    case: &Case,
    inputs: &[Tensor],
    name: &str,
    dtype: Kind,
    seen: &mut Deviations,
) -> Result<(), Wrong> {
    let tolerance = match dtype {
        Kind::F32 => GRADIENTS,
        Kind::Bf16 => case.gradient_tolerance(),
    };
    let expected = check::gradients(case, &case.inputs)?;
    let ours = check::gradients(case, inputs)?;
    for (i, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
        match (ours, expected) {
            (None, None) => {}
            (Some(ours), Some(expected)) => {
                let (ours, expected) = (Array::from_tensor(ours)?, Array::from_tensor(expected)?);
                let deviation = deviation(&ours, &expected);
                seen.add(&format!("{name}: gradient {i}"), deviation, tolerance);
            }
            _ => seen.fail(format!("{name}: gradient {i} is on one of host and device only")),
        }
    }
    Ok(())
}

/// Steps of AdamW, clipping and averages beside those of the host, once with a gradient that is not
/// finite, which must change nothing.
pub(super) fn optimizer(place: &Accelerator) -> Result<Told, Wrong> {
    let mut seen = Deviations::default();
    for is_broken in [false, true] {
        let expected = check::optimized(None, is_broken)?;
        let ours = check::optimized(Some(place), is_broken)?;
        if expected.len() != ours.len() {
            seen.fail(format!("{} values on the device, {}", ours.len(), expected.len()));
            continue;
        }
        let (mut worst, mut apart) = (0f64, 0usize);
        for (a, b) in expected.iter().zip(&ours).filter(|(a, b)| a.to_bits() != b.to_bits()) {
            let distance = f64::from((a - b).abs());
            // A bf16 weight may round the other way.
            let slack = 1e-5 + 8e-3 * f64::from(a.abs());
            apart += usize::from(distance.is_nan() || distance > 1e-5);
            worst = if distance / slack <= worst { worst } else { distance / slack };
        }
        let name = if is_broken { "with a broken gradient" } else { "three steps" };
        seen.add(&format!("{name}, in units of the slack"), worst, 1.0);
        let share = apart as f64 / expected.len() as f64;
        seen.add(&format!("{name}, share of values apart"), share, 1e-3);
    }
    Ok(Told::passed().judged(&seen))
}
