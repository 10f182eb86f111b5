//! Random weights to start from.

use super::names::{self, Need};
use crate::Result;
use crate::config::ModelConfig;
use vincie_autograd::Parameters;
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{Shape, Tensor};

/// How one parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Start {
    /// Normal with this deviation.
    Normal(f32),
    /// Normal with this deviation around 1: modulation scales (specification, section 1.7).
    AroundOne(f32),
    /// Ones: norm weights.
    One,
    /// Zeros: biases.
    Zero,
}

/// Adds every parameter of the model under its official name. Linear layers start normal with
/// deviation `1 / sqrt(inputs)`, those that end a residual branch smaller by `sqrt(2 layers)`, the last
/// layer of the time embedding and of the model at 0.02; modulation as the specification says.
pub fn initialise(config: &ModelConfig, parameters: &mut Parameters, seed: u64) -> Result<()> {
    config.validate()?;
    for (name, shape, need) in names::expected_parameters(config) {
        if need == Need::Buffer {
            continue;
        }
        let value = draw(start_of(config, &name, shape), shape, seed, parameters.len() as u64)?;
        parameters.insert(name, value);
    }
    Ok(())
}

/// How a parameter of that name starts.
pub(crate) fn start_of(config: &ModelConfig, name: &str, shape: Shape) -> Start {
    let inputs = shape.last_dim() as f32;
    let ends_with = |suffix: &str| name.ends_with(suffix);
    let vector = 1.0 / (config.dim as f32).sqrt();
    if name.contains(".norm_") || name == "vid_out_norm.weight" || name == "txt_in.0.1.weight" {
        Start::One
    } else if name.contains(".ada.") || name.starts_with("vid_out_ada.") {
        if ends_with("scale") { Start::AroundOne(vector) } else { Start::Normal(vector) }
    } else if ends_with(".bias") {
        Start::Zero
    } else if name.starts_with("emb_in.proj_out")
        || name.starts_with("vid_out.")
        || name.starts_with("prompt_id")
    {
        Start::Normal(0.02)
    } else if name.contains(".proj_out.") {
        Start::Normal(1.0 / (inputs * 2.0 * config.layers as f32).sqrt())
    } else {
        Start::Normal(1.0 / inputs.sqrt())
    }
}

fn draw(start: Start, shape: Shape, seed: u64, parameter: u64) -> Result<Tensor> {
    let normal = |deviation: f32, mean: f32| -> Result<Tensor> {
        let mut value = Key::new(seed, Stream::Weights, parameter).normal_tensor(shape)?;
        let all = value.as_mut_slice::<f32>().expect("a fresh tensor has one owner");
        all.iter_mut().for_each(|x| *x = x.mul_add(deviation, mean));
        Ok(value)
    };
    match start {
        Start::Normal(deviation) => normal(deviation, 0.0),
        Start::AroundOne(deviation) => normal(deviation, 1.0),
        Start::One => Ok(Tensor::full(shape, 1f32)?),
        Start::Zero => Ok(Tensor::full(shape, 0f32)?),
    }
}
