//! The time embedding (VINCIE 3B specification, section 1.5).

use super::Linear;
use super::names::Names;
use crate::Result;
use vincie_autograd::{Graph, Var};
use vincie_tensor::Tensor;

/// Sinusoidal features of a timestep.
pub(super) const FEATURES: usize = 256;

/// The three layers after the sinusoid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeEmbedding {
    first: Linear,
    second: Linear,
    third: Linear,
}

/// `[sin(t f_0..), cos(t f_0..)]` with `f_i = 10000^(-i / 128)`, for timesteps 0 to 1000 `[G]`, computed
/// in f32 as the official model does: `[G, 256]`.
pub fn sinusoid(timesteps: &Tensor) -> Result<Tensor> {
    let half = FEATURES / 2;
    let frequency = |i: usize| (-(10_000f32.ln()) * i as f32 / half as f32).exp();
    let frequencies: Vec<f32> = (0..half).map(frequency).collect();
    let steps = timesteps.to_f32()?.to_vec::<f32>()?;
    let mut features = Vec::with_capacity(steps.len() * FEATURES);
    for t in &steps {
        features.extend(frequencies.iter().map(|f| (t * f).sin()));
        features.extend(frequencies.iter().map(|f| (t * f).cos()));
    }
    Ok(Tensor::from_slice(&features, [steps.len(), FEATURES])?)
}

impl TimeEmbedding {
    pub(crate) fn bind(names: &Names<'_>, hidden: usize, output: usize) -> Result<Self> {
        Ok(Self {
            first: names.linear("emb_in.proj_in", [hidden, FEATURES], true)?,
            second: names.linear("emb_in.proj_hid", [hidden, hidden], true)?,
            third: names.linear("emb_in.proj_out", [output, hidden], true)?,
        })
    }

    /// [`sinusoid`] `[G, 256]` to `[G, output]`; `conditioning` `[G, hidden]` is added before the last
    /// activation.
    pub(crate) fn forward(
        &self,
        g: &Graph<'_>,
        time: &Tensor,
        conditioning: Option<&Var>,
    ) -> Result<Var> {
        let features = Var::constant(time.clone());
        let hidden = g.silu(&self.first.forward_to_f32(g, &features)?)?;
        let mut hidden = self.second.forward_to_f32(g, &hidden)?;
        if let Some(conditioning) = conditioning {
            hidden = g.add(&hidden, conditioning)?;
        }
        self.third.forward_to_f32(g, &g.silu(&hidden)?)
    }
}
