//! Global-norm clipping.

use crate::Result;
use vincie_tensor::{Tensor, ops};

/// Square root of the sum of squares of all gradients, added in their order in f64.
pub fn global_norm(gradients: &[Option<Tensor>]) -> Result<f64> {
    let mut sum = 0.0;
    for gradient in gradients.iter().flatten() {
        sum += ops::sum_of_squares(&gradient.to_f32()?.to_slice::<f32>()?);
    }
    Ok(sum.sqrt())
}
