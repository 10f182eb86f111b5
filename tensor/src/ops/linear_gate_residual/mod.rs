//! A linear layer and the exit of its modulated branch in one: the product leaves the registers as
//! `residual + product * (gate[group] + gate_parameter)` (VINCIE 3B specification, section 1.7).
//!
//! Its bits are those of [`Matmul`] and [`GateResidual`] behind each other: the product is rounded to
//! its type before it is used.

mod cpu;
mod gpu;

use super::{GateResidual, Matmul, Operation, Spec, arity, result_dtype};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Error, Result, Tensor};

/// Parameters of the op. Inputs are `x` `[R, K]`, `weight` `[C, K]`, `gate` `[G, C]`,
/// `gate_parameter` `[C]`, `residual` `[R, C]`, `groups` i32 `[R]` and, where `has_bias`, a bias
/// `[C]`. Results are `[R, C]`: what leaves the branch and, where `keeps_product`, the product.
#[derive(Clone, Copy, Debug)]
pub struct LinearGateResidual {
    /// A last input is added to every row of the product.
    pub has_bias: bool,
    /// The product, which gradients want, is a second result.
    pub keeps_product: bool,
}

impl LinearGateResidual {
    /// The product's op.
    pub fn linear(&self) -> Matmul {
        Matmul::linear(self.has_bias)
    }

    /// The product's inputs.
    fn of_linear<'t, T>(&self, inputs: &'t [T]) -> Vec<&'t T> {
        [0, 1].into_iter().chain(self.has_bias.then_some(6)).map(|i| &inputs[i]).collect()
    }

    /// Both ops behind each other.
    fn apart(
        &self,
        inputs: &[&Tensor],
        linear: impl Fn(&Matmul, &[&Tensor]) -> Result<Vec<Tensor>>,
        gate: impl Fn(&GateResidual, &[&Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        let own: Vec<&Tensor> = self.of_linear(inputs).into_iter().copied().collect();
        let product = linear(&self.linear(), &own)?.swap_remove(0);
        let [factor, parameter, residual, groups] = [2, 3, 4, 5].map(|i| inputs[i]);
        let mut results = gate(&GateResidual, &[&product, factor, parameter, residual, groups])?;
        results.extend(self.keeps_product.then_some(product));
        Ok(results)
    }
}

impl Operation for LinearGateResidual {
    const NAME: &'static str = "linear_gate_residual";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, if self.has_bias { 7 } else { 6 })?;
        let (x, residual) = (inputs[0].shape(), inputs[4].shape());
        if x.rank() != 2 {
            return Err(Error::shape(Self::NAME, format!("x is {x}; expected [R, K]")));
        }
        let own: Vec<&Tensor> = self.of_linear(inputs).into_iter().copied().collect();
        let (shape, dtype) = self.linear().infer(&own)?.swap_remove(0);
        if residual != shape {
            let what = format!("residual is {residual}; expected {shape} as the product");
            return Err(Error::shape(Self::NAME, what));
        }
        // The residual stands in for the product, whose shape it has.
        GateResidual.infer(&[inputs[4], inputs[2], inputs[3], inputs[4], inputs[5]])?;
        let mut specs = vec![(shape, result_dtype(&inputs[..5]))];
        specs.extend(self.keeps_product.then_some((shape, dtype)));
        Ok(specs)
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        self.linear().flops(&inputs[..2]) + 3 * inputs[4].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        cpu::forward(self, inputs)
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let own: Vec<Array> = self.of_linear(inputs).into_iter().cloned().collect();
        let product = self.linear().reference(&own).swap_remove(0);
        let rest = [2, 3, 4, 5].map(|i| inputs[i].clone());
        let all: Vec<Array> = [product.clone()].into_iter().chain(rest).collect();
        let mut results = GateResidual.reference(&all);
        results.extend(self.keeps_product.then_some(product));
        results
    }
}
