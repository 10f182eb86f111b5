//! Strided copies and casts on a device: what `contiguous`, joins of tensors and changes of type are
//! made of.

use super::{Accelerator, TensorArguments};
use crate::{DType, Error, Result, Tensor};
use half::bf16;
use vincie_gpu::{Launch, Pod};

/// Ranks that the strided kernels come in.
const RANKS: [usize; 5] = [1, 2, 3, 4, 6];

/// Bytes of the units that several elements may be copied in, the largest first.
const UNITS: [usize; 3] = [16, 8, 4];

/// Bytes that wide casts want addresses to be multiples of.
const ACCESS: u64 = 16;

/// An axis with its size and a step in each of `N` tensors.
type Axis<const N: usize> = (usize, [usize; N]);

/// The axes of tensors of one shape, those joined that all tensors walk alike, and filled up with
/// axes of size 1 to a rank that kernels come in.
pub(crate) fn axes<const N: usize>(tensors: [&Tensor; N]) -> Vec<Axis<N>> {
    let shape = tensors[0].shape();
    let mut axes: Vec<Axis<N>> = Vec::new();
    for axis in (0..shape.rank()).filter(|&axis| shape[axis] != 1) {
        let (size, steps) = (shape[axis], tensors.map(|tensor| tensor.strides()[axis]));
        match axes.last_mut() {
            Some((outer, outer_steps))
                if outer_steps.iter().zip(steps).all(|(o, s)| *o == s * size) =>
            {
                (*outer, *outer_steps) = (*outer * size, steps);
            }
            _ => axes.push((size, steps)),
        }
    }
    let rank = RANKS.into_iter().find(|&rank| rank >= axes.len().max(1));
    let missing = rank.expect("tensors have at most six axes") - axes.len();
    axes.splice(0..0, std::iter::repeat_n((1, [0; N]), missing));
    axes
}

/// Adds sizes and steps to a launch, axis by axis.
pub(crate) fn strides<'k, const N: usize>(launch: Launch<'k>, axes: &[Axis<N>]) -> Launch<'k> {
    axes.iter().fold(launch, |launch, (size, steps)| {
        steps.iter().fold(launch.size(*size), |launch, &step| launch.size(step))
    })
}

/// Copies elements between tensors of one shape and type on one device, each with its own steps.
/// Nobody else may use the elements of `to`.
pub(crate) fn copy(accelerator: &Accelerator, to: &Tensor, from: &Tensor) -> Result<()> {
    assert_eq!((to.shape(), to.dtype()), (from.shape(), from.dtype()), "a copy");
    if to.count() == 0 {
        return Ok(());
    }
    if to.is_contiguous() && from.is_contiguous() {
        let (to, from) = (to.device_bytes()?, from.device_bytes()?);
        return Ok(accelerator.stream().copy(&to, &from)?);
    }
    let mut axes = axes([to, from]);
    let bytes = to.dtype().size();
    let (inner, outer) = axes.split_last_mut().expect("at least one axis");
    let addresses = [to.device_address()?, from.device_address()?];
    // The largest unit that divides the innermost run, every step and both addresses.
    let fits = |unit: &usize| {
        let per_unit = unit / bytes;
        per_unit > 1
            && inner.1 == [1, 1]
            && inner.0.is_multiple_of(per_unit)
            && outer.iter().all(|(_, steps)| steps.iter().all(|step| step.is_multiple_of(per_unit)))
            && addresses.iter().all(|address| address.is_multiple_of(*unit as u64))
    };
    let unit = UNITS.into_iter().find(fits).unwrap_or(bytes);
    let per_unit = unit / bytes;
    if per_unit > 1 {
        inner.0 /= per_unit;
        outer.iter_mut().for_each(|(_, steps)| *steps = steps.map(|step| step / per_unit));
    }
    match unit {
        1 => strided::<u8>(accelerator, "b8", [to, from], &axes),
        2 => strided::<bf16>(accelerator, "b16", [to, from], &axes),
        4 => strided::<u32>(accelerator, "b32", [to, from], &axes),
        8 => strided::<u32>(accelerator, "b64", [to, from], &axes),
        _ => strided::<u32>(accelerator, "b128", [to, from], &axes),
    }
}

fn strided<T: Pod + vincie_gpu::Element>(
    accelerator: &Accelerator,
    unit: &str,
    [to, from]: [&Tensor; 2],
    axes: &[Axis<2>],
) -> Result<()> {
    let kernel = accelerator.kernel(&format!("copy_strided_{unit}_r{}", axes.len()))?;
    let launch = kernel
        .launch()
        .buffer(&to.device_buffer::<T>()?)
        .buffer(&from.device_buffer::<T>()?)
        .size(axes.iter().map(|(size, _)| size).product());
    Ok(strides(launch, axes).submit(accelerator.stream())?)
}

/// The elements in another type, contiguous.
pub(crate) fn cast(accelerator: &Accelerator, x: &Tensor, dtype: DType) -> Result<Tensor> {
    let (from, to) = match (x.dtype(), dtype) {
        (DType::F32, DType::BF16) => ("f32", "bf16"),
        (DType::BF16, DType::F32) => ("bf16", "f32"),
        (DType::I32, DType::F32) => ("s32", "f32"),
        (DType::U8, DType::F32) => ("u8", "f32"),
        (got, _) => {
            let expected = "f32, or f32 as result";
            return Err(Error::DType { op: "cast", argument: "tensor", got, expected });
        }
    };
    let out = accelerator.uninit(x.shape(), dtype)?;
    if out.count() == 0 {
        return Ok(out);
    }
    let is_float = matches!((from, to), ("f32", "bf16") | ("bf16", "f32"));
    if is_float && x.is_contiguous() && x.device_address()?.is_multiple_of(ACCESS) {
        let kernel = accelerator.kernel(&format!("cast_wide_{from}_{to}"))?;
        let launch = kernel.launch().tensor(&out)?.tensor(x)?.size(out.count());
        launch.submit(accelerator.stream())?;
        return Ok(out);
    }
    let axes = axes([x]);
    let kernel = accelerator.kernel(&format!("cast_strided_{from}_{to}_r{}", axes.len()))?;
    let launch = kernel.launch().tensor(&out)?.tensor(x)?.size(out.count());
    strides(launch, &axes).submit(accelerator.stream())?;
    Ok(out)
}
