//! RMS norm with weight and modulation.

use super::{Keep, Saved};
use vincie_tensor::ops::RmsNorm;
use vincie_tensor::{Result, Tensor};

pub(super) const KEEP: Keep = Keep::inputs(u32::MAX).and_results(0b10);

pub(super) fn backward(op: &RmsNorm, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    let gradients = op.backward(&saved.all_inputs(), saved.result(1), grad)?;
    let mut all = vec![Some(gradients.x)];
    if op.has_weight {
        all.push(gradients.weight);
    }
    if let Some(modulation) = gradients.modulation {
        all.extend(modulation.into_iter().map(Some));
        all.push(None);
    }
    Ok(all)
}
