//! Channels become pixels and frames: how both autoencoders grow a picture (VINCIE 3B specification,
//! section 2.1; 7B specification, section 2.1).

mod cpu;
mod gpu;

use super::{Operation, Spec, arity, float};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{Error, Result, Shape, Tensor};

/// Parameters of the op. The input is `x` `[B, T, H, W, channels]` with `z * y * x` blocks of C
/// channels, where `[z, y, x]` is the factor; the result is `[B, T z - (z - 1), H y, W x, C]`: of the
/// first frame's z frames only the first is kept, so that a clip stays causal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthToSpace {
    /// Growth in time, height and width.
    pub factor: [usize; 3],
    /// Blocks are in the order `(time, row, column)`; else `(row, column, time)`.
    pub time_first: bool,
}

/// Where things lie in one call.
struct Layout {
    batch: usize,
    /// Frames, height and width of `x`.
    size: [usize; 3],
    factor: [usize; 3],
    time_first: bool,
    /// Channels of the result.
    channels: usize,
}

impl Layout {
    fn blocks(&self) -> usize {
        self.factor.iter().product()
    }

    fn frames(&self) -> usize {
        (self.size[0] * self.factor[0]).saturating_sub(self.factor[0].saturating_sub(1))
    }

    fn x_shape(&self) -> Shape {
        let [t, h, w] = self.size;
        Shape::from([self.batch, t, h, w, self.channels * self.blocks()])
    }

    fn result_shape(&self) -> Shape {
        let [_, h, w] = self.size;
        Shape::from([
            self.batch,
            self.frames(),
            h * self.factor[1],
            w * self.factor[2],
            self.channels,
        ])
    }

    /// The frame of `x` that a frame of the result is made from, and its place there.
    fn frame(&self, frame: usize) -> (usize, usize) {
        // Frames 1 to z - 1 are left out, so the first one counts as the last of z.
        let padded = if frame == 0 { 0 } else { frame + self.factor[0] - 1 };
        (padded / self.factor[0], padded % self.factor[0])
    }

    /// The block of a place in time, height and width.
    fn block(&self, z: usize, y: usize, x: usize) -> usize {
        let [depth, height, width] = self.factor;
        if self.time_first { (z * height + y) * width + x } else { (y * width + x) * depth + z }
    }
}

impl DepthToSpace {
    fn layout(&self, x: Shape) -> Result<Layout> {
        let blocks = self.factor.iter().try_fold(1usize, |n, &factor| n.checked_mul(factor));
        let blocks = blocks.filter(|&blocks| blocks > 0);
        let cut = blocks.filter(|&blocks| x.rank() == 5 && x[4].is_multiple_of(blocks));
        let Some(blocks) = cut else {
            let what = format!(
                "x is {x}, factor {:?}; expected [B, T, H, W, C] with C a multiple of the factors",
                self.factor
            );
            return Err(Error::shape(Self::NAME, what));
        };
        Ok(Layout {
            batch: x[0],
            size: [x[1], x[2], x[3]],
            factor: self.factor,
            time_first: self.time_first,
            channels: x[4] / blocks,
        })
    }

    /// Gradient of `x`, which has this shape: zeros where a frame was left out.
    pub fn backward(&self, x: Shape, grad: &Tensor) -> Result<Tensor> {
        let layout = self.layout(x)?;
        match grad.accelerator() {
            Some(place) => gpu::backward(place, &layout, grad),
            None => cpu::backward(&layout, grad),
        }
    }
}

impl Operation for DepthToSpace {
    const NAME: &'static str = "depth_to_space";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 1)?;
        float(Self::NAME, "x", inputs[0])?;
        Ok(vec![(self.layout(inputs[0].shape())?.result_shape(), inputs[0].dtype())])
    }

    fn flops(&self, _: &[&Tensor]) -> u64 {
        0
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::forward(&self.layout(inputs[0].shape())?, inputs[0])?])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![gpu::forward(place, &self.layout(inputs[0].shape())?, inputs[0])?])
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let layout = self.layout(inputs[0].shape).expect("checked shapes");
        let mut result = Array::zeros(layout.result_shape());
        let [_, height, width] = layout.size;
        let [depth, tall, wide] = layout.factor;
        for row in 0..inputs[0].shape.rows() {
            let (line, w) = (row / width, row % width);
            let (frame, h) = (line / height, line % height);
            let (clip, t) = (frame / layout.size[0], frame % layout.size[0]);
            for z in 0..depth {
                if t == 0 && z > 0 {
                    continue;
                }
                let to = if t == 0 { 0 } else { t * depth + z - (depth - 1) };
                for (y, x) in (0..tall).flat_map(|y| (0..wide).map(move |x| (y, x))) {
                    let block = layout.block(z, y, x);
                    let from = &inputs[0].row(row)[block * layout.channels..][..layout.channels];
                    let line = (clip * layout.frames() + to) * height * tall + h * tall + y;
                    result.row_mut(line * width * wide + w * wide + x).copy_from_slice(from);
                }
            }
        }
        vec![result]
    }
}
