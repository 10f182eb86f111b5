//! Clips of any length in bounded memory: slice after slice in time. Convolutions see frames of their
//! past only and norms and attention one frame, so a clip in slices gives the very numbers of the
//! whole clip.

use super::half::Half;
use super::layers::clip;
use super::pass::{Memory, Pass};
use super::{Autoencoder, Form};
use crate::{Error, Result};
use std::cell::RefCell;
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::Tensor;

impl Autoencoder {
    /// [`encode`](Self::encode) without gradients, at most about `frames` frames at a time.
    pub fn encode_slices(
        &self,
        parameters: &Parameters,
        pixels: &Tensor,
        frames: usize,
    ) -> Result<Tensor> {
        self.check_pixels(clip(&pixels.clone().into())?)?;
        // Every slice behind the first ends where a latent frame does.
        let step = self.sizes().time_factor();
        let slice = frames.saturating_sub(1).max(1).next_multiple_of(step);
        in_slices(&self.encoder, parameters, pixels, 1, slice, self.form)
    }

    /// [`decode`](Self::decode) without gradients, `frames` latent frames at a time.
    pub fn decode_slices(
        &self,
        parameters: &Parameters,
        latents: &Tensor,
        frames: usize,
    ) -> Result<Tensor> {
        self.check_latents(clip(&latents.clone().into())?)?;
        in_slices(&self.decoder, parameters, latents, 0, frames.max(1), self.form)
    }
}

/// Runs a half over slices of `slice` frames, of which the first has `extra` more.
fn in_slices(
    half: &Half,
    parameters: &Parameters,
    x: &Tensor,
    extra: usize,
    slice: usize,
    form: Form,
) -> Result<Tensor> {
    let g = Graph::inference(parameters);
    let frames = x.shape()[1];
    let memory = RefCell::new(Memory::default());
    let pass = if form == Form::Clips { Pass::slice(&memory) } else { Pass::whole(None) };
    let (mut start, mut parts) = (0, Vec::new());
    while start < frames {
        let wanted = if start == 0 { slice + extra } else { slice };
        let count = wanted.min(frames - start);
        let part: Var = x.narrow(1, start, count)?.into();
        parts.push(half.forward(&g, &part, &pass)?);
        memory.borrow_mut().go_on();
        start += count;
    }
    if parts.is_empty() {
        return Err(Error::invalid("autoencoder: a clip of no frames"));
    }
    Ok(g.concat(&parts.iter().collect::<Vec<_>>(), 1)?.value().clone())
}
