//! Sums by stretches of pixels, statistics by groups, then a walk over the pixels; see
//! `ptx/kernels/group_norm`.

use super::{GroupNorm, GroupNormGradients, Sizes};
use crate::accelerator::{Accelerator, TensorArguments, copy};
use crate::ops::{Binary, ready, result_dtype};
use crate::{DType, Result, Shape, Tensor};
use vincie_gpu::Launch;

/// Pixels whose sums one CTA forms.
const SPLIT: usize = 128;

/// Bytes of one access.
const ACCESS: usize = 16;

/// Threads of a CTA that walks pixels, and pixels that each takes.
const THREADS: usize = 256;
const PASSES: usize = 8;

/// A vector where kernels may read 16 bytes of it at once.
fn aligned(place: &Accelerator, vector: Tensor) -> Result<Tensor> {
    if vector.device_address()?.is_multiple_of(ACCESS as u64) {
        return Ok(vector);
    }
    let to = place.uninit(vector.shape(), vector.dtype())?;
    copy(place, &to, &vector)?;
    Ok(to)
}

/// What all kernels take, on the accelerator.
struct Operands<'a> {
    op: &'a GroupNorm,
    sizes: &'a Sizes,
    dtype: DType,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
}

impl<'a> Operands<'a> {
    fn new(
        op: &'a GroupNorm,
        place: &Accelerator,
        sizes: &'a Sizes,
        inputs: &[&Tensor],
        dtype: DType,
    ) -> Result<Self> {
        let vector = |input: &Tensor| aligned(place, ready(place, input, dtype)?);
        let x = ready(place, inputs[0], dtype)?;
        let (weight, bias) = (vector(inputs[1])?, vector(inputs[2])?);
        Ok(Self { op, sizes, dtype, x, weight, bias })
    }

    fn form(&self) -> &'static str {
        if self.op.silu { "silu" } else { "plain" }
    }

    /// Channels of a group.
    fn each(&self) -> usize {
        self.sizes.channels / self.op.groups
    }

    /// Elements of a frame's group.
    fn count(&self) -> f32 {
        (self.sizes.pixels * self.each()) as f32
    }

    fn splits(&self) -> usize {
        self.sizes.pixels.div_ceil(SPLIT)
    }

    /// Two tensors for the sums of every split.
    fn sums(&self, place: &Accelerator) -> Result<[Tensor; 2]> {
        let new =
            || place.uninit([self.sizes.frames, self.splits(), self.sizes.channels], DType::F32);
        Ok([new()?, new()?])
    }

    /// How threads of the kernels that walk pixels take channels: the word in the kernel's name, and
    /// channels of an access.
    fn access(&self, others: &[&Tensor]) -> Result<(&'static str, usize)> {
        let width = ACCESS / self.dtype.size();
        let mut is_wide = self.sizes.channels.is_multiple_of(width);
        for tensor in [&self.x, &self.weight, &self.bias].into_iter().chain(others.iter().copied())
        {
            is_wide &= tensor.device_address()?.is_multiple_of(ACCESS as u64);
        }
        Ok(if is_wide { ("wide", width) } else { ("any", 1) })
    }

    /// The last arguments of the kernels that walk pixels.
    fn walk<'k>(&self, launch: Launch<'k>, width: usize) -> Launch<'k> {
        let &Sizes { frames, pixels, channels } = self.sizes;
        let units = channels / width;
        let lanes = units.min(THREADS);
        let launch = launch.size(pixels).size(channels).size(self.op.groups).size(self.each());
        let launch = launch.size(lanes).size(PASSES * (THREADS / lanes));
        launch.dim("ctas", units.div_ceil(lanes)).dim("frames", frames)
    }
}

