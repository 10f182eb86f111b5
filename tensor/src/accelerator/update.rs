//! In-place updates of tensors on an accelerator. Every tensor that shares their memory sees them.

use super::{Accelerator, TensorArguments, elementwise};
use crate::ops::ready;
use crate::ops::reduce::write_sum;
use crate::{DType, Error, Result, Tensor};

/// Elements and bytes of one access.
const WIDTH: usize = 4;
const ACCESS: u64 = 16;

/// Place of the factor that decays a weight among the constants of a step, and of the 1 that does not.
const KEEP: u32 = 0;
const KEEP_ALL: u32 = 7;

/// One tensor's state for a step.
#[derive(Clone, Copy, Debug)]
pub struct AdamWState<'t> {
    /// The gradient, f32 or bf16.
    pub gradient: &'t Tensor,
    /// The weights, or f32 masters of them.
    pub values: &'t Tensor,
    /// First moment, f32.
    pub first: &'t Tensor,
    /// Second moment, f32.
    pub second: &'t Tensor,
    /// The bf16 weights that `values` are masters of.
    pub rounded: Option<&'t Tensor>,
    /// Whether the weight decays.
    pub decays: bool,
}

/// Takes one step of AdamW on an accelerator, in place. `constants` are those of the step, `clip` is
/// what [`clip_on`] gave; both lie there.
pub fn adamw_on(
    place: &Accelerator,
    state: AdamWState<'_>,
    constants: &Tensor,
    clip: &Tensor,
) -> Result<()> {
    let gradient = ready(place, state.gradient, state.gradient.dtype())?;
    let count = gradient.count();
    if count == 0 {
        return Ok(());
    }
    let mut all = vec![&gradient, state.values, state.first, state.second];
    all.extend(state.rounded);
    let is_wide = is_wide(&all)?;
    let weights = if state.rounded.is_some() { "master" } else { "f32" };
    let name = format!("adamw_{weights}_{}_{}", gradient.dtype(), access(is_wide));
    let kernel = place.kernel(&name)?;
    let launch = kernel.launch().tensor(&gradient)?.tensor(state.values)?;
    let launch = launch.tensor(state.first)?.tensor(state.second)?.optional(state.rounded)?;
    let launch = launch.tensor(constants)?.tensor(clip)?.size(count);
    let launch = launch.scalar(if state.decays { KEEP } else { KEEP_ALL });
    let threads = if is_wide { count / WIDTH } else { count };
    Ok(launch.dim("threads", threads).submit(place.stream())?)
}

/// `to += from` on an accelerator, in place: contiguous tensors of one shape and type.
pub fn add_on(place: &Accelerator, to: &Tensor, from: &Tensor) -> Result<()> {
    if (to.shape(), to.dtype()) != (from.shape(), from.dtype()) {
        return Err(Error::shape("add", format!("{from:?} to {to:?}")));
    }
    let from = ready(place, from, from.dtype())?;
    // A thread reads its elements before it writes them, so a result may lie over an operand.
    elementwise(place, "binary_add", &[to, &from, to], |launch| launch)
}

/// `average += (1 - decay) (value - average)` on an accelerator, in place.
pub fn ema_on(place: &Accelerator, average: &Tensor, value: &Tensor, decay: f32) -> Result<()> {
    let value = ready(place, value, value.dtype())?;
    let count = value.count();
    if count == 0 {
        return Ok(());
    }
    let is_wide = is_wide(&[&value, average])?;
    let kernel = place.kernel(&format!("ema_update_{}_{}", value.dtype(), access(is_wide)))?;
    let launch = kernel.launch().tensor(&value)?.tensor(average)?.size(count).scalar(1.0 - decay);
    let threads = if is_wide { count / WIDTH } else { count };
    Ok(launch.dim("threads", threads).submit(place.stream())?)
}

/// The norm of all gradients, and the factor that brings it down to `most`: f32 `[2]`, on the
/// accelerator. A norm that is not finite has no factor.
pub fn clip_on(place: &Accelerator, gradients: &[&Tensor], most: f32) -> Result<Tensor> {
    let squares = place.uninit([gradients.len()], DType::F32)?;
    for (i, gradient) in gradients.iter().enumerate() {
        let gradient = ready(place, gradient, gradient.dtype())?;
        write_sum(place, &gradient, "square", &squares.narrow(0, i, 1)?)?;
    }
    let clip = place.uninit([2], DType::F32)?;
    let kernel = place.kernel("clip_finish")?;
    let launch = kernel.launch().tensor(&squares)?.tensor(&clip)?.size(gradients.len());
    launch.scalar(most).submit(place.stream())?;
    Ok(clip)
}

fn access(is_wide: bool) -> &'static str {
    if is_wide { "wide" } else { "any" }
}

fn is_wide(tensors: &[&Tensor]) -> Result<bool> {
    let mut is_wide = tensors[0].count().is_multiple_of(WIDTH);
    for tensor in tensors {
        is_wide &= tensor.device_address()?.is_multiple_of(ACCESS);
    }
    Ok(is_wide)
}
