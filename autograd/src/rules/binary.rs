//! Elementwise arithmetic: the gradient is summed over the axes along which an operand repeated.

use super::{Keep, Saved, run};
use vincie_tensor::ops::{Binary, Unary};
use vincie_tensor::{Result, Tensor};

pub(super) fn keep(op: Binary) -> Keep {
    match op {
        Binary::Add | Binary::Sub => Keep::NOTHING,
        Binary::Mul => Keep::inputs(0b11),
    }
}

pub(super) fn backward(
    op: Binary,
    saved: &Saved,
    grad: &Tensor,
    needed: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let operand = |i: usize| -> Result<Option<Tensor>> {
        if !needed[i] {
            return Ok(None);
        }
        let full = match op {
            Binary::Add => grad.clone(),
            Binary::Sub if i == 0 => grad.clone(),
            Binary::Sub => run(Unary::Affine { scale: -1.0, shift: 0.0 }, &[grad])?,
            Binary::Mul => run(Binary::Mul, &[grad, saved.input(1 - i)])?,
        };
        Ok(Some(Binary::unbroadcast(&full, saved.shapes[i])?))
    };
    Ok(vec![operand(0)?, operand(1)?])
}
