//! Elementwise functions: derivative at the input times the gradient.

use super::{Keep, Saved, run};
use vincie_tensor::ops::Unary;
use vincie_tensor::{Result, Tensor};

pub(super) fn keep(op: Unary) -> Keep {
    match op {
        Unary::Affine { .. } => Keep::NOTHING,
        Unary::Exp
        | Unary::Silu
        | Unary::Sigmoid
        | Unary::Tanh
        | Unary::GeluTanh
        | Unary::Square => Keep::inputs(0b1),
    }
}

pub(super) fn backward(op: Unary, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
    Ok(vec![Some(match op {
        Unary::Affine { scale, .. } => run(Unary::Affine { scale, shift: 0.0 }, &[grad])?,
        Unary::Exp
        | Unary::Silu
        | Unary::Sigmoid
        | Unary::Tanh
        | Unary::GeluTanh
        | Unary::Square => op.backward(saved.input(0), grad)?,
    })])
}
