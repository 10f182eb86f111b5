//! What watches every op: the finite check and the per-op profile. Both are off by default and cost
//! one relaxed load a call while they are.

use super::{Cost, Op};
use crate::{Error, NotFinite, Result, Tensor};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const FINITE: u8 = 1;
const PROFILE: u8 = 2;

static WATCHES: AtomicU8 = AtomicU8::new(0);
static TOTALS: Mutex<BTreeMap<&'static str, Total>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// The gradient that this thread is computing: ops called on its behalf count as part of it.
    static GRADIENT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// What one op did while the profile was on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// Calls.
    pub calls: u64,
    /// Wall time in all.
    pub time: Duration,
    /// Work in all.
    pub cost: Cost,
}

/// Turns the finite check on or off: with it, the first op whose result holds an infinity or NaN
/// ends in [`Error::NotFinite`].
pub fn check_finite(on: bool) {
    set(FINITE, on);
}

/// Turns the profile on (from zero) or off.
pub fn profile(on: bool) {
    if on {
        TOTALS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
    set(PROFILE, on);
}

/// Whether anything watches: ops then have to be computed one by one, and may be read back.
pub fn is_on() -> bool {
    WATCHES.load(Relaxed) != 0
}

/// Totals per op name since the profile was turned on, forward calls and gradients apart
/// (gradients carry the suffix ` backward`, and hold the arithmetic of the ops they call).
pub fn totals() -> BTreeMap<&'static str, Total> {
    TOTALS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set(bit: u8, on: bool) {
    if on {
        WATCHES.fetch_or(bit, Relaxed);
    } else {
        WATCHES.fetch_and(!bit, Relaxed);
    }
}

/// Runs a forward computation under the watches.
pub(super) fn observe(
    op: &Op,
    inputs: &[&Tensor],
    compute: impl FnOnce() -> Result<Vec<Tensor>>,
) -> Result<Vec<Tensor>> {
    let watches = WATCHES.load(Relaxed);
    if watches == 0 {
        return compute();
    }
    let begin = Instant::now();
    let results = compute()?;
    if watches & PROFILE != 0 {
        let cost = op.cost(inputs)?;
        match GRADIENT.get() {
            None => add(op.name(), Total { calls: 1, time: begin.elapsed(), cost }),
            Some(gradient) => {
                let flops = Cost { bytes: 0, ..cost };
                add(gradient, Total { cost: flops, ..Total::default() });
            }
        }
    }
    if watches & FINITE != 0 {
        for (i, result) in results.iter().enumerate() {
            require_finite(op.name(), &format!("result {i}"), result, inputs)?;
        }
    }
    Ok(results)
}

/// Runs a gradient computation under the watches. `name` is the profile's row.
pub fn observe_gradient(
    name: &'static str,
    inputs: &[&Tensor],
    compute: impl FnOnce() -> Result<Vec<Option<Tensor>>>,
) -> Result<Vec<Option<Tensor>>> {
    let watches = WATCHES.load(Relaxed);
    if watches == 0 {
        return compute();
    }
    let begin = Instant::now();
    let outer = GRADIENT.replace(Some(name));
    let results = compute();
    GRADIENT.set(outer);
    let results = results?;
    if watches & PROFILE != 0 {
        let bytes =
            inputs.iter().copied().chain(results.iter().flatten()).map(|t| t.bytes() as u64).sum();
        add(name, Total { calls: 1, time: begin.elapsed(), cost: Cost { flops: 0, bytes } });
    }
    if watches & FINITE != 0 {
        for (i, result) in results.iter().enumerate() {
            if let Some(result) = result {
                require_finite(name, &format!("gradient of input {i}"), result, inputs)?;
            }
        }
    }
    Ok(results)
}

fn add(name: &'static str, more: Total) {
    let mut totals = TOTALS.lock().unwrap_or_else(PoisonError::into_inner);
    let total = totals.entry(name).or_default();
    total.calls += more.calls;
    total.time += more.time;
    total.cost.flops += more.cost.flops;
    total.cost.bytes += more.cost.bytes;
}

/// `Err` that names op, tensor and index of the first infinity or NaN. The log-sum-exp of a query
/// that sees no key is minus infinity by definition and passes.
fn require_finite(
    op: &'static str,
    tensor: &str,
    result: &Tensor,
    inputs: &[&Tensor],
) -> Result<()> {
    let first = |t: &Tensor| -> Result<Option<(usize, f32)>> {
        if !t.dtype().is_float() {
            return Ok(None);
        }
        let dense = t.to_f32()?;
        let slice = dense.to_slice::<f32>()?;
        let is_hidden = |v: f32| op == "attention" && v == f32::NEG_INFINITY;
        let bad = |v: &f32| !v.is_finite() && !is_hidden(*v);
        Ok(slice.iter().position(bad).map(|at| (at, slice[at])))
    };
    let Some((at, value)) = first(result)? else { return Ok(()) };
    let mut inputs_finite = true;
    for input in inputs {
        inputs_finite &= first(input)?.is_none();
    }
    let (shape, index) = (result.shape(), result.shape().unravel(at));
    Err(Error::NotFinite(Box::new(NotFinite {
        op,
        tensor: tensor.to_owned(),
        value,
        index,
        shape,
        inputs_finite,
    })))
}
