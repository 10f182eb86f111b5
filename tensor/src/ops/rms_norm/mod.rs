//! RMS norm with optional weight, and with the model's modulation in the same pass:
//! `x / rms(x) * weight * (scale[group] + scale_parameter) + shift[group] + shift_parameter`
//! (VINCIE 3B specification, section 1.7).

mod cpu;
mod gpu;

use super::{Operation, Spec, float, indices, place_of, result_dtype, shaped};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Error, Result, Shape, Tensor};

/// Parameters of the op. Inputs are `x` `[.., C]`; where `has_weight`, `weight` `[C]`; and where
/// `is_modulated`, `scale` `[G, C]`, `shift` `[G, C]`, `scale_parameter` `[C]`, `shift_parameter`
/// `[C]` and `groups` i32 `[rows]`. Results are `y` like `x` and `1 / rms` f32 `[rows]`, which the
/// gradient uses and which carries none itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNorm {
    /// Added to the mean square before the root.
    pub epsilon: f32,
    /// A weight per channel follows `x`.
    pub has_weight: bool,
    /// Scale, shift, their parameters and groups follow.
    pub is_modulated: bool,
    /// Type of `y`; without it, bf16 where all float inputs are, else f32.
    pub result: Option<DType>,
}

/// The inputs by name.
pub(crate) struct Inputs<'a, T> {
    pub(crate) x: &'a T,
    pub(crate) weight: Option<&'a T>,
    pub(crate) modulation: Option<Modulation<'a, T>>,
}

/// The modulation's inputs by name.
pub(crate) struct Modulation<'a, T> {
    pub(crate) scale: &'a T,
    pub(crate) shift: &'a T,
    pub(crate) scale_parameter: &'a T,
    pub(crate) shift_parameter: &'a T,
    pub(crate) groups: &'a T,
}

/// Gradients of the float inputs, where the op has them.
pub struct RmsNormGradients {
    /// Like `x`.
    pub x: Tensor,
    /// `[C]`.
    pub weight: Option<Tensor>,
    /// Scale and shift `[G, C]`, then their parameters `[C]`.
    pub modulation: Option<[Tensor; 4]>,
}

impl RmsNorm {
    fn named<'a, T>(&self, inputs: &[&'a T]) -> Inputs<'a, T> {
        let rest = &inputs[1 + usize::from(self.has_weight)..];
        let modulation = self.is_modulated.then(|| Modulation {
            scale: rest[0],
            shift: rest[1],
            scale_parameter: rest[2],
            shift_parameter: rest[3],
            groups: rest[4],
        });
        Inputs { x: inputs[0], weight: self.has_weight.then(|| inputs[1]), modulation }
    }

    /// Gradients from the inputs, the saved `1 / rms` and the gradient of `y`.
    pub fn backward(
        &self,
        inputs: &[&Tensor],
        inverse_rms: &Tensor,
        grad: &Tensor,
    ) -> Result<RmsNormGradients> {
        match place_of(&[inputs[0], inverse_rms, grad])? {
            Some(place) => gpu::backward(place, &self.named(inputs), inverse_rms, grad),
            None => cpu::backward(self, &self.named(inputs), inverse_rms, grad),
        }
    }
}

impl Operation for RmsNorm {
    const NAME: &'static str = "rms_norm";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        let count = 1 + usize::from(self.has_weight) + if self.is_modulated { 5 } else { 0 };
        super::arity(Self::NAME, inputs, count)?;
        let floats = &inputs[..count - usize::from(self.is_modulated)];
        for input in floats {
            float(Self::NAME, "input", input)?;
        }
        let named = self.named(inputs);
        let shape = named.x.shape();
        if shape.rank() == 0 {
            return Err(Error::shape(Self::NAME, "x is a scalar; expected [.., C]"));
        }
        let (rows, cols) = (shape.rows(), shape.last_dim());
        if let Some(weight) = named.weight {
            shaped(Self::NAME, "weight", weight, [cols])?;
        }
        if let Some(m) = &named.modulation {
            let scale = m.scale.shape();
            if scale.rank() != 2 || scale[1] != cols {
                return Err(Error::shape(
                    Self::NAME,
                    format!("scale is {scale}; expected [G, {cols}]"),
                ));
            }
            shaped(Self::NAME, "shift", m.shift, scale)?;
            shaped(Self::NAME, "scale_parameter", m.scale_parameter, [cols])?;
            shaped(Self::NAME, "shift_parameter", m.shift_parameter, [cols])?;
            indices(Self::NAME, "groups", m.groups, rows, scale[0])?;
        }
        let dtype = self.result.unwrap_or_else(|| result_dtype(floats));
        Ok(vec![(shape, dtype), (Shape::from([rows]), DType::F32)])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        (if self.is_modulated { 7 } else { 4 }) * inputs[0].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let dtype = self.infer(inputs)?[0].1;
        let (y, inverse_rms) = cpu::forward(self, &self.named(inputs))?;
        Ok(vec![y.to_dtype(dtype)?, inverse_rms])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let named = self.named(&inputs.iter().collect::<Vec<_>>());
        let (rows, cols) = (named.x.shape.rows(), named.x.shape.last_dim());
        let modulation =
            named.modulation.as_ref().map(|m| (m, m.groups.indices().collect::<Vec<_>>()));
        let mut y = named.x.clone();
        let mut inverse = Array::zeros([rows]);
        for (r, inverse) in inverse.data.iter_mut().enumerate() {
            let mean = named.x.row(r).iter().map(|v| v * v).sum::<f64>() / cols.max(1) as f64;
            *inverse = 1.0 / (mean + f64::from(self.epsilon)).sqrt();
            for (c, value) in y.row_mut(r).iter_mut().enumerate() {
                *value *= *inverse * named.weight.map_or(1.0, |w| w.data[c]);
                if let Some((m, groups)) = &modulation {
                    *value *= m.scale.row(groups[r])[c] + m.scale_parameter.data[c];
                    *value += m.shift.row(groups[r])[c] + m.shift_parameter.data[c];
                }
            }
        }
        vec![y, inverse]
    }
}
