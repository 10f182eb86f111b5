//! Products of linear layers that leave as something else, see `ptx/kernels/matmul`.

use super::Sizes;
use super::gpu::{COPY, Operand, Plan};
use crate::accelerator::{Accelerator, TensorArguments};
use crate::ops::{ready, result_dtype};
use crate::{DType, Result, Tensor};

/// What becomes of a product as it leaves the registers.
#[derive(Clone, Copy)]
pub(in crate::ops) enum End<'t> {
    /// `residual + product (gate[group] + parameter)`; the product has a bias where there is one.
    GateResidual {
        bias: Option<&'t Tensor>,
        gate: &'t Tensor,
        parameter: &'t Tensor,
        residual: &'t Tensor,
        groups: &'t Tensor,
    },
    /// `silu(gate) product`, with a gate of the product's shape.
    Swiglu { gate: &'t Tensor },
}

/// Whether a kernel takes these factors: bf16 `x` `[R, K]` and `weight` `[C, K]`, neither of them a view
/// with columns that follow each other, and enough tiles that sums need not be cut.
pub(in crate::ops) fn takes(place: &Accelerator, x: &Tensor, weight: &Tensor) -> Result<bool> {
    Ok(Factors::new(place, x, weight)?.is_some())
}

/// The factors as the kernels take them.
struct Factors {
    a: Operand,
    b: Operand,
    sizes: Sizes,
    is_aligned: bool,
}

impl Factors {
    fn new(place: &Accelerator, x: &Tensor, weight: &Tensor) -> Result<Option<Self>> {
        let (m, n, k) = (x.shape()[0], weight.shape()[0], x.shape()[1]);
        if [x, weight].iter().any(|factor| factor.dtype() != DType::BF16) || m * n * k == 0 {
            return Ok(None);
        }
        let a = Operand::new(x, DType::BF16, false, 1)?;
        let b = Operand::new(weight, DType::BF16, true, 1)?;
        let unit = COPY / DType::BF16.size();
        let is_aligned = a.is_aligned()? && b.is_aligned()? && n.is_multiple_of(unit);
        let factors = Self { a, b, sizes: Sizes { batch: 1, m, n, k }, is_aligned };
        let is_plain = !factors.a.is_turned && factors.b.is_turned;
        let is_whole = Plan::new(place, DType::BF16, &factors.sizes, is_aligned).parts == 1;
        Ok((is_plain && is_whole).then_some(factors))
    }
}

/// `x [R, K]` times `weight [C, K]` transposed with that end: what leaves, and the product where it is
/// kept. `None` where no kernel takes the operands as they are.
pub(in crate::ops) fn gated(
    place: &Accelerator,
    x: &Tensor,
    weight: &Tensor,
    end: End<'_>,
    keeps: bool,
) -> Result<Option<Vec<Tensor>>> {
    let Some(factors) = Factors::new(place, x, weight)? else { return Ok(None) };
    let Factors { a, b, sizes, is_aligned } = factors;
    let Sizes { m, n, k, .. } = sizes;
    let kept = if keeps { Some(place.uninit([m, n], DType::BF16)?) } else { None };
    let (name, result, operands) = match end {
        End::GateResidual { bias, gate, parameter, residual, groups } => {
            if result_dtype(&[gate, parameter, residual]) != DType::F32 {
                return Ok(None);
            }
            let bias = bias.map(|bias| ready(place, bias, DType::F32)).transpose()?;
            let mut operands = vec![bias];
            for operand in [gate, parameter, residual] {
                operands.push(Some(ready(place, operand, DType::F32)?));
            }
            operands.push(Some(ready(place, groups, DType::I32)?));
            ("gate_residual", DType::F32, operands)
        }
        End::Swiglu { gate } => {
            if gate.dtype() != DType::BF16 {
                return Ok(None);
            }
            ("swiglu", DType::BF16, vec![Some(ready(place, gate, DType::BF16)?)])
        }
    };
    let y = place.uninit([m, n], result)?;
    let mut is_aligned = is_aligned;
    for tensor in operands.iter().chain([&kept]).flatten().filter(|t| t.dtype().is_float()) {
        is_aligned &= tensor.device_address()?.is_multiple_of(COPY as u64);
    }
    let plan = Plan::new(place, DType::BF16, &sizes, is_aligned);
    let kernel = place.kernel(&format!("matmul_{name}_bf16_{}", plan.tile))?;
    let mut launch = kernel.launch().tensor(&a.tensor)?.tensor(&b.tensor)?;
    for operand in &operands {
        launch = launch.optional(operand.as_ref())?;
    }
    let launch = launch.optional(kept.as_ref())?.tensor(&y)?;
    let launch = launch.size(m).size(n).size(k).size(a.lead).size(b.lead);
    launch.submit(place.stream())?;
    Ok(Some([y].into_iter().chain(kept).collect()))
}
