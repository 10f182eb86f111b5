//! The exponential moving average of the weights, which is what gets sampled from.

use crate::parameters::moved;
use crate::{Error, Parameters, Result};
use vincie_tensor::{Accelerator, DType, Tensor, ops};

/// An averaged f32 copy of all parameters (VINCIE uses a decay of 0.9998).
#[derive(Debug)]
pub struct Ema {
    decay: f32,
    values: Vec<Tensor>,
}

impl Ema {
    /// Starts from the parameters as they are.
    pub fn new(parameters: &Parameters, decay: f32) -> Result<Self> {
        let copy = |t: &Tensor| -> Result<Tensor> {
            Tensor::from_slice(&t.to_f32()?.to_slice::<f32>()?, t.shape())
        };
        let values = parameters.iter().map(|(_, _, value)| copy(value)).collect::<Result<_>>()?;
        Ok(Self { decay, values })
    }

    /// `average = decay average + (1 - decay) value`, for the value of every parameter, such as
    /// [`AdamW::exact`](super::AdamW::exact) gives them.
    pub fn update<'t>(&mut self, values: impl Iterator<Item = &'t Tensor>) -> Result<()> {
        if self.values.iter().any(|average| average.accelerator().is_some()) {
            return self.update_on(values);
        }
        for (value, average) in values.zip(&mut self.values) {
            let value = value.to_f32()?;
            let from = value.to_slice::<f32>()?;
            let to = average.as_mut_slice::<f32>().expect("the average is not shared");
            ops::ema(to, &from, self.decay);
        }
        Ok(())
    }

    /// The same on an accelerator, where averages change in place.
    pub fn update_on<'t>(&self, values: impl Iterator<Item = &'t Tensor>) -> Result<()> {
        for (value, average) in values.zip(&self.values) {
            let on_host = || Error::Device("the averages are on the host".to_owned());
            let place = average.accelerator().ok_or_else(on_host)?;
            ops::ema_on(place, average, value, self.decay)?;
        }
        Ok(())
    }

    /// Moves the averages to an accelerator, into one allocation, or with `None` to the host.
    pub fn place(&mut self, place: Option<&Accelerator>) -> Result<()> {
        self.values = moved(&self.values, place, "averages")?;
        Ok(())
    }

    /// The averages in the order of the parameters.
    pub fn values(&self) -> &[Tensor] {
        &self.values
    }

    /// Replaces the averages, as a resumed run does.
    pub fn restore(&mut self, values: Vec<Tensor>) -> Result<()> {
        let fits = values.len() == self.values.len()
            && values
                .iter()
                .zip(&self.values)
                .all(|(a, b)| a.shape() == b.shape() && a.dtype() == DType::F32);
        if !fits {
            return Err(Error::shape(
                "ema",
                "the restored averages have other shapes than the parameters",
            ));
        }
        self.values = values;
        Ok(())
    }
}
