//! The two linear layers of a gated feed-forward layer and `silu(gate) * up` in one: the product `up`
//! leaves the registers multiplied.
//!
//! Its bits are those of two [`Matmul`]s and [`Swiglu`] behind each other: products are rounded to
//! their type before they are used.

mod cpu;
mod gpu;

use super::{Matmul, Operation, Spec, Swiglu, arity, shaped};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Error, Result, Tensor};

/// Parameters of the op. Inputs are `x` `[R, K]` and the weights of gate and up `[C, K]`. Results are
/// `[R, C]`: `silu(gate) * up` and, where `keeps_factors`, gate and up.
#[derive(Clone, Copy, Debug)]
pub struct LinearSwiglu {
    /// Gate and up, which gradients want, are a second and a third result.
    pub keeps_factors: bool,
}

/// Op of both products.
const LINEAR: Matmul =
    Matmul { transpose_a: false, transpose_b: true, has_bias: false, result: None };

impl LinearSwiglu {
    /// The three ops behind each other.
    fn apart(
        &self,
        inputs: &[&Tensor],
        linear: impl Fn(&[&Tensor]) -> Result<Vec<Tensor>>,
        swiglu: impl Fn(&[&Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        let gate = linear(&[inputs[0], inputs[1]])?.swap_remove(0);
        let up = linear(&[inputs[0], inputs[2]])?.swap_remove(0);
        let mut results = swiglu(&[&gate, &up])?;
        if self.keeps_factors {
            results.extend([gate, up]);
        }
        Ok(results)
    }
}

impl Operation for LinearSwiglu {
    const NAME: &'static str = "linear_swiglu";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 3)?;
        let x = inputs[0].shape();
        if x.rank() != 2 {
            return Err(Error::shape(Self::NAME, format!("x is {x}; expected [R, K]")));
        }
        shaped(Self::NAME, "weight of up", inputs[2], inputs[1].shape())?;
        let (shape, gate) = LINEAR.infer(&[inputs[0], inputs[1]])?.swap_remove(0);
        let (_, up) = LINEAR.infer(&[inputs[0], inputs[2]])?.swap_remove(0);
        let dtype = if gate == up { gate } else { crate::DType::F32 };
        let mut specs = vec![(shape, dtype)];
        if self.keeps_factors {
            specs.extend([(shape, gate), (shape, up)]);
        }
        Ok(specs)
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        let product = LINEAR.flops(&inputs[..2]);
        let count = inputs[0].shape()[0] * inputs[1].shape()[0];
        2 * product + 5 * count as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        cpu::forward(self, inputs)
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let product = |weight: usize| {
            let inputs = [inputs[0].clone(), inputs[weight].clone()];
            LINEAR.reference(&inputs).swap_remove(0)
        };
        let factors = [product(1), product(2)];
        let mut results = Swiglu.reference(&factors);
        if self.keeps_factors {
            results.extend(factors);
        }
        results
    }
}