pub(super) fn forward(
    op: &GroupNorm,
    place: &Accelerator,
    sizes: &Sizes,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let of = Operands::new(op, place, sizes, inputs, result_dtype(inputs))?;
    let &Sizes { frames, pixels, channels } = sizes;
    let y = place.uninit(of.x.shape(), of.dtype)?;
    if y.count() == 0 {
        let none = [0.0, 1.0 / op.epsilon.sqrt()].repeat(frames * op.groups);
        let statistics = Tensor::from_slice(&none, [frames, op.groups, 2])?;
        return Ok(vec![y, statistics.to_place(Some(place))?]);
    }
    let statistics = place.uninit([frames, op.groups, 2], DType::F32)?;
    let [sums, squares] = of.sums(place)?;
    let kernel = place.kernel(&format!("group_norm_sums_{}", of.dtype))?;
    let launch = kernel.launch().tensor(&of.x)?.tensor(&sums)?.tensor(&squares)?;
    let launch = launch.size(pixels).size(channels).size(SPLIT);
    launch.dim("frames", frames).dim("splits", of.splits()).submit(place.stream())?;
    let kernel = place.kernel(&format!("group_norm_statistics_{}", of.dtype))?;
    let launch = kernel.launch().tensor(&of.x)?.tensor(&sums)?.tensor(&squares)?;
    let launch = launch.tensor(&statistics)?.size(pixels).size(channels).size(of.splits());
    let launch = launch.size(of.each()).scalar(of.count()).scalar(op.epsilon);
    launch.dim("groups", op.groups).dim("frames", frames).submit(place.stream())?;
    let (access, width) = of.access(&[&y])?;
    let name = format!("group_norm_forward_{}_{}_{access}", of.form(), of.dtype);
    let kernel = place.kernel(&name)?;
    let launch = kernel.launch().tensor(&of.x)?.tensor(&of.weight)?.tensor(&of.bias)?;
    let launch = launch.tensor(&statistics)?.tensor(&y)?;
    of.walk(launch, width).submit(place.stream())?;
    Ok(vec![y, statistics])
}

pub(super) fn backward(
    op: &GroupNorm,
    place: &Accelerator,
    sizes: &Sizes,
    inputs: &[&Tensor],
    statistics: &Tensor,
    grad: &Tensor,
) -> Result<GroupNormGradients> {
    let mut floats = inputs.to_vec();
    floats.push(grad);
    let of = Operands::new(op, place, sizes, inputs, result_dtype(&floats))?;
    let (dy, statistics) = (ready(place, grad, of.dtype)?, ready(place, statistics, DType::F32)?);
    let &Sizes { frames, pixels, channels } = sizes;
    let dx = place.uninit(of.x.shape(), of.dtype)?;
    if dx.count() == 0 {
        let zeros = || place.zeros([channels], DType::F32);
        return Ok(GroupNormGradients { x: dx, weight: zeros()?, bias: zeros()? });
    }
    let [plain, normed] = of.sums(place)?;
    let kernel = place.kernel(&format!("group_norm_backward_sums_{}_{}", of.form(), of.dtype))?;
    let launch = kernel.launch().tensor(&of.x)?.tensor(&of.weight)?.tensor(&of.bias)?;
    let launch = launch.tensor(&statistics)?.tensor(&dy)?.tensor(&plain)?.tensor(&normed)?;
    let launch = launch.size(pixels).size(channels).size(SPLIT).size(op.groups).size(of.each());
    launch.dim("frames", frames).dim("splits", of.splits()).submit(place.stream())?;
    let means = place.uninit([frames, op.groups, 2], DType::F32)?;
    let kernel = place.kernel(&format!("group_norm_means_{}", of.dtype))?;
    let launch = kernel.launch().tensor(&of.weight)?.tensor(&plain)?.tensor(&normed)?;
    let launch = launch.tensor(&means)?.size(channels).size(of.splits()).size(of.each());
    let launch = launch.scalar(of.count()).dim("groups", op.groups).dim("frames", frames);
    launch.submit(place.stream())?;
    let (access, width) = of.access(&[&dy, &dx])?;
    let name = format!("group_norm_backward_{}_{}_{access}", of.form(), of.dtype);
    let kernel = place.kernel(&name)?;
    let launch = kernel.launch().tensor(&of.x)?.tensor(&of.weight)?.tensor(&of.bias)?;
    let launch = launch.tensor(&statistics)?.tensor(&means)?.tensor(&dy)?.tensor(&dx)?;
    of.walk(launch, width).submit(place.stream())?;
    let total = |sums: &Tensor| Binary::unbroadcast(sums, Shape::from([channels]));
    Ok(GroupNormGradients { x: dx, weight: total(&normed)?, bias: total(&plain)? })
}
