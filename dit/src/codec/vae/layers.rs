//! The layers of both autoencoders, on clips `[B, T, H, W, C]` (VINCIE 3B specification, section 2.1;
//! 7B specification, section 2.1).

use super::pass::Pass;
use crate::model::{Linear, Names};
use crate::{Error, Result};
use std::sync::Arc;
use vincie_autograd::{Graph, ParameterId, Var};
use vincie_tensor::ops::{AttentionMask, Convolution, DepthToSpace, GroupNorm, QueryBlock};

/// Added to every variance.
const EPSILON: f32 = 1e-6;

/// A causal convolution: frames before a clip's first are copies of it.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    name: String,
    weight: ParameterId,
    bias: ParameterId,
    taps: usize,
    stride: [usize; 3],
    padding: [[usize; 2]; 2],
}

/// How a convolution steps and what it pads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) stride: [usize; 3],
    pub(super) padding: [[usize; 2]; 2],
}

impl Steps {
    /// One pixel around, for kernels of 3.
    pub(super) const SAME: Self = Self { stride: [1; 3], padding: [[1; 2]; 2] };
    /// Nothing around, for kernels of 1.
    pub(super) const POINT: Self = Self { stride: [1; 3], padding: [[0; 2]; 2] };
}

impl Conv {
    /// Binds `name` with `[filters, channels]` and a kernel of `size` x `size`; its temporal taps are
    /// those of the weight.
    pub(super) fn bind(
        names: &Names<'_>,
        name: String,
        [filters, channels]: [usize; 2],
        size: usize,
        steps: Steps,
    ) -> Result<Self> {
        let weight_name = format!("{name}.weight");
        let found = names.parameters.id(&weight_name).map(|id| names.parameters.value(id).shape());
        let taps = found.filter(|shape| shape.rank() == 5).map_or(1, |shape| shape[1]);
        let weight = names.get(&weight_name, &[filters, taps, size, size, channels])?;
        if taps == 0 || steps.stride[0] > taps {
            return Err(Error::invalid(format!(
                "autoencoder: {weight_name} has {taps} temporal taps; expected at least {}",
                steps.stride[0]
            )));
        }
        let bias = names.vector(&format!("{name}.bias"), filters)?;
        Ok(Self { name, weight, bias, taps, stride: steps.stride, padding: steps.padding })
    }

    pub(super) fn forward(&self, g: &Graph<'_>, x: &Var, pass: &Pass<'_>) -> Result<Var> {
        let (x, front) = pass.continued(g, self.weight, x, self.taps, self.stride[0])?;
        let op = Convolution { stride: self.stride, front, padding: self.padding, has_bias: true };
        let y = g.apply_one(op, &[&x, &g.parameter(self.weight), &g.parameter(self.bias)])?;
        pass.see(&self.name, &y);
        Ok(y)
    }
}

/// Group norm over each frame by itself.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    name: String,
    weight: ParameterId,
    bias: ParameterId,
    groups: usize,
}

impl Norm {
    pub(super) fn bind(
        names: &Names<'_>,
        name: String,
        channels: usize,
        groups: usize,
    ) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::invalid(format!(
                "autoencoder: {name} has {channels} channels, which {groups} groups do not divide"
            )));
        }
        let weight = names.vector(&format!("{name}.weight"), channels)?;
        let bias = names.vector(&format!("{name}.bias"), channels)?;
        Ok(Self { name, weight, bias, groups })
    }

    /// Normalised, and where `silu` says so passed through `x / (1 + e^-x)`.
    pub(super) fn forward(
        &self,
        g: &Graph<'_>,
        x: &Var,
        silu: bool,
        pass: &Pass<'_>,
    ) -> Result<Var> {
        let shape = x.value().shape();
        let [batch, frames, height, width, channels] = clip(x)?;
        let (clips, pixels) = (batch * frames, height * width);
        let normalised = |silu: bool| -> Result<Var> {
            let op = GroupNorm { groups: self.groups, epsilon: EPSILON, silu };
            let rows = g.reshape(x, [clips, pixels, channels])?;
            let y =
                g.apply_one(op, &[&rows, &g.parameter(self.weight), &g.parameter(self.bias)])?;
            Ok(g.reshape(&y, shape)?)
        };
        if pass.is_watched() {
            pass.see(&self.name, &normalised(false)?);
        }
        normalised(silu)
    }
}

/// Sizes of a clip `[B, T, H, W, C]`.
pub(super) fn clip(x: &Var) -> Result<[usize; 5]> {
    let shape = x.value().shape();
    <[usize; 5]>::try_from(&*shape).map_err(|_| {
        Error::invalid(format!("autoencoder: clip is {shape}; expected [B, T, H, W, C]"))
    })
}

/// `shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))))))`.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    name: String,
    norms: [Norm; 2],
    convs: [Conv; 2],
    shortcut: Option<Conv>,
}

impl Residual {
    /// Binds a block from `channels` to `filters`; a shortcut layer stands where they differ.
    pub(super) fn bind(
        names: &Names<'_>,
        name: String,
        [filters, channels]: [usize; 2],
        groups: usize,
    ) -> Result<Self> {
        let conv = |part: &str, from: usize, size: usize, steps: Steps| {
            Conv::bind(names, format!("{name}.{part}"), [filters, from], size, steps)
        };
        let norm =
            |part: &str, channels| Norm::bind(names, format!("{name}.{part}"), channels, groups);
        let shortcut = match filters == channels {
            true => None,
            false => Some(conv("conv_shortcut", channels, 1, Steps::POINT)?),
        };
        Ok(Self {
            norms: [norm("norm1", channels)?, norm("norm2", filters)?],
            convs: [
                conv("conv1", channels, 3, Steps::SAME)?,
                conv("conv2", filters, 3, Steps::SAME)?,
            ],
            shortcut,
            name,
        })
    }

