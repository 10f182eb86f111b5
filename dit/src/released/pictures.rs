//! Context pictures to latents and latents to the picture that a turn made (VINCIE 3B specification,
//! sections 2.5 and 7).

use super::Settings;
use crate::codec::vae::{Autoencoder, Posterior};
use crate::codec::{LatentScale, to_byte};
use crate::{Error, Result};
use vincie_autograd::{Graph, Parameters};
use vincie_data::decode::{self, FloatImage, Preparation};
use vincie_data::{Image, Limits};
use vincie_tensor::Tensor;

/// Brings the context to one size: all pictures to the first one's, then to the resolution, with sides
/// in multiples of `multiple`.
pub fn prepared(
    context: Vec<Image>,
    settings: &Settings,
    multiple: usize,
) -> Result<Vec<FloatImage>> {
    let preparation =
        Preparation { resolution: settings.resolution, aspect: settings.aspect, multiple };
    let prepare = |image: &Image| preparation.run(image).map_err(Error::invalid);
    if let Some(first) = context.first() {
        // The size is known, and refused, before any picture is brought to it.
        preparation.sizes(first.width, first.height).map_err(Error::invalid)?;
    }
    decode::same_size(context).iter().map(prepare).collect()
}

/// Width and height of the pictures of a session without a picture: a square of the resolution.
pub fn square(settings: &Settings, multiple: usize) -> Result<[usize; 2]> {
    let side = settings.resolution.round_ties_even() as usize;
    let side = side - side % multiple.max(1);
    Limits::default().check_size(side, side).map_err(Error::invalid)?;
    Ok([side; 2])
}

/// An autoencoder of single pictures with its weights.
pub struct PictureCodec {
    network: Autoencoder,
    parameters: Parameters,
    scale: LatentScale,
}

impl PictureCodec {
    /// A codec over a network of folded weights.
    pub fn new(network: Autoencoder, parameters: Parameters, scale: LatentScale) -> Self {
        Self { network, parameters, scale }
    }

    /// Pixels along each side of a latent pixel.
    pub fn factor(&self) -> usize {
        self.network.sizes().factor()
    }

    /// Channels of a latent pixel.
    pub fn channels(&self) -> usize {
        self.network.sizes().latent()
    }

    /// Picture to scaled latent `[h, w, C]`: drawn from the encoder's answer with `noise` `[h, w, C]`,
    /// or its mean.
    pub fn encode(&self, image: &FloatImage, noise: Option<&Tensor>) -> Result<Tensor> {
        let place = self.parameters.accelerator();
        let pixels = Tensor::from_slice(&image.values, [1, 1, image.height, image.width, 3])?;
        let g = Graph::inference(&self.parameters);
        let moments = self.network.encode(&g, &pixels.to_place(place)?.into(), None)?;
        let posterior = Posterior::of(&g, &moments)?;
        let latent = match noise {
            Some(noise) => {
                let noise = noise.reshape(posterior.mean.value().shape())?.to_place(place)?;
                posterior.sample(&g, &noise.into())?
            }
            None => posterior.mean,
        };
        let shape = latent.value().shape();
        self.scaled(latent.value(), [shape[2], shape[3], shape[4]], LatentScale::encode)
    }

    /// Scaled latent `[h, w, C]` to pixels `[H, W, 3]`, not clipped.
    pub fn decode(&self, latent: &Tensor) -> Result<Tensor> {
        let shape = latent.shape();
        if shape.rank() != 3 {
            return Err(Error::invalid(format!("session: latent is {shape}; expected [h, w, C]")));
        }
        let latent = self.scaled(latent, [shape[0], shape[1], shape[2]], LatentScale::decode)?;
        let latent = latent.reshape([1, 1, shape[0], shape[1], shape[2]])?;
        let g = Graph::inference(&self.parameters);
        let latent = latent.to_place(self.parameters.accelerator())?;
        let pixels = self.network.decode(&g, &latent.into(), None)?;
        let pixels = pixels.value().to_host()?;
        let shape = pixels.shape();
        Ok(pixels.reshape([shape[2], shape[3], shape[4]])?)
    }

    fn scaled(
        &self,
        latent: &Tensor,
        shape: [usize; 3],
        convert: fn(LatentScale, f32, bool) -> f32,
    ) -> Result<Tensor> {
        let mut values = latent.to_host()?.to_f32()?.to_vec::<f32>()?;
        values.iter_mut().for_each(|v| *v = convert(self.scale, *v, false));
        Ok(Tensor::from_slice(&values, shape)?)
    }
}

/// Pixels `[H, W, 3]` as a picture: clipped, scaled and cut off to 8 bits.
pub fn to_picture(pixels: &Tensor) -> Result<Image> {
    let &[height, width, 3] = pixels.dims() else {
        return Err(Error::invalid(format!(
            "session: pixels are {}; expected [H, W, 3]",
            pixels.shape()
        )));
    };
    let values = pixels.to_f32()?.to_vec::<f32>()?;
    Ok(Image::new(width, height, values.into_iter().map(|v| to_byte(v, false)).collect()))
}
