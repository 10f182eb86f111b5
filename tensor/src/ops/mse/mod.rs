//! Row-weighted mean squared error: the flow-matching loss.

mod cpu;
mod gpu;

use super::{Operation, Spec, arity, float, place_of, shaped};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Error, Result, Shape, Tensor};

/// Parameters of the op. Inputs are prediction `[R, C]`, target `[R, C]` and weights `[R]`; results
/// are the loss `sum_r w_r mean_c (p - t)^2` (rank 0) and the rows' mean squared errors `[R]`, which
/// are for reporting and carry no gradient. Only the prediction gets a gradient.
#[derive(Clone, Copy, Debug)]
pub struct Mse;

impl Mse {
    /// Gradient of the prediction; `grad` is the loss's, rank 0.
    pub fn backward(
        &self,
        prediction: &Tensor,
        target: &Tensor,
        weights: &Tensor,
        grad: &Tensor,
    ) -> Result<Tensor> {
        match place_of(&[prediction, target, weights, grad])? {
            Some(place) => gpu::backward(place, [prediction, target, weights], grad),
            None => cpu::backward(prediction, target, weights, grad.item()?),
        }
    }
}

impl Operation for Mse {
    const NAME: &'static str = "mse";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 3)?;
        for (argument, input) in ["prediction", "target", "weights"].iter().zip(inputs) {
            float(Self::NAME, argument, input)?;
        }
        let shape = inputs[0].shape();
        if shape.rank() != 2 {
            return Err(Error::shape(
                Self::NAME,
                format!("prediction is {shape}; expected [R, C]"),
            ));
        }
        shaped(Self::NAME, "target", inputs[1], shape)?;
        shaped(Self::NAME, "weights", inputs[2], [shape[0]])?;
        Ok(vec![(Shape::from([]), DType::F32), (Shape::from([shape[0]]), DType::F32)])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        3 * inputs[0].count() as u64
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        cpu::forward(inputs[0], inputs[1], inputs[2])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(self, place, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let rows = inputs[2].data.len();
        let cols = inputs[0].shape[1];
        let mut errors = Array::zeros([rows]);
        for r in 0..rows {
            let pairs = inputs[0].row(r).iter().zip(inputs[1].row(r));
            errors.data[r] =
                pairs.map(|(p, t)| (p - t) * (p - t)).sum::<f64>() / cols.max(1) as f64;
        }
        let loss = errors.data.iter().zip(&inputs[2].data).map(|(e, w)| e * w).sum();
        vec![Array::new([], vec![loss]), errors]
    }
}
