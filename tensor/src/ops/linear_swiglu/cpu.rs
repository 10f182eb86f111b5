//! The kernels of the three ops: memory is near, and a product that has just been written is in it.

use super::{LINEAR, LinearSwiglu};
use crate::ops::{Operation, Swiglu};
use crate::{Result, Tensor};

pub(super) fn forward(op: &LinearSwiglu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    op.apart(inputs, |inputs| LINEAR.forward(inputs), |inputs| Swiglu.forward(inputs))
}
