//! AdamW with f32 master weights (Loshchilov and Hutter, "Decoupled weight decay regularization").

use super::Clip;
use crate::parameters::moved;
use crate::{Error, ParameterId, Parameters, Result};
use vincie_tensor::{Accelerator, DType, Tensor, ops};

/// The optimizer's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled decay per step and unit of learning rate, of parameters with two axes or more;
    /// vectors (biases, norms, modulation) do not decay.
    pub weight_decay: f32,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

/// An entry of [`Parameters::iter`].
type Named<'p> = (ParameterId, &'p str, &'p Tensor);

/// Moments of all parameters, and f32 masters of those stored in bf16.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    steps: u64,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    masters: Vec<Option<Tensor>>,
}

impl AdamW {
    /// Zero moments for these parameters.
    pub fn new(parameters: &Parameters, config: AdamWConfig) -> Result<Self> {
        Self::with_masters(parameters, parameters, config)
    }

    /// [`Self::new`] for parameters that were rounded from f32 values: those become the masters.
    pub fn with_masters(
        parameters: &Parameters,
        exact: &Parameters,
        config: AdamWConfig,
    ) -> Result<Self> {
        let zeros = || -> Result<Vec<Tensor>> {
            parameters
                .iter()
                .map(|(_, _, value)| Tensor::zeros(value.shape(), DType::F32))
                .collect()
        };
        let master = |((_, _, value), (_, _, exact)): (Named<'_>, Named<'_>)| {
            (value.dtype() != DType::F32).then(|| exact.to_f32()).transpose()
        };
        let masters = parameters.iter().zip(exact.iter()).map(master).collect::<Result<_>>()?;
        Ok(Self { config, steps: 0, first: zeros()?, second: zeros()?, masters })
    }

