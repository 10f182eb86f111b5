//! Vector kernels: one pass forward, one backward.

use super::{Inputs, RmsNorm, RmsNormGradients};
use crate::kernels::Simd;
use crate::kernels::rms_norm::{
    self, Backward, Modulation, ModulationGradients, Norm, NormGradients,
};
use crate::ops::{as_indices, dense, fresh, slice};
use crate::{DType, Result, Tensor};
use std::borrow::Cow;

/// The inputs as contiguous f32, and the groups.
struct Operands<'a> {
    x: Cow<'a, Tensor>,
    weight: Option<Cow<'a, Tensor>>,
    modulation: Option<ModulationOperands<'a>>,
}

/// Scale, shift, scale parameter and shift parameter, and the group of each row.
type ModulationOperands<'a> = ([Cow<'a, Tensor>; 4], Cow<'a, [u32]>);

impl<'a> Operands<'a> {
    fn new(inputs: &Inputs<'a, Tensor>) -> Result<Self> {
        let modulation = match &inputs.modulation {
            Some(m) => {
                let floats = [
                    dense(m.scale)?,
                    dense(m.shift)?,
                    dense(m.scale_parameter)?,
                    dense(m.shift_parameter)?,
                ];
                Some((floats, as_indices(m.groups)?))
            }
            None => None,
        };
        Ok(Self { x: dense(inputs.x)?, weight: inputs.weight.map(dense).transpose()?, modulation })
    }

    fn norm(&self, op: &RmsNorm) -> Norm<'_> {
        let modulation = self.modulation.as_ref().map(|(floats, groups)| Modulation {
            scale: slice(&floats[0]),
            shift: slice(&floats[1]),
            scale_parameter: Some(slice(&floats[2])),
            shift_parameter: Some(slice(&floats[3])),
            groups,
        });
        Norm {
            cols: self.x.shape().last_dim(),
            epsilon: op.epsilon,
            weight: self.weight.as_deref().map(slice),
            modulation,
        }
    }
}

pub(super) fn forward(op: &RmsNorm, inputs: &Inputs<'_, Tensor>) -> Result<(Tensor, Tensor)> {
    let operands = Operands::new(inputs)?;
    let mut y = Tensor::uninit(operands.x.shape(), DType::F32)?;
    let mut inverse_rms = Tensor::uninit([operands.x.shape().rows()], DType::F32)?;
    let to = (fresh(&mut y), fresh(&mut inverse_rms));
    rms_norm::forward(Simd::detect(), operands.norm(op), slice(&operands.x), to.0, to.1);
    Ok((y, inverse_rms))
}

pub(super) fn backward(
    op: &RmsNorm,
    inputs: &Inputs<'_, Tensor>,
    inverse_rms: &Tensor,
    grad: &Tensor,
) -> Result<RmsNormGradients> {
    let (operands, dy) = (Operands::new(inputs)?, dense(grad)?);
    let norm = operands.norm(op);
    let like = |t: &Tensor| Tensor::uninit(t.shape(), DType::F32);
    let mut dx = like(&operands.x)?;
    let mut weight = operands.weight.as_deref().map(like).transpose()?;
    let mut modulation = match &operands.modulation {
        Some((floats, _)) => {
            Some([like(&floats[0])?, like(&floats[1])?, like(&floats[2])?, like(&floats[3])?])
        }
        None => None,
    };
    let rows = operands.x.shape().rows();
    let mut workspace = Tensor::uninit([rms_norm::backward_workspace(&norm, rows)], DType::F32)?;
    let gradients = NormGradients {
        weight: weight.as_mut().map(fresh),
        modulation: modulation.as_mut().map(|[scale, shift, scale_parameter, shift_parameter]| {
            ModulationGradients {
                scale: fresh(scale),
                shift: fresh(shift),
                scale_parameter: Some(fresh(scale_parameter)),
                shift_parameter: Some(fresh(shift_parameter)),
            }
        }),
    };
    let args = Backward {
        x: slice(&operands.x),
        inverse_rms: slice(inverse_rms),
        dy: slice(&dy),
        dx: fresh(&mut dx),
        gradients,
        workspace: fresh(&mut workspace),
    };
    rms_norm::backward(Simd::detect(), norm, args);
    Ok(RmsNormGradients { x: dx, weight, modulation })
}
