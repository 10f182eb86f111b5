//! Latent normalisation.

use half::bf16;

/// `z = (latent - shift) * factor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentScale {
    /// Subtracted from the autoencoder's latent.
    pub shift: f32,
    /// Multiplied after that.
    pub factor: f32,
}

impl LatentScale {
    /// Identity, for pixels.
    pub const NONE: Self = Self { shift: 0.0, factor: 1.0 };
    /// The 3B's autoencoder (specification, section 2.5).
    pub const VAE8: Self = Self { shift: 0.0, factor: 0.9152 };
    /// The 7B's autoencoder (specification, section 0).
    pub const VAE16: Self = Self { shift: -0.0025, factor: 0.9045 };

    /// Latent to model input; `is_bf16` rounds after each operation.
    pub fn encode(self, latent: f32, is_bf16: bool) -> f32 {
        let round = |x: f32| if is_bf16 { bf16::from_f32(x).to_f32() } else { x };
        round(round(latent - self.shift) * self.factor)
    }

    /// Model output to latent; `is_bf16` rounds after each operation.
    pub fn decode(self, z: f32, is_bf16: bool) -> f32 {
        let round = |x: f32| if is_bf16 { bf16::from_f32(x).to_f32() } else { x };
        round(round(z / self.factor) + self.shift)
    }
}