    pub(super) fn forward(&self, g: &Graph<'_>, x: &Var, pass: &Pass<'_>) -> Result<Var> {
        let hidden = self.norms[0].forward(g, x, true, pass)?;
        let hidden = self.convs[0].forward(g, &hidden, pass)?;
        let hidden = self.norms[1].forward(g, &hidden, true, pass)?;
        let hidden = self.convs[1].forward(g, &hidden, pass)?;
        let y = match &self.shortcut {
            Some(shortcut) => g.add(&shortcut.forward(g, x, pass)?, &hidden)?,
            None => g.add(x, &hidden)?,
        };
        pass.see(&self.name, &y);
        Ok(y)
    }
}

/// Attention among the pixels of each frame, one head of all channels.
#[derive(Clone, Debug)]
pub(super) struct FrameAttention {
    name: String,
    norm: Norm,
    /// q, k, v and the way out.
    layers: [Linear; 4],
}

impl FrameAttention {
    pub(super) fn bind(
        names: &Names<'_>,
        name: String,
        channels: usize,
        groups: usize,
    ) -> Result<Self> {
        let norm = Norm::bind(names, format!("{name}.group_norm"), channels, groups)?;
        let layer =
            |part: &str| names.linear(&format!("{name}.{part}"), [channels, channels], true);
        let layers = [layer("to_q")?, layer("to_k")?, layer("to_v")?, layer("to_out.0")?];
        Ok(Self { name, norm, layers })
    }

    pub(super) fn forward(&self, g: &Graph<'_>, x: &Var, pass: &Pass<'_>) -> Result<Var> {
        let [batch, frames, height, width, channels] = clip(x)?;
        let (frames, pixels) = (batch * frames, height * width);
        let normalised = self.norm.forward(g, x, false, pass)?;
        let rows = g.reshape(&normalised, [frames * pixels, channels])?;
        let [q, k, v] = [0, 1, 2].map(|i| self.layers[i].forward(g, &rows));
        let block = |frame: usize| {
            let range = (frame * pixels) as u32..((frame + 1) * pixels) as u32;
            QueryBlock { queries: range.clone(), prefix: 0..0, own: range }
        };
        let mask = Arc::new(AttentionMask::new((0..frames).map(block).collect())?);
        let scale = 1.0 / (channels as f32).sqrt();
        let seen = g.attention(&q?, &k?, &v?, 1, scale, &mask)?;
        let out = g.reshape(&self.layers[3].forward(g, &seen)?, x.value().shape())?;
        let y = g.add(x, &out)?;
        pass.see(&self.name, &y);
        Ok(y)
    }
}

/// Where the temporal factor stands among the channels that become pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelOrder {
    /// Row, column, time, channel (3B).
    TimeLast,
    /// Time, row, column, channel (7B).
    TimeFirst,
}

/// Twice the size: a convolution makes channels, which become rows, columns and, where time doubles,
/// frames; another convolution follows.
#[derive(Clone, Debug)]
pub(super) struct Upsampler {
    name: String,
    expand: Conv,
    conv: Conv,
    doubles_time: bool,
    order: ChannelOrder,
}

impl Upsampler {
    pub(super) fn bind(
        names: &Names<'_>,
        name: String,
        channels: usize,
        doubles_time: bool,
        order: ChannelOrder,
    ) -> Result<Self> {
        let filters = channels * if doubles_time { 8 } else { 4 };
        let (size, steps) = match order {
            ChannelOrder::TimeLast => (1, Steps::POINT),
            ChannelOrder::TimeFirst => (3, Steps::SAME),
        };
        let expand = format!("{name}.upscale_conv");
        Ok(Self {
            expand: Conv::bind(names, expand, [filters, channels], size, steps)?,
            conv: Conv::bind(names, format!("{name}.conv"), [channels; 2], 3, Steps::SAME)?,
            name,
            doubles_time,
            order,
        })
    }

    pub(super) fn forward(&self, g: &Graph<'_>, x: &Var, pass: &Pass<'_>) -> Result<Var> {
        let expanded = self.expand.forward(g, x, pass)?;
        let large = self.to_space(g, &expanded, pass)?;
        drop(expanded);
        let y = self.conv.forward(g, &large, pass)?;
        pass.see(&self.name, &y);
        Ok(y)
    }

    /// `[B, T, H, W, z 4 C]` to `[B, z T, 2 H, 2 W, C]`. Of a clip's first frame, where time doubles,
    /// only the first of its two frames stays.
    fn to_space(&self, g: &Graph<'_>, x: &Var, pass: &Pass<'_>) -> Result<Var> {
        let time = if self.doubles_time { 2 } else { 1 };
        let op = DepthToSpace {
            factor: [time, 2, 2],
            time_first: self.order == ChannelOrder::TimeFirst,
        };
        if time == 1 || pass.is_first() {
            return Ok(g.apply_one(op, &[x])?);
        }
        // In a later slice no frame is the clip's first: one that is cut off again stands in for it.
        let first = g.narrow(x, 1, 0, 1)?;
        let large = g.apply_one(op, &[&g.concat(&[&first, x], 1)?])?;
        let frames = large.value().shape()[1];
        Ok(g.narrow(&large, 1, 1, frames - 1)?)
    }
}
