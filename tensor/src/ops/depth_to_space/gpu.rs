//! Strided copies: one for all frames where time does not grow, else one for each clip's first frame
//! and for each place in time behind it.

use super::Layout;
use crate::accelerator::{Accelerator, copy};
use crate::ops::ready;
use crate::{Result, Shape, Strides, Tensor};

pub(super) fn forward(place: &Accelerator, layout: &Layout, x: &Tensor) -> Result<Tensor> {
    let x = ready(place, x, x.dtype())?;
    let result = place.uninit(layout.result_shape(), x.dtype())?;
    for [from, to] in layout.pairs(&x, &result) {
        copy(place, &to, &from)?;
    }
    Ok(result)
}

pub(super) fn backward(place: &Accelerator, layout: &Layout, grad: &Tensor) -> Result<Tensor> {
    let grad = ready(place, grad, grad.dtype())?;
    let dx = if layout.factor[0] == 1 {
        place.uninit(layout.x_shape(), grad.dtype())?
    } else {
        place.zeros(layout.x_shape(), grad.dtype())?
    };
    for [to, from] in layout.pairs(&dx, &grad) {
        copy(place, &to, &from)?;
    }
    Ok(dx)
}

/// Frames whose blocks of one place in time are copied together.
struct Run {
    /// First frame, of all clips, on either side.
    x: usize,
    result: usize,
    frames: usize,
    /// Place in time.
    z: usize,
}

impl Layout {
    fn runs(&self) -> Vec<Run> {
        let (frames, depth) = (self.size[0], self.factor[0]);
        if depth == 1 {
            return vec![Run { x: 0, result: 0, frames: self.batch * frames, z: 0 }];
        }
        let mut runs = Vec::new();
        for clip in 0..if frames > 0 { self.batch } else { 0 } {
            let (x, result) = (clip * frames, clip * self.frames());
            runs.push(Run { x, result, frames: 1, z: 0 });
            runs.extend((0..depth).map(|z| Run {
                x: x + 1,
                result: result + 1 + z,
                frames: frames - 1,
                z,
            }));
        }
        runs
    }

    /// Views `[frames, height, y, width, x, C]` of `x` and of the result, pairwise of equal values.
    fn pairs(&self, x: &Tensor, result: &Tensor) -> Vec<[Tensor; 2]> {
        let &Self { size: [_, height, width], factor: [depth, tall, wide], channels, .. } = self;
        let (pixel, line) = (self.blocks() * channels, width * wide * channels);
        let of_x = [
            height * width * pixel,
            width * pixel,
            self.block(0, 1, 0) * channels,
            pixel,
            self.block(0, 0, 1) * channels,
            1,
        ];
        let frame = height * tall * line;
        let of_result = [depth * frame, tall * line, line, wide * channels, channels, 1];
        let pair = |run: Run| {
            let shape = Shape::from([run.frames, height, tall, width, wide, channels]);
            let start = run.x * of_x[0] + self.block(run.z, 0, 0) * channels;
            let x = x.of_layout(start, shape, Strides::new(&of_x));
            [x, result.of_layout(run.result * frame, shape, Strides::new(&of_result))]
        };
        self.runs().into_iter().map(pair).collect()
    }
}