    /// The f32 values of all parameters: masters of those stored in bf16, the others themselves.
    pub fn exact<'t>(&'t self, parameters: &'t Parameters) -> impl Iterator<Item = &'t Tensor> {
        let values = parameters.iter().map(|(_, _, value)| value);
        self.masters.iter().zip(values).map(|(master, value)| master.as_ref().unwrap_or(value))
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step at learning rate `rate`, of gradients that are clipped first; parameters without a
    /// gradient stay as they are, and so do all where the norm is not finite. On an accelerator,
    /// weights change in place, in all tensors that share their memory.
    pub fn step(
        &mut self,
        parameters: &mut Parameters,
        gradients: &[Option<Tensor>],
        rate: f32,
        clip: &Clip,
    ) -> Result<()> {
        if let Some((place, _)) = clip.on_device() {
            let constants = self.next_constants(rate)?.to_place(Some(place))?;
            self.count_step();
            return self.step_on(parameters, gradients, &constants, clip);
        }
        self.steps += 1;
        let factor = clip.factor().filter(|factor| factor.is_finite());
        let Some(factor) = factor else { return Ok(()) };
        let ids: Vec<_> = parameters.iter().map(|(id, _, _)| id).collect();
        for (i, (id, gradient)) in ids.into_iter().zip(gradients).enumerate() {
            let Some(gradient) = gradient else { continue };
            let gradient = gradient.to_f32()?;
            let gradient = gradient.to_slice::<f32>()?;
            let decays = decays(parameters.value(id));
            let update = ops::AdamW {
                weight_decay: if decays { self.config.weight_decay } else { 0.0 },
                ..self.update(self.steps, rate, factor)
            };
            let (first, second) = (&mut self.first[i], &mut self.second[i]);
            let first = first.as_mut_slice().expect("moments are not shared");
            let second = second.as_mut_slice().expect("moments are not shared");
            match &mut self.masters[i] {
                Some(master) => {
                    update.apply(owned(master)?, &gradient, first, second);
                    *parameters.value_mut(id) = master.to_dtype(parameters.value(id).dtype())?;
                }
                None => update.apply(owned(parameters.value_mut(id))?, &gradient, first, second),
            }
        }
        Ok(())
    }

    /// The constants of the next step, `[8]`, on the host: those that [`AdamW::step_on`] takes.
    pub fn next_constants(&self, rate: f32) -> Result<Tensor> {
        self.update(self.steps + 1, rate, 1.0).constants()
    }

    /// Counts a step that [`AdamW::step_on`] took.
    pub fn count_step(&mut self) {
        self.steps += 1;
    }

    /// One step on an accelerator, with constants that lie there: weights, masters and moments change
    /// in place. It is not counted.
    pub fn step_on(
        &self,
        parameters: &Parameters,
        gradients: &[Option<Tensor>],
        constants: &Tensor,
        clip: &Clip,
    ) -> Result<()> {
        let Some((place, clip)) = clip.on_device() else {
            let what = "the gradients are on the host; expected an accelerator".to_owned();
            return Err(Error::Device(what));
        };
        for (i, ((_, _, value), gradient)) in parameters.iter().zip(gradients).enumerate() {
            let Some(gradient) = gradient else { continue };
            let state = ops::AdamWState {
                gradient,
                values: self.masters[i].as_ref().unwrap_or(value),
                first: &self.first[i],
                second: &self.second[i],
                rounded: self.masters[i].as_ref().map(|_| value),
                decays: decays(value),
            };
            ops::adamw_on(place, state, constants, clip)?;
        }
        Ok(())
    }

    fn update(&self, step: u64, rate: f32, gradient_scale: f32) -> ops::AdamW {
        ops::AdamW {
            rate,
            beta1: self.config.beta1,
            beta2: self.config.beta2,
            epsilon: self.config.epsilon,
            weight_decay: self.config.weight_decay,
            gradient_scale,
            step,
        }
    }

    /// Moves the state to an accelerator, into one allocation for each moment, or with `None` to
    /// the host.
    pub fn place(&mut self, place: Option<&Accelerator>) -> Result<()> {
        self.first = moved(&self.first, place, "first moments")?;
        self.second = moved(&self.second, place, "second moments")?;
        let masters: Vec<Tensor> = self.masters.iter().flatten().cloned().collect();
        let mut masters = moved(&masters, place, "master weights")?.into_iter();
        for master in self.masters.iter_mut().flatten() {
            *master = masters.next().expect("as many masters as before");
        }
        Ok(())
    }

    /// First moments, second moments and masters, in the order of the parameters.
    pub fn state(&self) -> (&[Tensor], &[Tensor], &[Option<Tensor>]) {
        (&self.first, &self.second, &self.masters)
    }

    /// Replaces the state, as a resumed run does.
    pub fn restore(
        &mut self,
        steps: u64,
        first: Vec<Tensor>,
        second: Vec<Tensor>,
        masters: Vec<Option<Tensor>>,
    ) -> Result<()> {
        let alike = |a: &[Tensor], b: &[Tensor]| {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| a.shape() == b.shape() && a.dtype() == b.dtype())
        };
        let same_masters = masters.len() == self.masters.len()
            && masters.iter().zip(&self.masters).all(|(a, b)| a.is_some() == b.is_some());
        if !alike(&first, &self.first) || !alike(&second, &self.second) || !same_masters {
            return Err(Error::shape(
                "adamw",
                "the restored state has other shapes than the parameters",
            ));
        }
        (self.steps, self.first, self.second, self.masters) = (steps, first, second, masters);
        Ok(())
    }
}

/// Whether a parameter decays: vectors (biases, norms, modulation) do not.
fn decays(value: &Tensor) -> bool {
    value.shape().rank() >= 2
}

/// The elements of a weight, which become a copy of their own first where someone else sees them or they
/// lie in a mapped file.
fn owned(tensor: &mut Tensor) -> Result<&mut [f32]> {
    if tensor.as_mut_slice::<f32>().is_none() {
        *tensor = Tensor::from_slice(&tensor.to_slice::<f32>()?, tensor.shape())?;
    }
    Ok(tensor.as_mut_slice().expect("a fresh tensor has one owner"))
}
