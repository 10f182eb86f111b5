//! The gradient check: the rule's gradient against central differences of the op's f64 reference. And
//! work that is done on the host and on a device to compare them: gradients of a row of the table of
//! cases, and steps of the optimizer.

use crate::optimizer::{AdamW, AdamWConfig, Clip, Ema};
use crate::{Graph, Parameters, Result, Var};
use vincie_tensor::cases::Case;
use vincie_tensor::ops::Op;
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::reference::Array;
use vincie_tensor::{Accelerator, DType, Tensor};

/// How far a gradient is from the differences.
#[derive(Clone, Debug)]
pub struct Deviation {
    /// Which input.
    pub input: usize,
    /// Largest absolute difference over the elements that were tried.
    pub absolute: f64,
    /// The largest difference over the largest magnitude of the gradient.
    pub relative: f64,
}

/// Compares the gradients of `sum <c, results>` for random `c`, for each float input in
/// `differentiable` (by position), element by element; of large inputs at most `samples` elements are
/// tried. `results` of the op past `with_gradient` are left out, as saved values have no gradient.
pub fn compare(
    op: &Op,
    inputs: &[Tensor],
    differentiable: &[usize],
    with_gradient: usize,
    samples: usize,
) -> Result<Vec<Deviation>> {
    let parameters = Parameters::new();
    let graph = Graph::recording(&parameters);
    let vars: Vec<Var> =
        inputs
            .iter()
            .enumerate()
            .map(|(i, t)| {
                if differentiable.contains(&i) { graph.input(t.clone()) } else { t.clone().into() }
            })
            .collect();
    let results = graph.apply(op.clone(), &vars.iter().collect::<Vec<_>>())?;
    let key = Key::new(17, Stream::Test, 1);
    let mut seeds = Vec::new();
    for (i, result) in results.iter().take(with_gradient).enumerate() {
        let seed = Key { step: i as u64, ..key }.normal_tensor(result.value().shape())?;
        seeds.push((result, seed));
    }
    let weights =
        seeds.iter().map(|(_, seed)| Array::from_tensor(seed)).collect::<Result<Vec<_>>>()?;
    let gradients = graph.backward_from(&seeds)?;

    let mut arrays = inputs.iter().map(Array::from_tensor).collect::<Result<Vec<_>>>()?;
    let objective = |arrays: &[Array]| -> f64 {
        let results = op.reference(arrays);
        let terms = results.iter().zip(&weights).flat_map(|(r, w)| r.data.iter().zip(&w.data));
        terms.map(|(r, w)| r * w).sum()
    };
    let mut deviations = Vec::new();
    for &input in differentiable {
        let count = inputs[input].count();
        let analytic = match gradients.of(&vars[input]) {
            Some(gradient) => Array::from_tensor(gradient)?.data,
            None => vec![0.0; count],
        };
        assert_eq!(
            analytic.len(),
            count,
            "{}: gradient of input {input} has another size",
            op.name()
        );
        let stride = count.div_ceil(samples.max(1)).max(1);
        let (mut absolute, mut magnitude) = (0f64, 0f64);
        for i in (0..count).step_by(stride) {
            let value = arrays[input].data[i];
            let step = 1e-5 * value.abs().max(1.0);
            arrays[input].data[i] = value + step;
            let above = objective(&arrays);
            arrays[input].data[i] = value - step;
            let below = objective(&arrays);
            arrays[input].data[i] = value;
            let numeric = (above - below) / (2.0 * step);
            absolute = absolute.max((numeric - analytic[i]).abs());
            magnitude = magnitude.max(numeric.abs()).max(analytic[i].abs());
        }
        let relative = if magnitude > 0.0 { absolute / magnitude } else { 0.0 };
        deviations.push(Deviation { input, absolute, relative });
    }
    Ok(deviations)
}

