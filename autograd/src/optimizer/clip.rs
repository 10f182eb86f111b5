//! Global-norm clipping.

use crate::Result;
use vincie_tensor::{Accelerator, Tensor, ops};

/// The norm of all gradients of a step, and the factor that brings it down to a limit. On an
/// accelerator both stay there until they are asked for.
#[derive(Debug)]
pub struct Clip(Place);

#[derive(Debug)]
enum Place {
    Host { norm: f64, factor: f32 },
    Device { accelerator: Accelerator, clip: Tensor },
}

impl Clip {
    /// The norm of these gradients and the factor, at most 1, that brings it down to `most`. A norm
    /// that is not finite has no factor: a step with it changes nothing.
    pub fn new(gradients: &[Option<Tensor>], most: f32) -> Result<Self> {
        let all: Vec<&Tensor> = gradients.iter().flatten().collect();
        if let Some(accelerator) = all.iter().find_map(|gradient| gradient.accelerator()) {
            let clip = ops::clip_on(accelerator, &all, most)?;
            return Ok(Self(Place::Device { accelerator: accelerator.clone(), clip }));
        }
        let norm = global_norm(gradients)?;
        let factor = match norm.is_finite() {
            true => (f64::from(most) / norm.max(1e-12)).min(1.0) as f32,
            false => f32::NAN,
        };
        Ok(Self(Place::Host { norm, factor }))
    }

    /// The norm before clipping. What lies on an accelerator is waited for.
    pub fn norm(&self) -> Result<f64> {
        match &self.0 {
            Place::Host { norm, .. } => Ok(*norm),
            Place::Device { clip, .. } => Ok(f64::from(clip.to_vec::<f32>()?[0])),
        }
    }

    /// Norm and factor, f32 `[2]`, on an accelerator; `None` on the host.
    pub fn tensor(&self) -> Option<&Tensor> {
        self.on_device().map(|(_, clip)| clip)
    }

    /// The factor on the host; `None` on an accelerator.
    pub(super) fn factor(&self) -> Option<f32> {
        match &self.0 {
            Place::Host { factor, .. } => Some(*factor),
            Place::Device { .. } => None,
        }
    }

    /// Norm and factor on an accelerator.
    pub(super) fn on_device(&self) -> Option<(&Accelerator, &Tensor)> {
        match &self.0 {
            Place::Host { .. } => None,
            Place::Device { accelerator, clip } => Some((accelerator, clip)),
        }
    }
}

/// Square root of the sum of squares of all gradients, added in their order in f64.
pub fn global_norm(gradients: &[Option<Tensor>]) -> Result<f64> {
    let mut sum = 0.0;
    for gradient in gradients.iter().flatten() {
        sum += ops::sum_of_squares(&gradient.to_f32()?.to_slice::<f32>()?);
    }
    Ok(sum.sqrt())
}
