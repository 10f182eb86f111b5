//! The exit of a modulated branch: `x * (gate[group] + gate_parameter) + residual`
//! (VINCIE 3B specification, section 1.7).

mod cpu;
mod gpu;

use super::{Operation, Spec, arity, float, indices, place_of, result_dtype, shaped};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Error, Result, Tensor};

/// Parameters of the op. Inputs are `x` `[R, C]`, `gate` `[G, C]`, `gate_parameter` `[C]`,
/// `residual` `[R, C]` and `groups` i32 `[R]`, the row of `gate` for each row of `x`.
#[derive(Clone, Copy, Debug)]
pub struct GateResidual;

/// Gradients of [`GateResidual`]'s float inputs; the residual's is the result's own.
pub struct GateResidualGradients {
    /// `[R, C]`.
    pub x: Tensor,
    /// `[G, C]`.
    pub gate: Tensor,
    /// `[C]`.
    pub gate_parameter: Tensor,
}

impl GateResidual {
    /// Gradients from `x`, `gate`, `gate_parameter` and `groups`; the residual is not needed.
    pub fn backward(&self, inputs: [&Tensor; 4], grad: &Tensor) -> Result<GateResidualGradients> {
        match place_of(&[inputs[0], inputs[1], inputs[2], grad])? {
            Some(place) => gpu::backward(place, inputs, grad),
            None => cpu::backward(inputs, grad),
        }
    }
}

impl Operation for GateResidual {
    const NAME: &'static str = "gate_residual";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 5)?;
        for (argument, input) in ["x", "gate", "gate_parameter", "residual"].iter().zip(inputs) {
            float(Self::NAME, argument, input)?;
        }
        let (x, gate) = (inputs[0].shape(), inputs[1].shape());
        if x.rank() != 2 || gate.rank() != 2 || gate[1] != x[1] {
            let what = format!("x is {x}, gate is {gate}; expected [R, C] and [G, C]");
            return Err(Error::shape(Self::NAME, what));
        }
        shaped(Self::NAME, "gate_parameter", inputs[2], [x[1]])?;
        shaped(Self::NAME, "residual", inputs[3], x)?;
        indices(Self::NAME, "groups", inputs[4], x[0], gate[0])?;
        Ok(vec![(x, result_dtype(&inputs[..4]))])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        3 * inputs[0].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::forward(inputs)?.into_dtype(result_dtype(&inputs[..4]))?])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let mut result = inputs[3].clone();
        for (r, group) in inputs[4].indices().enumerate() {
            for c in 0..result.shape[1] {
                let gate = inputs[1].row(group)[c] + inputs[2].data[c];
                result.row_mut(r)[c] += inputs[0].row(r)[c] * gate;
            }
        }
        vec![result]
    }
}
