//! Change of element type: the gradient changes back.

use super::Saved;
use vincie_tensor::{Result, Tensor};

pub(super) fn backward(saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    let dtype = saved.dtypes[0];
    Ok(vec![if dtype.is_float() { Some(grad.to_f32()?.to_dtype(dtype)?) } else { None }])
}
