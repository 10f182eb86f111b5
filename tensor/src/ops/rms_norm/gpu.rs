//! A warp a row; gradients of weight and modulation by sums over groups of rows.

use super::{Inputs, RmsNorm, RmsNormGradients};
use crate::accelerator::{Accelerator, Rows, TensorArguments};
use crate::ops::{ready, result_dtype};
use crate::{DType, Result, Tensor};

/// The inputs on the accelerator.
struct Operands {
    dtype: DType,
    x: Tensor,
    weight: Option<Tensor>,
    /// Scale, shift, and their parameters.
    modulation: Option<[Tensor; 4]>,
    groups: Option<Tensor>,
}

impl Operands {
    fn new(
        place: &Accelerator,
        inputs: &Inputs<'_, Tensor>,
        grad: Option<&Tensor>,
    ) -> Result<Self> {
        let mut floats = vec![inputs.x];
        floats.extend(inputs.weight);
        floats.extend(grad);
        if let Some(m) = &inputs.modulation {
            floats.extend([m.scale, m.shift, m.scale_parameter, m.shift_parameter]);
        }
        let dtype = result_dtype(&floats);
        let to = |input: &Tensor| ready(place, input, dtype);
        let (modulation, groups) = match &inputs.modulation {
            Some(m) => {
                let all =
                    [to(m.scale)?, to(m.shift)?, to(m.scale_parameter)?, to(m.shift_parameter)?];
                (Some(all), Some(ready(place, m.groups, DType::I32)?))
            }
            None => (None, None),
        };
        Ok(Self {
            dtype,
            x: to(inputs.x)?,
            weight: inputs.weight.map(to).transpose()?,
            modulation,
            groups,
        })
    }

    fn form(&self) -> &'static str {
        match (&self.weight, &self.modulation) {
            (None, None) => "plain",
            (Some(_), None) => "weight",
            (None, Some(_)) => "modulated",
            (Some(_), Some(_)) => "both",
        }
    }

    /// Scale, shift, scale parameter or shift parameter.
    fn part(&self, index: usize) -> Option<&Tensor> {
        self.modulation.as_ref().map(|all| &all[index])
    }

    fn rows(&self, others: &[&Tensor]) -> Result<Rows> {
        let mut all = vec![&self.x];
        all.extend(&self.weight);
        all.extend(self.modulation.iter().flatten());
        all.extend(others);
        Rows::of(&all)
    }
}

pub(super) fn forward(
    op: &RmsNorm,
    place: &Accelerator,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let of = Operands::new(place, &op.named(inputs), None)?;
    let y = place.uninit(of.x.shape(), of.dtype)?;
    let inverse_rms = place.uninit([of.x.shape().rows()], DType::F32)?;
    let rows = of.rows(&[&y])?;
    if y.count() > 0 {
        let (form, dtype) = (of.form(), of.dtype);
        let name = format!("rms_norm_forward_{form}_{dtype}_{}", rows.access());
        let kernel = place.kernel(&name)?;
        let launch = kernel.launch().tensor(&of.x)?.optional(of.weight.as_ref())?;
        let launch = launch.optional(of.part(0))?.optional(of.part(1))?;
        let launch = launch.optional(of.part(2))?.optional(of.part(3))?;
        let launch = launch.optional(of.groups.as_ref())?.tensor(&y)?.tensor(&inverse_rms)?;
        let launch = launch.size(rows.rows).size(rows.cols).scalar(1.0 / rows.cols as f32);
        launch.scalar(op.epsilon).submit(place.stream())?;
    }
    Ok(vec![y.to_dtype(op.result.unwrap_or(of.dtype))?, inverse_rms])
}

pub(super) fn backward(
    place: &Accelerator,
    inputs: &Inputs<'_, Tensor>,
    inverse_rms: &Tensor,
    grad: &Tensor,
) -> Result<RmsNormGradients> {
    let of = Operands::new(place, inputs, Some(grad))?;
    let (dtype, form) = (of.dtype, of.form());
    let (dy, inverse_rms) = (ready(place, grad, dtype)?, ready(place, inverse_rms, DType::F32)?);
    let dx = place.uninit(of.x.shape(), dtype)?;
    let rows = of.rows(&[&dy, &dx])?;
    if dx.count() > 0 {
        let name = format!("rms_norm_backward_{form}_{dtype}_{}", rows.access());
        let kernel = place.kernel(&name)?;
        let launch = kernel.launch().tensor(&of.x)?.optional(of.weight.as_ref())?;
        let launch = launch.optional(of.part(0))?.optional(of.part(2))?;
        let launch = launch.optional(of.groups.as_ref())?.tensor(&inverse_rms)?.tensor(&dy)?;
        let launch = launch.tensor(&dx)?.size(rows.rows).size(rows.cols);
        launch.scalar(1.0 / rows.cols as f32).submit(place.stream())?;
    }
    let mut gradients = RmsNormGradients { x: dx, weight: None, modulation: None };
    if form == "plain" {
        return Ok(gradients);
    }
    let (number, cols) = (of.part(0).map_or(1, |scale| scale.shape()[0]), rows.cols);
    let is_grouped = of.modulation.is_some();
    let products = place.uninit([rows.splits(), number, cols], DType::F32)?;
    let shifts = if is_grouped { Some(place.uninit(products.shape(), DType::F32)?) } else { None };
    if products.count() > 0 {
        let grouping = if is_grouped { "grouped" } else { "whole" };
        let kernel = place.kernel(&format!("rms_norm_sums_{grouping}_{dtype}"))?;
        let launch = kernel.launch().tensor(&of.x)?.tensor(&inverse_rms)?.tensor(&dy)?;
        let launch = launch.optional(of.groups.as_ref())?.tensor(&products)?;
        let launch = launch.optional(shifts.as_ref())?;
        rows.split(launch, number).submit(place.stream())?;
    }
    let new = |shape: crate::Shape| place.uninit(shape, DType::F32);
    gradients.weight = of.weight.as_ref().map(|weight| new(weight.shape())).transpose()?;
    gradients.modulation = match &of.modulation {
        Some([a, b, c, d]) => {
            Some([new(a.shape())?, new(b.shape())?, new(c.shape())?, new(d.shape())?])
        }
        None => None,
    };
    if cols > 0 {
        let part = |index: usize| gradients.modulation.as_ref().map(|all| &all[index]);
        let kernel = place.kernel(&format!("rms_norm_finish_{form}_{dtype}"))?;
        let launch = kernel.launch().tensor(&products)?.optional(shifts.as_ref())?;
        let launch = launch.optional(of.weight.as_ref())?.optional(of.part(0))?;
        let launch = launch.optional(of.part(2))?.optional(gradients.weight.as_ref())?;
        let launch = launch.optional(part(0))?.optional(part(1))?.optional(part(2))?;
        let launch = launch.optional(part(3))?.size(rows.splits()).size(number).size(cols);
        launch.submit(place.stream())?;
    }
    Ok(gradients)
}
