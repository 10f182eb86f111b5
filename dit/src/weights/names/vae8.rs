//! The autoencoder of the 3B (VINCIE 3B specification, sections 2.2 and 2.3).

use super::{Expected, List, Reader};
use crate::Result;
use vincie_tensor::Shape;

/// Sizes of the autoencoder with attention in the middle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vae8Sizes {
    /// Channels of a picture.
    pub image: usize,
    /// Channels of a latent pixel.
    pub latent: usize,
    /// Widths of the encoder's blocks, outermost first. All but the last halve the picture.
    pub encoder: Vec<usize>,
    /// Widths of the decoder's blocks, innermost first. All but the last double the picture.
    pub decoder: Vec<usize>,
    /// Residual blocks in a block of the encoder and of the decoder.
    pub residuals: [usize; 2],
    /// Which of the encoder's blocks halve time as well: their kernels have three temporal taps.
    pub halves_time: Vec<bool>,
    /// Which of the decoder's blocks double time as well.
    pub doubles_time: Vec<bool>,
}

impl Vae8Sizes {
    /// Those of the released 3B.
    pub fn official() -> Self {
        Self {
            image: 3,
            latent: 16,
            encoder: vec![128, 256, 512, 512],
            decoder: vec![512, 512, 256, 128],
            residuals: [2, 3],
            halves_time: vec![false, true, true],
            doubles_time: vec![true, true, false],
        }
    }

    /// Reads the sizes off a checkpoint's shapes.
    pub fn infer(shape_of: impl Fn(&str) -> Option<Shape>) -> Result<Self> {
        let reader = Reader(shape_of);
        let down = |i: usize, j: usize| format!("encoder.down_blocks.{i}.resnets.{j}.conv1.weight");
        let up = |i: usize, j: usize| format!("decoder.up_blocks.{i}.resnets.{j}.conv1.weight");
        let [_, image] = reader.dims("encoder.conv_in.weight")?;
        let [_, latent] = reader.dims("decoder.conv_in.weight")?;
        let (blocks, decoder_blocks) = (reader.count(|i| down(i, 0)), reader.count(|i| up(i, 0)));
        let width = |name: String| reader.dims(&name).map(|[width]| width);
        let encoder = (0..blocks).map(|i| width(down(i, 0))).collect::<Result<Vec<_>>>()?;
        let decoder = (0..decoder_blocks).map(|i| width(up(i, 0))).collect::<Result<Vec<_>>>()?;
        let halves_time = (0..blocks.saturating_sub(1)).map(|i| {
            let name = format!("encoder.down_blocks.{i}.downsamplers.0.conv.weight");
            Ok(reader.taps(&name, if i == 0 { 1 } else { 3 })? > 1)
        });
        let doubles_time = (0..decoder_blocks.saturating_sub(1)).map(|i| {
            let name = format!("decoder.up_blocks.{i}.upsamplers.0.upscale_conv.weight");
            reader.dims(&name).map(|[rows, columns]: [usize; 2]| rows > 4 * columns)
        });
        Ok(Self {
            image,
            latent,
            residuals: [reader.count(|j| down(0, j)), reader.count(|j| up(0, j))],
            halves_time: halves_time.collect::<Result<_>>()?,
            doubles_time: doubles_time.collect::<Result<_>>()?,
            encoder,
            decoder,
        })
    }

    /// Every tensor of the checkpoint.
    pub fn expected(&self) -> Expected {
        let mut list = List::default();
        let first = |widths: &[usize]| widths.first().copied().unwrap_or(0);
        let last = |widths: &[usize]| widths.last().copied().unwrap_or(0);
        list.layer("encoder.conv_in", &[first(&self.encoder), self.image, 3, 3, 3]);
        let mut from = first(&self.encoder);
        for (i, &width) in self.encoder.iter().enumerate() {
            for j in 0..self.residuals[0] {
                list.residual(&format!("encoder.down_blocks.{i}.resnets.{j}"), from, width);
                from = width;
            }
            if let Some(&halves_time) = self.halves_time.get(i) {
                let taps = if halves_time { 3 } else { 1 };
                let name = format!("encoder.down_blocks.{i}.downsamplers.0.conv");
                list.layer(&name, &[width, width, taps, 3, 3]);
            }
        }
        middle(&mut list, "encoder", last(&self.encoder));
        list.norm("encoder.conv_norm_out", last(&self.encoder));
        list.layer("encoder.conv_out", &[2 * self.latent, last(&self.encoder), 3, 3, 3]);

        list.layer("decoder.conv_in", &[first(&self.decoder), self.latent, 3, 3, 3]);
        middle(&mut list, "decoder", first(&self.decoder));
        let mut from = first(&self.decoder);
        for (i, &width) in self.decoder.iter().enumerate() {
            for j in 0..self.residuals[1] {
                list.residual(&format!("decoder.up_blocks.{i}.resnets.{j}"), from, width);
                from = width;
            }
            if let Some(&doubles_time) = self.doubles_time.get(i) {
                let name = format!("decoder.up_blocks.{i}.upsamplers.0");
                let rows = width * 4 * if doubles_time { 2 } else { 1 };
                list.layer(&format!("{name}.upscale_conv"), &[rows, width, 1, 1, 1]);
                list.layer(&format!("{name}.conv"), &[width, width, 3, 3, 3]);
            }
        }
        list.norm("decoder.conv_norm_out", last(&self.decoder));
        list.layer("decoder.conv_out", &[self.image, last(&self.decoder), 3, 3, 3]);
        list.0
    }
}

/// The middle block: residual, attention, residual.
fn middle(list: &mut List, half: &str, width: usize) {
    let name = format!("{half}.mid_block");
    list.residual(&format!("{name}.resnets.0"), width, width);
    list.norm(&format!("{name}.attentions.0.group_norm"), width);
    for layer in ["to_q", "to_k", "to_v", "to_out.0"] {
        list.layer(&format!("{name}.attentions.0.{layer}"), &[width, width]);
    }
    list.residual(&format!("{name}.resnets.1"), width, width);
}
