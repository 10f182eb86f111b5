//! The autoencoder of the 7B (VINCIE 7B specification, sections 2.2 and 2.3).

use super::{Expected, List, Reader};
use crate::Result;
use vincie_tensor::Shape;

/// Sizes of the autoencoder without attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vae16Sizes {
    /// Channels of a picture.
    pub image: usize,
    /// Channels of a latent pixel.
    pub latent: usize,
    /// Widths of the encoder's blocks, outermost first, and behind its final block. All blocks but the
    /// final one halve the picture.
    pub encoder: Vec<usize>,
    /// Widths of the decoder's blocks, innermost first, and behind its final block.
    pub decoder: Vec<usize>,
    /// Residual blocks in a block of the encoder and of the decoder.
    pub residuals: [usize; 2],
    /// Which of the decoder's blocks double time as well.
    pub doubles_time: Vec<bool>,
}

impl Vae16Sizes {
    /// Those of the released 7B.
    pub fn official() -> Self {
        Self {
            image: 3,
            latent: 48,
            encoder: vec![128, 256, 384, 512, 768],
            decoder: vec![768, 512, 384, 256, 128],
            residuals: [2, 3],
            doubles_time: vec![true, true, false, false],
        }
    }

    /// Reads the sizes off a checkpoint's shapes. Where an upscaling kernel is two-dimensional, time is
    /// doubled on the first two blocks, as in the released model.
    pub fn infer(shape_of: impl Fn(&str) -> Option<Shape>) -> Result<Self> {
        let reader = Reader(shape_of);
        let name =
            |half: &str, block: &str, j: usize| format!("{half}.{block}.resnets.{j}.conv1.weight");
        let down = |i: usize, j: usize| name("encoder", &format!("down_blocks.{i}"), j);
        let up = |i: usize, j: usize| name("decoder", &format!("up_blocks.{i}"), j);
        let width = |name: String| reader.dims(&name).map(|[width]| width);
        let widths = |blocks: usize, block: &dyn Fn(usize, usize) -> String, half: &str| {
            let mut widths = (0..blocks).map(|i| width(block(i, 0))).collect::<Result<Vec<_>>>()?;
            widths.push(width(name(half, "final_block", 0))?);
            Ok::<_, crate::Error>(widths)
        };
        let [_, image] = reader.dims("encoder.conv_in.weight")?;
        let [_, latent] = reader.dims("decoder.conv_in.weight")?;
        let (blocks, decoder_blocks) = (reader.count(|i| down(i, 0)), reader.count(|i| up(i, 0)));
        let doubles_time = (0..decoder_blocks).map(|i| {
            let name = format!("decoder.up_blocks.{i}.upsampler.upscale_conv.weight");
            let [rows, columns] = reader.dims(&name)?;
            Ok(if reader.taps(&name, 0)? == 0 { i < 2 } else { rows > 4 * columns })
        });
        Ok(Self {
            image,
            latent,
            residuals: [reader.count(|j| down(0, j)), reader.count(|j| up(0, j))],
            doubles_time: doubles_time.collect::<Result<_>>()?,
            encoder: widths(blocks, &down, "encoder")?,
            decoder: widths(decoder_blocks, &up, "decoder")?,
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
            let is_final = i + 1 == self.encoder.len();
            let block = block_name("encoder.down_blocks", "encoder.final_block", i, is_final);
            for j in 0..self.residuals[0] {
                list.residual(&format!("{block}.resnets.{j}"), from, width);
                from = width;
            }
            if !is_final {
                list.layer(&format!("{block}.downsampler.conv"), &[width, width, 3, 4, 4]);
            }
        }
        list.norm("encoder.conv_norm_out", last(&self.encoder));
        list.layer("encoder.conv_out", &[2 * self.latent, last(&self.encoder), 3, 3, 3]);

        list.layer("decoder.conv_in", &[first(&self.decoder), self.latent, 3, 3, 3]);
        let mut from = first(&self.decoder);
        for (i, &width) in self.decoder.iter().enumerate() {
            let is_final = i + 1 == self.decoder.len();
            let block = block_name("decoder.up_blocks", "decoder.final_block", i, is_final);
            for j in 0..self.residuals[1] {
                list.residual(&format!("{block}.resnets.{j}"), from, width);
                from = width;
            }
            if let Some(&doubles_time) = self.doubles_time.get(i).filter(|_| !is_final) {
                let rows = width * 4 * if doubles_time { 2 } else { 1 };
                list.layer(&format!("{block}.upsampler.upscale_conv"), &[rows, width, 3, 3, 3]);
                list.layer(&format!("{block}.upsampler.conv"), &[width, width, 3, 3, 3]);
            }
        }
        list.norm("decoder.conv_norm_out", last(&self.decoder));
        list.layer("decoder.conv_out", &[self.image, last(&self.decoder), 3, 3, 3]);
        list.0
    }
}

fn block_name(block: &str, last: &str, i: usize, is_final: bool) -> String {
    if is_final { last.to_owned() } else { format!("{block}.{i}") }
}
