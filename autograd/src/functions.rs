//! Ops as methods of the graph.

use crate::{Graph, Var};
use std::sync::Arc;
use vincie_tensor::ops::{
    Attention, AttentionMask, Binary, Cast, Concat, Expand, GateResidual, Gather, LayerNorm,
    LinearGateResidual, LinearSwiglu, Matmul, Mse, Narrow, Permute, Reduce, Reduction, Reshape,
    Softmax, Swiglu, Unary,
};
use vincie_tensor::{DType, Result, Shape};

impl Graph<'_> {
    /// `a + b` with broadcasting.
    pub fn add(&self, a: &Var, b: &Var) -> Result<Var> {
        self.apply_one(Binary::Add, &[a, b])
    }

    /// `a - b` with broadcasting.
    pub fn sub(&self, a: &Var, b: &Var) -> Result<Var> {
        self.apply_one(Binary::Sub, &[a, b])
    }

    /// `a * b` with broadcasting.
    pub fn mul(&self, a: &Var, b: &Var) -> Result<Var> {
        self.apply_one(Binary::Mul, &[a, b])
    }

    /// `scale * x + shift`.
    pub fn affine(&self, x: &Var, scale: f32, shift: f32) -> Result<Var> {
        self.apply_one(Unary::Affine { scale, shift }, &[x])
    }

    /// `x / (1 + e^-x)`.
    pub fn silu(&self, x: &Var) -> Result<Var> {
        self.apply_one(Unary::Silu, &[x])
    }

    /// `1 / (1 + e^-x)`.
    pub fn sigmoid(&self, x: &Var) -> Result<Var> {
        self.apply_one(Unary::Sigmoid, &[x])
    }

    /// The tanh approximation of GELU.
    pub fn gelu_tanh(&self, x: &Var) -> Result<Var> {
        self.apply_one(Unary::GeluTanh, &[x])
    }

    /// `silu(gate) * up`.
    pub fn swiglu(&self, gate: &Var, up: &Var) -> Result<Var> {
        self.apply_one(Swiglu, &[gate, up])
    }

    /// `x [.., K]` times `weight [N, K]` transposed, plus `bias [N]`.
    pub fn linear(&self, x: &Var, weight: &Var, bias: Option<&Var>) -> Result<Var> {
        match bias {
            Some(bias) => self.apply_one(Matmul::linear(true), &[x, weight, bias]),
            None => self.apply_one(Matmul::linear(false), &[x, weight]),
        }
    }

    /// [`Self::linear`] with an f32 result of factors of any type.
    pub fn linear_to_f32(&self, x: &Var, weight: &Var, bias: Option<&Var>) -> Result<Var> {
        let op = Matmul { result: Some(DType::F32), ..Matmul::linear(bias.is_some()) };
        let inputs: Vec<&Var> = [x, weight].into_iter().chain(bias).collect();
        self.apply_one(op, &inputs)
    }

    /// Softmax along the innermost axis.
    pub fn softmax(&self, x: &Var) -> Result<Var> {
        self.apply_one(Softmax { scale: 1.0 }, &[x])
    }

    /// `(x - mean) / sqrt(variance + epsilon)` over the last axis, times a weight and plus a bias,
    /// where they are given.
    pub fn layer_norm(&self, x: &Var, affine: Option<[&Var; 2]>, epsilon: f32) -> Result<Var> {
        let inputs: Vec<&Var> = [x].into_iter().chain(affine.into_iter().flatten()).collect();
        self.apply_one(LayerNorm { epsilon, is_affine: affine.is_some() }, &inputs)
    }

    /// Rows of `table [V, C]` at `rows` i32 `[n]`.
    pub fn gather(&self, table: &Var, rows: &Var) -> Result<Var> {
        self.apply_one(Gather, &[table, rows])
    }

    /// `x * (gate[group] + gate_parameter) + residual`.
    pub fn gate_residual(
        &self,
        x: &Var,
        gate: &Var,
        gate_parameter: &Var,
        residual: &Var,
        groups: &Var,
    ) -> Result<Var> {
        self.apply_one(GateResidual, &[x, gate, gate_parameter, residual, groups])
    }

    /// [`Self::linear`] of `x [R, K]` and [`Self::gate_residual`] behind it, in one op.
    #[allow(clippy::too_many_arguments)]
    pub fn linear_gate_residual(
        &self,
        x: &Var,
        weight: &Var,
        bias: Option<&Var>,
        gate: &Var,
        gate_parameter: &Var,
        residual: &Var,
        groups: &Var,
    ) -> Result<Var> {
        let op =
            LinearGateResidual { has_bias: bias.is_some(), keeps_product: self.is_recording() };
        let inputs = [x, weight, gate, gate_parameter, residual, groups];
        self.apply_one(op, &inputs.into_iter().chain(bias).collect::<Vec<_>>())
    }

    /// [`Self::linear`] of `x [R, K]` with both weights and [`Self::swiglu`] of the results, in one op.
    pub fn linear_swiglu(&self, x: &Var, gate: &Var, up: &Var) -> Result<Var> {
        self.apply_one(LinearSwiglu { keeps_factors: self.is_recording() }, &[x, gate, up])
    }

    /// Softmax attention under a mask; `scale` multiplies the scores.
    pub fn attention(
        &self,
        q: &Var,
        k: &Var,
        v: &Var,
        heads: usize,
        scale: f32,
        mask: &Arc<AttentionMask>,
    ) -> Result<Var> {
        self.apply_one(Attention { heads, scale, mask: mask.clone() }, &[q, k, v])
    }

    /// Tensors joined along an axis.
    pub fn concat(&self, parts: &[&Var], axis: usize) -> Result<Var> {
        self.apply_one(Concat { axis }, parts)
    }

    /// Entries `start..start + length` of an axis.
    pub fn narrow(&self, x: &Var, axis: usize, start: usize, length: usize) -> Result<Var> {
        self.apply_one(Narrow { axis, start, length }, &[x])
    }

    /// The same elements under another shape.
    pub fn reshape(&self, x: &Var, shape: impl Into<Shape>) -> Result<Var> {
        self.apply_one(Reshape { shape: shape.into() }, &[x])
    }

    /// Axes in another order.
    pub fn permute(&self, x: &Var, order: &[usize]) -> Result<Var> {
        self.apply_one(Permute::new(order), &[x])
    }

    /// Repetition along axes of size 1.
    pub fn expand(&self, x: &Var, shape: impl Into<Shape>) -> Result<Var> {
        self.apply_one(Expand { shape: shape.into() }, &[x])
    }

    /// Another element type.
    pub fn cast(&self, x: &Var, dtype: DType) -> Result<Var> {
        self.apply_one(Cast { dtype }, &[x])
    }

    /// Sum over an axis, which stays with size 1.
    pub fn sum(&self, x: &Var, axis: usize) -> Result<Var> {
        self.apply_one(Reduce { reduction: Reduction::Sum, axis }, &[x])
    }

    /// Mean over an axis, which stays with size 1.
    pub fn mean(&self, x: &Var, axis: usize) -> Result<Var> {
        self.apply_one(Reduce { reduction: Reduction::Mean, axis }, &[x])
    }

    /// Row-weighted mean squared error and the rows' errors.
    pub fn mse(&self, prediction: &Var, target: &Var, weights: &Var) -> Result<(Var, Var)> {
        let mut results = self.apply(Mse, &[prediction, target, weights])?;
        let rows = results.swap_remove(1);
        Ok((results.swap_remove(0), rows))
    }
}
