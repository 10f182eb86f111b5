//! `[diffusion]`: the law of the training times, and the loss.

use super::problem::{Problem, require};
use serde::{Deserialize, Serialize};

/// The law of the training times, `t = 1000 sigmoid(location + scale z)` for a standard normal `z`,
/// then shifted towards noise; and the loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiffusionSection {
    /// Location of the logit-normal law. Default: 0.0.
    pub location: f64,
    /// Scale of the logit-normal law; the released 7B used 1.25. Default: 1.0.
    pub scale: f64,
    /// Shift of the training times towards noise; 1 leaves them. Default: 1.0.
    pub shift: f64,
    /// Whether the changed patches of a picture share half of its loss; not in the paper. Default:
    /// false.
    pub balanced_loss: bool,
}

impl Default for DiffusionSection {
    fn default() -> Self {
        Self { location: 0.0, scale: 1.0, shift: 1.0, balanced_loss: false }
    }
}

impl DiffusionSection {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let Self { location, scale, shift, .. } = *self;
        let is_far = location.abs() <= 20.0;
        require(is_far, "diffusion.location", location, "a number from -20 to 20")?;
        let is_scale = scale > 0.0 && scale <= 20.0;
        require(is_scale, "diffusion.scale", scale, "a number above 0, at most 20")?;
        let is_shift = (0.01..=100.0).contains(&shift);
        require(is_shift, "diffusion.shift", shift, "a number from 0.01 to 100")
    }
}
