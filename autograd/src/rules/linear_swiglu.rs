//! Two linear layers and their gate: the rules of the three ops behind each other, on the factors that
//! were kept.

use super::{Keep, Saved, matmul};
use crate::graph::add_to;
use vincie_tensor::ops::{LinearSwiglu, Matmul, Swiglu};
use vincie_tensor::{Error, Result, Tensor};

/// All inputs; both factors.
pub(super) const KEEP: Keep = Keep::inputs(0b111).and_results(0b110);

pub(super) fn backward(
    op: &LinearSwiglu,
    saved: &Saved,
    grad: &Tensor,
    needed: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    if !op.keeps_factors {
        return Err(Error::shape("linear_swiglu", "gradients want keeps_factors"));
    }
    let (gate, up) = Swiglu.backward(saved.result(1), saved.result(2), grad)?;
    let mut x = None;
    let mut of_layer = |weight: usize, grad: Tensor| -> Result<Option<Tensor>> {
        let grad = grad.to_dtype(saved.result(weight).dtype())?;
        let factors = [saved.input(0), saved.input(weight)];
        let needed = [needed[0], needed[weight]];
        let mut gradients = matmul::gradients(&Matmul::linear(false), factors, &grad, &needed)?;
        let of_weight = gradients.pop().flatten();
        if let Some(of_x) = gradients.pop().flatten() {
            add_to(&mut x, of_x)?;
        }
        Ok(of_weight)
    };
    // The last of the layers comes first, as on a tape.
    let of_up = of_layer(2, up)?;
    let of_gate = of_layer(1, gate)?;
    Ok(vec![x, of_gate, of_up])
}
