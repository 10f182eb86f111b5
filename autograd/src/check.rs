//! The gradient check: the rule's gradient against central differences of the op's f64 reference.

use crate::{Graph, Parameters, Result, Var};
use vincie_tensor::ops::Op;
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::reference::Array;
use vincie_tensor::{DType, Tensor};

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

/// Positions of the inputs that can have a gradient: the float ones.
pub fn float_inputs(inputs: &[Tensor]) -> Vec<usize> {
    (0..inputs.len())
        .filter(|&i| inputs[i].dtype() != DType::I32 && inputs[i].dtype() != DType::U8)
        .collect()
}