/// Gradients of all differentiable inputs of a row, where `inputs` lie, for a random gradient of its
/// results; read back to the host. `None` stands for inputs that nothing depends on.
pub fn gradients(case: &Case, inputs: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
    let parameters = Parameters::new();
    let graph = Graph::recording(&parameters);
    let var = |(i, input): (usize, &Tensor)| match case.differentiable.contains(&i) {
        true => graph.input(input.clone()),
        false => input.clone().into(),
    };
    let vars: Vec<Var> = inputs.iter().enumerate().map(var).collect();
    let results = graph.apply(case.op.clone(), &vars.iter().collect::<Vec<_>>())?;
    let mut seeds = Vec::new();
    for (i, result) in results.iter().take(case.with_gradient).enumerate() {
        let seed = Key::new(7, Stream::Test, i as u64).normal_tensor(result.value().shape())?;
        let seed = seed.to_dtype(result.value().dtype())?;
        seeds.push((result, seed.to_place(result.value().accelerator())?));
    }
    let gradients = graph.backward_from(&seeds)?;
    let of = |&i: &usize| gradients.of(&vars[i]).map(Tensor::to_host).transpose();
    case.differentiable.iter().map(of).collect()
}

/// Weights, averages and norms after three steps of AdamW on tensors of all sizes and types, with
/// gradients of their own type and of the other one; the
/// gradient of the last step is not finite where `is_broken`.
pub fn optimized(place: Option<&Accelerator>, is_broken: bool) -> Result<Vec<f32>> {
    let draw = |number: u64, dims: &[usize]| Key::new(9, Stream::Test, number).normal_tensor(dims);
    let mut parameters = Parameters::new();
    for (i, dims) in [&[1][..], &[7], &[64], &[3, 5], &[8, 32], &[40_001]].into_iter().enumerate() {
        let value = draw(i as u64, dims)?;
        parameters.insert(format!("f32.{i}"), value.clone());
        parameters.insert(format!("bf16.{i}"), value.to_dtype(DType::BF16)?);
        parameters.insert(format!("f32.bf16.{i}"), value.clone());
        parameters.insert(format!("bf16.f32.{i}"), value.to_dtype(DType::BF16)?);
    }
    let mut optimizer = AdamW::new(&parameters, AdamWConfig::default())?;
    let mut average = Ema::new(&parameters, 0.9)?;
    let mut of_rounded = Ema::new(&parameters, 0.9)?;
    parameters = parameters.to_place(place)?;
    optimizer.place(place)?;
    average.place(place)?;
    of_rounded.place(place)?;
    let mut seen = Vec::new();
    for step in 0..3 {
        let gradient = |(id, value): (usize, &Tensor)| {
            let mut gradient = draw(100 + 50 * step + id as u64, value.dims())?;
            if is_broken && step == 2 && id == 3 {
                gradient.as_mut_slice::<f32>().expect("a fresh tensor has one owner")[0] =
                    f32::INFINITY;
            }
            // Of four parameters the last two have gradients of the other type.
            let dtype = match (value.dtype(), id % 4 < 2) {
                (own, true) => own,
                (DType::F32, false) => DType::BF16,
                (_, false) => DType::F32,
            };
            gradient.to_dtype(dtype)?.to_place(place).map(Some)
        };
        let values = parameters.iter().map(|(_, _, value)| value).enumerate();
        let gradients = values.map(gradient).collect::<Result<Vec<_>>>()?;
        let clip = Clip::new(&gradients, 10.0)?;
        optimizer.step(&mut parameters, &gradients, 1e-2, &clip)?;
        average.update(optimizer.exact(&parameters))?;
        of_rounded.update(parameters.iter().map(|(_, _, value)| value))?;
        seen.push(clip.norm()? as f32);
    }
    let weights = parameters.iter().map(|(_, _, value)| value);
    for value in weights.chain(average.values()).chain(of_rounded.values()) {
        seen.extend(value.to_f32()?.to_vec::<f32>()?);
    }
    Ok(seen)
}

/// Positions of the inputs that can have a gradient: the float ones.
pub fn float_inputs(inputs: &[Tensor]) -> Vec<usize> {
    (0..inputs.len())
        .filter(|&i| inputs[i].dtype() != DType::I32 && inputs[i].dtype() != DType::U8)
        .collect()
}
