//! Runs of channels, moved by lines of the result.

use super::Layout;
use crate::{DType, Element, Result, Tensor};
use half::bf16;
use rayon::prelude::*;

pub(super) fn forward(layout: &Layout, x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::BF16 => grow::<bf16>(layout, x),
        _ => grow::<f32>(layout, x),
    }
}

pub(super) fn backward(layout: &Layout, grad: &Tensor) -> Result<Tensor> {
    match grad.dtype() {
        DType::BF16 => shrink::<bf16>(layout, grad),
        _ => shrink::<f32>(layout, grad),
    }
}

fn grow<T: Element + Send + Sync>(layout: &Layout, x: &Tensor) -> Result<Tensor> {
    let from = x.to_slice::<T>()?;
    let &Layout { size: [frames, height, width], factor: [_, tall, wide], channels, .. } = layout;
    let (pixel, line) = (layout.blocks() * channels, width * wide * channels);
    Tensor::build(layout.result_shape(), |all: &mut [T]| {
        all.par_chunks_mut(line.max(1)).enumerate().for_each(|(index, to)| {
            let (frame, y) = (index / (height * tall), index % (height * tall));
            let (clip, frame) = (frame / layout.frames(), frame % layout.frames());
            let (t, z) = layout.frame(frame);
            let source = ((clip * frames + t) * height + y / tall) * width * pixel;
            for (column, to) in to.chunks_exact_mut(channels).enumerate() {
                let block = layout.block(z, y % tall, column % wide);
                let start = source + column / wide * pixel + block * channels;
                to.copy_from_slice(&from[start..start + channels]);
            }
        });
    })
}

fn shrink<T: Element + Send + Sync + Default>(layout: &Layout, grad: &Tensor) -> Result<Tensor> {
    let from = grad.to_slice::<T>()?;
    let &Layout { size: [frames, height, width], factor: [depth, tall, wide], channels, .. } =
        layout;
    let (pixel, line) = (layout.blocks() * channels, width * wide * channels);
    Tensor::build(layout.x_shape(), |all: &mut [T]| {
        all.par_chunks_mut((width * pixel).max(1)).enumerate().for_each(|(index, to)| {
            let (frame, h) = (index / height, index % height);
            let (clip, t) = (frame / frames, frame % frames);
            for (w, to) in to.chunks_exact_mut(pixel).enumerate() {
                for z in 0..depth {
                    let is_kept = t > 0 || z == 0;
                    let frame = if t == 0 { 0 } else { t * depth + z - (depth - 1) };
                    let source = (clip * layout.frames() + frame) * height * tall + h * tall;
                    for (y, x) in (0..tall).flat_map(|y| (0..wide).map(move |x| (y, x))) {
                        let to = &mut to[layout.block(z, y, x) * channels..][..channels];
                        if is_kept {
                            let start = (source + y) * line + (w * wide + x) * channels;
                            to.copy_from_slice(&from[start..start + channels]);
                        } else {
                            to.fill(T::default());
                        }
                    }
                }
            }
        });
    })
}
