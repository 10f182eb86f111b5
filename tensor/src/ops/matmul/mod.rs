//! Matrix product with optional transposes and bias.

mod cpu;
pub(super) mod gated;
mod gpu;

use super::{Operation, Spec, float, result_dtype, shaped};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Error, Result, Shape, Tensor};

/// Parameters of the op. Inputs are `a`, `b` and, where `has_bias`, a bias `[N]`, which has no say in
/// the result's type and is best kept in f32, as it is added to f32 sums.
///
/// `a` is `[.., M, K]` (or `[.., K, M]` where transposed), `b` is `[K, N]` (or `[N, K]`) shared by
/// all of `a`, or has the same leading axes as `a`. The result is `[.., M, N]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Matmul {
    /// `a` is stored transposed.
    pub transpose_a: bool,
    /// `b` is stored transposed, as the weights of a linear layer are.
    pub transpose_b: bool,
    /// A third input is added to every row.
    pub has_bias: bool,
    /// Type of the result; without it, bf16 where `a` and `b` are, else f32. Sums are f32 either way.
    pub result: Option<DType>,
}

/// Sizes of one call.
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
}

impl Matmul {
    /// A linear layer: `x [.., K]` times `weight [N, K]` transposed, with or without bias.
    pub fn linear(has_bias: bool) -> Self {
        Self { transpose_b: true, has_bias, ..Self::default() }
    }

    fn result_dtype(&self, inputs: &[&Tensor]) -> DType {
        self.result.unwrap_or_else(|| result_dtype(&inputs[..2]))
    }

    fn sizes(&self, a: Shape, b: Shape) -> Result<(Sizes, Shape)> {
        let fail = |what: String| Err(Error::shape(Self::NAME, what));
        if a.rank() < 2 || b.rank() < 2 {
            return fail(format!("a is {a}, b is {b}; both need at least two axes"));
        }
        let pair = |s: Shape, transposed: bool| {
            let (rows, cols) = (s[s.rank() - 2], s[s.rank() - 1]);
            if transposed { (cols, rows) } else { (rows, cols) }
        };
        let ((m, k), (k_b, n)) = (pair(a, self.transpose_a), pair(b, self.transpose_b));
        if k != k_b {
            return fail(format!("inner sizes differ: a is {a}, b is {b} ({k} != {k_b})"));
        }
        let lead = &a[..a.rank() - 2];
        let mut shape = lead.to_vec();
        shape.extend([m, n]);
        let shape = Shape::new(&shape);
        if b.rank() == 2 && !self.transpose_a {
            // All rows of `a` meet the same `b`: one tall product.
            let rows = lead.iter().product::<usize>() * m;
            return Ok((Sizes { batch: 1, m: rows, n, k }, shape));
        }
        if b[..b.rank() - 2] != *lead {
            return fail(format!("leading axes differ: a is {a}, b is {b}"));
        }
        Ok((Sizes { batch: lead.iter().product(), m, n, k }, shape))
    }
}

impl Operation for Matmul {
    const NAME: &'static str = "matmul";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        super::arity(Self::NAME, inputs, if self.has_bias { 3 } else { 2 })?;
        for (argument, input) in ["a", "b", "bias"].iter().zip(inputs) {
            float(Self::NAME, argument, input)?;
        }
        if let Some(result) = self.result.filter(|result| !result.is_float()) {
            return Err(Error::shape(
                Self::NAME,
                format!("result is {result}; expected f32 or bf16"),
            ));
        }
        let (_, shape) = self.sizes(inputs[0].shape(), inputs[1].shape())?;
        if self.has_bias {
            shaped(Self::NAME, "bias", inputs[2], [shape.last_dim()])?;
        }
        Ok(vec![(shape, self.result_dtype(inputs))])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        match self.sizes(inputs[0].shape(), inputs[1].shape()) {
            Ok((s, _)) => 2 * (s.batch * s.m * s.n * s.k) as u64,
            Err(_) => 0,
        }
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let (sizes, shape) = self.sizes(inputs[0].shape(), inputs[1].shape())?;
        let bias = self.has_bias.then(|| inputs[2]);
        let result = cpu::forward(self, &sizes, shape, inputs[0], inputs[1], bias)?;
        Ok(vec![result.into_dtype(self.result_dtype(inputs))?])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let (a, b) = (&inputs[0], &inputs[1]);
        let (Sizes { batch, m, n, k }, shape) =
            self.sizes(a.shape, b.shape).expect("checked shapes");
        let mut result = Array::zeros(shape);
        for index in 0..batch * m * n {
            let (i, row, col) = (index / (m * n), index / n % m, index % n);
            let mut sum = if self.has_bias { inputs[2].data[col] } else { 0.0 };
            for j in 0..k {
                let at_a = if self.transpose_a { j * m + row } else { row * k + j };
                let at_b = if self.transpose_b { col * k + j } else { j * n + col };
                sum += a.data[i * m * k + at_a] * b.data[i * k * n + at_b];
            }
            result.data[index] = sum;
        }
        vec![result]
    }
}
