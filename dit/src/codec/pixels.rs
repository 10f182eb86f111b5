//! The `pixels` codec: the latent of an image is the image.

use super::to_byte;
use crate::{Error, Result};
use vincie_data::{Image, Mask};
use vincie_tensor::Tensor;

/// `[height, width, 3]` in -1 to 1.
pub fn from_image(image: &Image) -> Result<Tensor> {
    let write = |all: &mut [f32]| {
        for (to, &byte) in all.iter_mut().zip(&image.rgb) {
            *to = f32::from(byte) / 127.5 - 1.0;
        }
    };
    Ok(Tensor::build([image.height, image.width, 3], write)?)
}

/// A mask as the picture the model sees: -1 keeps, 1 edits, on all three channels.
pub fn mask_latent(mask: &Mask) -> Result<Tensor> {
    let write = |all: &mut [f32]| {
        for (to, &byte) in all.chunks_exact_mut(3).zip(&mask.data) {
            to.fill(if byte >= 128 { 1.0 } else { -1.0 });
        }
    };
    Ok(Tensor::build([mask.height, mask.width, 3], write)?)
}

/// The image of a latent `[height, width, 3]`.
pub fn to_image(latent: &Tensor) -> Result<Image> {
    let (width, height, values) = rgb(latent)?;
    Ok(Image::new(width, height, values.iter().map(|&x| to_byte(x, false)).collect()))
}

/// The mask of a latent `[height, width, 3]`: the channels' mean above 0 edits.
pub fn to_mask(latent: &Tensor) -> Result<Mask> {
    let (width, height, values) = rgb(latent)?;
    let edits =
        values.chunks_exact(3).map(|rgb| if rgb.iter().sum::<f32>() > 0.0 { 255 } else { 0 });
    Ok(Mask::new(width, height, edits.collect()))
}

fn rgb(latent: &Tensor) -> Result<(usize, usize, Vec<f32>)> {
    let &[height, width, 3] = latent.dims() else {
        return Err(Error::invalid(format!(
            "pixels: latent is {}; expected [height, width, 3]",
            latent.shape()
        )));
    };
    Ok((width, height, latent.to_f32()?.to_vec::<f32>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_survive_the_round_trip() {
        let bytes: Vec<u8> = (0..=255).flat_map(|b| [b, 255 - b, b / 2]).collect();
        let image = Image::new(16, 16, bytes);
        let back = to_image(&from_image(&image).unwrap()).unwrap();
        // Cutting off instead of rounding may lose one level.
        assert!(back.rgb.iter().zip(&image.rgb).all(|(a, b)| a.abs_diff(*b) <= 1));
        let mask = Mask::new(2, 1, vec![0, 255]);
        assert_eq!(to_mask(&mask_latent(&mask).unwrap()).unwrap(), mask);
    }
}
