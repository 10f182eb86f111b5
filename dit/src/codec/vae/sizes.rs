//! What tells the two autoencoders apart, read off the lists of their tensors.

use crate::weights::names::{Known, Vae8Sizes, Vae16Sizes};

/// An autoencoder with its widths.
#[derive(Clone, Debug, PartialEq)]
pub enum Sizes {
    /// That of the 3B: an eighth of the size, attention in the middle.
    Eight(Vae8Sizes),
    /// That of the 7B: a sixteenth of the size, no attention.
    Sixteen(Vae16Sizes),
}

impl Sizes {
    /// Those of a recognised checkpoint; `None` where it holds no autoencoder.
    pub fn of(known: &Known) -> Option<Self> {
        match known {
            Known::Vae8(sizes) => Some(Self::Eight(sizes.clone())),
            Known::Vae16(sizes) => Some(Self::Sixteen(sizes.clone())),
            Known::Transformer(_) | Known::Qwen(_) | Known::T5(_) => None,
        }
    }

    /// Channels of a picture.
    pub fn image(&self) -> usize {
        match self {
            Self::Eight(sizes) => sizes.image,
            Self::Sixteen(sizes) => sizes.image,
        }
    }

    /// Channels of a latent pixel.
    pub fn latent(&self) -> usize {
        match self {
            Self::Eight(sizes) => sizes.latent,
            Self::Sixteen(sizes) => sizes.latent,
        }
    }

    /// Pixels of a picture along each side of a latent pixel.
    pub fn factor(&self) -> usize {
        1 << (self.widths(false).len().saturating_sub(1)).min(16)
    }

    /// Frames of a clip for each latent frame behind the first.
    pub fn time_factor(&self) -> usize {
        1 << self.doublings().min(16)
    }

    /// The same autoencoder over single pictures: time is neither halved nor doubled.
    pub fn of_pictures(&self) -> Self {
        let mut sizes = self.clone();
        match &mut sizes {
            Self::Eight(sizes) => {
                sizes.halves_time.fill(false);
                sizes.doubles_time.fill(false);
            }
            Self::Sixteen(sizes) => sizes.doubles_time.fill(false),
        }
        sizes
    }

    /// Widths of the blocks in the order they are computed.
    pub(super) fn widths(&self, is_decoder: bool) -> &[usize] {
        let [encoder, decoder] = match self {
            Self::Eight(sizes) => [&sizes.encoder, &sizes.decoder],
            Self::Sixteen(sizes) => [&sizes.encoder, &sizes.decoder],
        };
        if is_decoder { decoder } else { encoder }
    }

    /// Residual blocks in a block.
    pub(super) fn residuals(&self, is_decoder: bool) -> usize {
        let residuals = match self {
            Self::Eight(sizes) => sizes.residuals,
            Self::Sixteen(sizes) => sizes.residuals,
        };
        residuals[usize::from(is_decoder)]
    }

    /// A block's name behind `encoder.` or `decoder.`.
    pub(super) fn block_name(&self, is_decoder: bool, i: usize, is_last: bool) -> String {
        match (self, is_last) {
            (Self::Sixteen(_), true) => "final_block".to_owned(),
            _ if is_decoder => format!("up_blocks.{i}"),
            _ => format!("down_blocks.{i}"),
        }
    }

    /// How many of the decoder's blocks double time.
    fn doublings(&self) -> usize {
        let doubles = match self {
            Self::Eight(sizes) => &sizes.doubles_time,
            Self::Sixteen(sizes) => &sizes.doubles_time,
        };
        doubles.iter().filter(|&&doubles| doubles).count()
    }

    /// Whether the encoder's block `i` halves time. The 7B's kernels do not tell: its last blocks do,
    /// as many as double it in the decoder.
    pub(super) fn halves_time(&self, i: usize) -> bool {
        match self {
            Self::Eight(sizes) => sizes.halves_time.get(i).copied().unwrap_or(false),
            Self::Sixteen(sizes) => i + 1 + self.doublings() >= sizes.encoder.len(),
        }
    }

    /// Whether the decoder's block `i` doubles time.
    pub(super) fn doubles_time(&self, i: usize) -> bool {
        let doubles = match self {
            Self::Eight(sizes) => &sizes.doubles_time,
            Self::Sixteen(sizes) => &sizes.doubles_time,
        };
        doubles.get(i).copied().unwrap_or(false)
    }
}
