//! Encoder and decoder: the same parts in another order, under the names of either autoencoder.

use super::Sizes;
use super::layers::{ChannelOrder, Conv, FrameAttention, Norm, Residual, Steps, Upsampler};
use super::pass::Pass;
use crate::Result;
use crate::model::Names;
use vincie_autograd::{Graph, Var};

/// One resolution: residual blocks, then a change of size.
#[derive(Clone, Debug)]
struct Block {
    name: String,
    residuals: Vec<Residual>,
    sampler: Option<Sampler>,
}

#[derive(Clone, Debug)]
enum Sampler {
    /// Half the size, and the name under which the official code calls it.
    Down(String, Conv),
    Up(Upsampler),
}

/// Residual, attention, residual.
#[derive(Clone, Debug)]
struct Middle {
    name: String,
    residuals: [Residual; 2],
    attention: FrameAttention,
}

/// An encoder or a decoder.
#[derive(Clone, Debug)]
pub(super) struct Half {
    conv_in: Conv,
    blocks: Vec<Block>,
    middle: Option<Middle>,
    /// The encoder's middle stands behind its blocks, the decoder's before them.
    is_decoder: bool,
    norm_out: Norm,
    conv_out: Conv,
}

impl Half {
    pub(super) fn encoder(names: &Names<'_>, sizes: &Sizes, groups: usize) -> Result<Self> {
        Self::bind(names, sizes, groups, false)
    }

    pub(super) fn decoder(names: &Names<'_>, sizes: &Sizes, groups: usize) -> Result<Self> {
        Self::bind(names, sizes, groups, true)
    }

    fn bind(names: &Names<'_>, sizes: &Sizes, groups: usize, is_decoder: bool) -> Result<Self> {
        let half = if is_decoder { "decoder" } else { "encoder" };
        let widths = sizes.widths(is_decoder);
        let [first, last] = [widths.first(), widths.last()].map(|w| w.copied().unwrap_or(0));
        let (image, latent) = (sizes.image(), sizes.latent());
        let ends = if is_decoder { [latent, image] } else { [image, 2 * latent] };
        let conv = |name: &str, channels: [usize; 2]| {
            Conv::bind(names, format!("{half}.{name}"), channels, 3, Steps::SAME)
        };
        let conv_in = conv("conv_in", [first, ends[0]])?;
        let mut from = first;
        let mut blocks = Vec::with_capacity(widths.len());
        for (i, &width) in widths.iter().enumerate() {
            let is_last = i + 1 == widths.len();
            let name = format!("{half}.{}", sizes.block_name(is_decoder, i, is_last));
            let residuals = (0..sizes.residuals(is_decoder)).map(|j| {
                let channels = [width, std::mem::replace(&mut from, width)];
                Residual::bind(names, format!("{name}.resnets.{j}"), channels, groups)
            });
            let residuals = residuals.collect::<Result<Vec<_>>>()?;
            let sampler = match (is_last, is_decoder) {
                (true, _) => None,
                (false, false) => Some(down(names, &name, sizes, i, width)?),
                (false, true) => Some(up(names, &name, sizes, i, width)?),
            };
            blocks.push(Block { name, residuals, sampler });
        }
        let middle_width = if is_decoder { first } else { last };
        let middle = match sizes {
            Sizes::Eight(_) => Some(Middle::bind(names, half, middle_width, groups)?),
            Sizes::Sixteen(_) => None,
        };
        let norm_out = Norm::bind(names, format!("{half}.conv_norm_out"), last, groups)?;
        let conv_out = conv("conv_out", [ends[1], last])?;
        Ok(Self { conv_in, blocks, middle, is_decoder, norm_out, conv_out })
    }

    /// Pixels to moments, or latents to pixels; all `[B, T, H, W, C]`.
    pub(super) fn forward(&self, g: &Graph<'_>, x: &Var, pass: &Pass<'_>) -> Result<Var> {
        let mut x = self.conv_in.forward(g, x, pass)?;
        let middle = |x: Var| match &self.middle {
            Some(middle) => middle.forward(g, &x, pass),
            None => Ok(x),
        };
        if self.is_decoder {
            x = middle(x)?;
        }
        for block in &self.blocks {
            x = block.forward(g, x, pass)?;
        }
        if !self.is_decoder {
            x = middle(x)?;
        }
        let x = self.norm_out.forward(g, &x, true, pass)?;
        self.conv_out.forward(g, &x, pass)
    }
}

fn down(names: &Names<'_>, block: &str, sizes: &Sizes, i: usize, width: usize) -> Result<Sampler> {
    let time = if sizes.halves_time(i) { 2 } else { 1 };
    let (part, size, padding) = match sizes {
        Sizes::Eight(_) => ("downsamplers.0", 3, [[0, 1]; 2]),
        Sizes::Sixteen(_) => ("downsampler", 4, [[1, 1]; 2]),
    };
    let name = format!("{block}.{part}");
    let steps = Steps { stride: [time, 2, 2], padding };
    let conv = Conv::bind(names, format!("{name}.conv"), [width; 2], size, steps)?;
    Ok(Sampler::Down(name, conv))
}

fn up(names: &Names<'_>, block: &str, sizes: &Sizes, i: usize, width: usize) -> Result<Sampler> {
    let (part, order) = match sizes {
        Sizes::Eight(_) => ("upsamplers.0", ChannelOrder::TimeLast),
        Sizes::Sixteen(_) => ("upsampler", ChannelOrder::TimeFirst),
    };
    let name = format!("{block}.{part}");
    Ok(Sampler::Up(Upsampler::bind(names, name, width, sizes.doubles_time(i), order)?))
}

impl Block {
    fn forward(&self, g: &Graph<'_>, mut x: Var, pass: &Pass<'_>) -> Result<Var> {
        for residual in &self.residuals {
            x = residual.forward(g, &x, pass)?;
        }
        let y = match &self.sampler {
            None => x,
            Some(Sampler::Down(name, conv)) => {
                let y = conv.forward(g, &x, pass)?;
                pass.see(name, &y);
                y
            }
            Some(Sampler::Up(upsampler)) => upsampler.forward(g, &x, pass)?,
        };
        pass.see(&self.name, &y);
        Ok(y)
    }
}

impl Middle {
    fn bind(names: &Names<'_>, half: &str, width: usize, groups: usize) -> Result<Self> {
        let name = format!("{half}.mid_block");
        let residual =
            |j: usize| Residual::bind(names, format!("{name}.resnets.{j}"), [width; 2], groups);
        let residuals = [residual(0)?, residual(1)?];
        let attention = FrameAttention::bind(names, format!("{name}.attentions.0"), width, groups)?;
        Ok(Self { name, residuals, attention })
    }

    fn forward(&self, g: &Graph<'_>, x: &Var, pass: &Pass<'_>) -> Result<Var> {
        let x = self.residuals[0].forward(g, x, pass)?;
        let x = self.attention.forward(g, &x, pass)?;
        let x = self.residuals[1].forward(g, &x, pass)?;
        pass.see(&self.name, &x);
        Ok(x)
    }
}
