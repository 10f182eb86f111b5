//! Official weights in the order that convolutions take them, once and at loading.
//!
//! Kernels `[filters, channels, T, H, W]` become `[filters, T, H, W, channels]`. For single pictures
//! the network is folded: a clip of one frame meets every temporal tap with the same frame, so taps
//! are summed, and where time would double only the channels of the first frame are left (VINCIE 3B
//! specification, section 2.4; 7B specification, section 2.4).

use super::Sizes;
use crate::{Error, Result};
use vincie_autograd::Parameters;
use vincie_tensor::{Shape, Tensor};

/// What a network's weights are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Clips, and pictures as clips of one frame.
    Clips,
    /// Single pictures, with folded kernels.
    Pictures,
}

/// Weights under their official names and shapes, in f32, as the network takes them.
pub(super) fn arranged(official: &Parameters, sizes: &Sizes, form: Form) -> Result<Parameters> {
    let mut all = Parameters::new();
    for (_, name, stored) in official.iter() {
        let mut value = stored.to_f32()?;
        if form == Form::Pictures && doubles_time(sizes, name) {
            value = first_frame(&value, sizes)?;
        }
        if value.shape().rank() == 5 {
            value = match form {
                Form::Clips => value.permute(&[0, 2, 3, 4, 1])?.contiguous()?,
                Form::Pictures => folded(&value)?,
            };
        }
        all.insert(name, value);
    }
    Ok(all)
}

/// A gradient of an arranged weight in the official order.
pub fn official_order(gradient: &Tensor) -> Result<Tensor> {
    match gradient.shape().rank() {
        5 => Ok(gradient.permute(&[0, 4, 1, 2, 3])?.contiguous()?),
        _ => Ok(gradient.clone()),
    }
}

/// Whether a tensor belongs to a layer whose channels become frames.
fn doubles_time(sizes: &Sizes, name: &str) -> bool {
    let block = name.strip_prefix("decoder.up_blocks.").and_then(|rest| rest.split('.').next());
    let block: Option<usize> = block.and_then(|block| block.parse().ok());
    name.contains(".upscale_conv.") && block.is_some_and(|block| sizes.doubles_time(block))
}

/// The rows whose channels become the first of two frames.
fn first_frame(value: &Tensor, sizes: &Sizes) -> Result<Tensor> {
    let shape = value.shape();
    let rows = shape[0];
    if !rows.is_multiple_of(8) {
        return Err(Error::invalid(format!(
            "autoencoder: an upscaling layer is {shape}; expected a multiple of 8 rows"
        )));
    }
    let values = value.to_slice::<f32>()?;
    let row = values.len() / rows.max(1);
    let channels = rows / 8;
    // Channels are ordered place, time, channel in the 3B, and time, place, channel in the 7B.
    let is_time_last = matches!(sizes, Sizes::Eight(_));
    let mut kept = Vec::with_capacity(values.len() / 2);
    for place in 0..4 {
        let start = if is_time_last { 2 * place * channels } else { place * channels };
        kept.extend_from_slice(&values[start * row..(start + channels) * row]);
    }
    let mut dims = shape.to_vec();
    dims[0] = rows / 2;
    Ok(Tensor::from_slice(&kept, dims.as_slice())?)
}

/// `[filters, channels, T, H, W]` to `[filters, 1, H, W, channels]`, summed over T.
fn folded(value: &Tensor) -> Result<Tensor> {
    let shape = value.shape();
    let [filters, channels, taps, height, width] = [0, 1, 2, 3, 4].map(|axis| shape[axis]);
    let area = height * width;
    let values = value.to_slice::<f32>()?;
    Ok(Tensor::build([filters, 1, height, width, channels], |all: &mut [f32]| {
        let kernels = values.chunks_exact((taps * area).max(1));
        let filter_size = (area * channels).max(1);
        for (filter, to) in all.chunks_exact_mut(filter_size).enumerate() {
            for channel in 0..channels {
                let Some(kernel) = kernels.clone().nth(filter * channels + channel) else { return };
                for place in 0..area {
                    let sum: f32 = (0..taps).map(|tap| kernel[tap * area + place]).sum();
                    to[place * channels + channel] = sum;
                }
            }
        }
    })?)
}

/// The weights that an upscaling layer begins with: every new pixel is its old one. `shape` is the
/// official `[rows, channels, T, H, W]`.
pub fn nearest_neighbour(shape: Shape) -> Result<Tensor> {
    let &[rows, channels, taps, height, width] = &*shape else {
        return Err(Error::invalid(format!(
            "autoencoder: an upscaling kernel is {shape}; expected [rows, channels, T, H, W]"
        )));
    };
    Ok(Tensor::build(shape, |all: &mut [f32]| {
        all.fill(0.0);
        if channels * taps * height * width == 0 {
            return;
        }
        for row in 0..rows {
            let kernel = (row * channels + row % channels) * taps + taps - 1;
            all[(kernel * height + height / 2) * width + width / 2] = 1.0;
        }
    })?)
}
