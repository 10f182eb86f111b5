//! Images to latents and back.

mod pixels;
mod scale;
pub mod vae;

pub use pixels::{from_image, mask_latent, to_image, to_mask};
pub use scale::LatentScale;

use crate::Result;
use crate::tasks::Task;
use half::bf16;
use vincie_data::{Image, Mask};
use vincie_tensor::Tensor;

/// Which latents a model works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// The picture itself: three channels in -1 to 1.
    #[default]
    Pixels,
}

impl Codec {
    /// Pixels of a picture along each side of a latent pixel.
    pub fn factor(self) -> usize {
        match self {
            Self::Pixels => 1,
        }
    }

    /// Channels of a latent pixel.
    pub fn channels(self) -> usize {
        match self {
            Self::Pixels => 3,
        }
    }

    /// Picture to latent `[height, width, channels]`.
    pub fn encode(self, image: &Image) -> Result<Tensor> {
        match self {
            Self::Pixels => from_image(image),
        }
    }

    /// Mask, as the black and white picture the model sees, to latent.
    pub fn encode_mask(self, mask: &Mask) -> Result<Tensor> {
        match self {
            Self::Pixels => mask_latent(mask),
        }
    }

    /// Latent to picture.
    pub fn decode(self, latent: &Tensor) -> Result<Image> {
        match self {
            Self::Pixels => to_image(latent),
        }
    }

    /// Latent to mask.
    pub fn decode_mask(self, latent: &Tensor) -> Result<Mask> {
        match self {
            Self::Pixels => to_mask(latent),
        }
    }

    /// What a generated latent becomes when it is read back as context: pictures pass through eight
    /// bits, masks through black and white.
    pub fn reread(self, latent: &Tensor, task: Task) -> Result<Tensor> {
        match task {
            Task::NextImage => self.encode(&self.decode(latent)?),
            Task::CurrentMask | Task::NextMask => self.encode_mask(&self.decode_mask(latent)?),
        }
    }
}

/// A value of the range -1 to 1 as a byte: clipped, scaled and cut off, not rounded, as the official
/// model writes its pictures (VINCIE 3B specification, section 6). With `is_bf16` every step rounds to
/// bf16, as the official 7B run does.
pub fn to_byte(x: f32, is_bf16: bool) -> u8 {
    let round = |x: f32| if is_bf16 { bf16::from_f32(x).to_f32() } else { x };
    let half = round(round(x.clamp(-1.0, 1.0)) * 0.5);
    round(round(half + 0.5) * 255.0) as u8
}
