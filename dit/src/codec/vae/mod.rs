//! The autoencoders of the released models, for clips and for single pictures: 8 x 16 channels of the
//! 3B and 16 x 48 channels of the 7B (VINCIE 3B specification, section 2; 7B specification,
//! section 2). Tensors are channels-last: `[B, T, H, W, C]`.
//!
//! Weights stand under their official names and are brought into the network's order once
//! ([`Autoencoder::load`]). A network for clips takes `1 + k n` frames, n being the factor of time; one
//! for single pictures has folded kernels and takes frames one by one.

mod half;
mod layers;
mod pass;
mod posterior;
mod sizes;
mod slices;
#[cfg(test)]
mod tests;
mod weights;

pub use posterior::Posterior;
pub use sizes::Sizes;
pub use weights::{Form, nearest_neighbour, official_order};

use crate::model::{Names, Probe};
use crate::{Error, Result};
use half::Half;
use layers::clip;
use pass::Pass;
use vincie_autograd::{Graph, Parameters, Var};

/// Groups of every norm in the released autoencoders.
pub const GROUPS: usize = 32;

/// An encoder and a decoder: their structure, and where their parameters are.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    sizes: Sizes,
    form: Form,
    encoder: Half,
    decoder: Half,
}

impl Autoencoder {
    /// The network and its weights from tensors under official names and shapes, whatever their type.
    /// Norms have `groups` groups, [`GROUPS`] in the released models. `Err` is one line that names what
    /// is missing or has another shape.
    pub fn load(
        official: &Parameters,
        sizes: &Sizes,
        groups: usize,
        form: Form,
    ) -> Result<(Self, Parameters)> {
        let parameters = weights::arranged(official, sizes, form)?;
        let sizes = match form {
            Form::Clips => sizes.clone(),
            Form::Pictures => sizes.of_pictures(),
        };
        let names = Names { parameters: &parameters };
        let encoder = Half::encoder(&names, &sizes, groups)?;
        let decoder = Half::decoder(&names, &sizes, groups)?;
        Ok((Self { sizes, form, encoder, decoder }, parameters))
    }

    /// Widths and factors.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Pixels `[B, T, H, W, 3]` in -1 to 1 to moments `[B, t, h, w, 2 latent]`, which
    /// [`Posterior::of`] splits.
    pub fn encode<'p>(
        &self,
        g: &Graph<'_>,
        pixels: &Var,
        probe: Option<&'p Probe<'p>>,
    ) -> Result<Var> {
        self.check_pixels(clip(pixels)?)?;
        self.encoder.forward(g, pixels, &Pass::whole(probe))
    }

    /// Latents `[B, t, h, w, latent]` to pixels `[B, T, H, W, 3]`, which are not clipped.
    pub fn decode<'p>(
        &self,
        g: &Graph<'_>,
        latents: &Var,
        probe: Option<&'p Probe<'p>>,
    ) -> Result<Var> {
        self.check_latents(clip(latents)?)?;
        self.decoder.forward(g, latents, &Pass::whole(probe))
    }

    fn check_pixels(&self, [_, frames, height, width, channels]: [usize; 5]) -> Result<()> {
        let (factor, time, image) =
            (self.sizes.factor(), self.sizes.time_factor(), self.sizes.image());
        let fits = [height, width].iter().all(|&side| side > 0 && side.is_multiple_of(factor))
            && frames % time == 1 % time
            && channels == image;
        if fits && frames > 0 && (self.form == Form::Clips || frames == 1) {
            return Ok(());
        }
        let frames_wanted = if time == 1 { "1".to_owned() } else { format!("1 + {time} k") };
        Err(Error::invalid(format!(
            "autoencoder: pixels are {frames} frames of {height} x {width} x {channels}; expected \
             {frames_wanted} frames, sides in multiples of {factor} and {image} channels"
        )))
    }

    fn check_latents(&self, [_, frames, height, width, channels]: [usize; 5]) -> Result<()> {
        let latent = self.sizes.latent();
        let is_clip = frames == 1 || (frames > 1 && self.form == Form::Clips);
        if is_clip && height > 0 && width > 0 && channels == latent {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "autoencoder: latents are {frames} frames of {height} x {width} x {channels}; expected \
             {latent} channels, and one frame for a network of single pictures"
        )))
    }
}
