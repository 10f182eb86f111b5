//! A warp a row; gradients of weight and bias by sums over stretches of rows.

use super::{LayerNorm, LayerNormGradients};
use crate::accelerator::{Accelerator, Rows, TensorArguments};
use crate::ops::reduce::sum_columns;
use crate::ops::{ready, result_dtype};
use crate::{DType, Result, Tensor};

impl LayerNorm {
    fn form(&self) -> &'static str {
        if self.is_affine { "affine" } else { "plain" }
    }
}

pub(super) fn forward(
    op: &LayerNorm,
    place: &Accelerator,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let dtype = result_dtype(inputs);
    let all = inputs.iter().map(|input| ready(place, input, dtype)).collect::<Result<Vec<_>>>()?;
    let x = &all[0];
    let y = place.uninit(x.shape(), dtype)?;
    let (mean, inverse) = (
        place.zeros([x.shape().rows()], DType::F32)?,
        place.zeros([x.shape().rows()], DType::F32)?,
    );
    if y.count() > 0 {
        let mut tensors: Vec<&Tensor> = all.iter().collect();
        tensors.push(&y);
        let rows = Rows::of(&tensors)?;
        let name = format!("layer_norm_forward_{}_{dtype}_{}", op.form(), rows.access());
        let kernel = place.kernel(&name)?;
        let launch = kernel.launch().tensor(x)?.optional(all.get(1))?.optional(all.get(2))?;
        let launch = launch.tensor(&y)?.tensor(&mean)?.tensor(&inverse)?;
        let launch = launch.size(rows.rows).size(rows.cols).scalar(1.0 / rows.cols as f32);
        launch.scalar(op.epsilon).submit(place.stream())?;
    }
    Ok(vec![y, mean, inverse])
}

pub(super) fn backward(
    op: &LayerNorm,
    place: &Accelerator,
    inputs: &[&Tensor],
    moments: [&Tensor; 2],
    grad: &Tensor,
) -> Result<LayerNormGradients> {
    let mut floats = inputs.to_vec();
    floats.push(grad);
    let dtype = result_dtype(&floats);
    let (x, dy) = (ready(place, inputs[0], dtype)?, ready(place, grad, dtype)?);
    let weight = inputs.get(1).map(|weight| ready(place, weight, dtype)).transpose()?;
    let [mean, inverse] = moments.map(|moment| ready(place, moment, DType::F32));
    let (mean, inverse) = (mean?, inverse?);
    let dx = place.uninit(x.shape(), dtype)?;
    let rows = Rows::of(&[&x, &dy, &dx].into_iter().chain(&weight).collect::<Vec<_>>())?;
    if dx.count() > 0 {
        let name = format!("layer_norm_backward_{}_{dtype}_{}", op.form(), rows.access());
        let kernel = place.kernel(&name)?;
        let launch = kernel.launch().tensor(&x)?.optional(weight.as_ref())?;
        let launch = launch.tensor(&mean)?.tensor(&inverse)?.tensor(&dy)?.tensor(&dx)?;
        let launch = launch.size(rows.rows).size(rows.cols);
        launch.scalar(1.0 / rows.cols as f32).submit(place.stream())?;
    }
    if !op.is_affine {
        return Ok(LayerNormGradients { x: dx, affine: None });
    }
    let new = || place.uninit([rows.splits(), rows.cols], DType::F32);
    let (products, shifts) = (new()?, new()?);
    if products.count() > 0 {
        let kernel = place.kernel(&format!("layer_norm_sums_{dtype}"))?;
        let launch = kernel.launch().tensor(&x)?.tensor(&mean)?.tensor(&inverse)?.tensor(&dy)?;
        let launch = launch.tensor(&products)?.tensor(&shifts)?;
        rows.split(launch, 1).submit(place.stream())?;
    }
    let sum = |splits: &Tensor| {
        sum_columns(place, splits, [1, rows.splits(), rows.cols], 1.0)?.reshape([rows.cols])
    };
    Ok(LayerNormGradients { x: dx, affine: Some([sum(&products)?, sum(&shifts)?]) })
}
