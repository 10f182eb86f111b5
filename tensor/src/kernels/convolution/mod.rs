//! Convolutions in three axes, channels last, as products of gathered rows: no column matrix is
//! ever formed.
//!
//! A row of the product is a pixel of the result. For each tap of the kernel it meets one pixel of
//! the source, whose channels lie together, so the micro-kernel reads them where they are; a pixel
//! outside the picture is a row of zeros. The gradient of the source is a sum of the same form over
//! the pixels of the result, by phases of the stride; [`Lattice`] describes both.

mod blocks;
mod lattice;
mod pack;
#[cfg(test)]
mod tests;
mod weight;
mod winograd;

pub use blocks::{Gather, gather, workspace};
pub(crate) use lattice::Lattice;
pub use weight::{Weight, weight_gradient};

/// Sizes of one convolution. Axes are time, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Clips.
    pub batch: usize,
    /// Size of the source.
    pub source: [usize; 3],
    /// Size of the result.
    pub result: [usize; 3],
    /// Size of the kernel.
    pub kernel: [usize; 3],
    /// Step of the kernel.
    pub stride: [usize; 3],
    /// Copies of the first frame in front of the clip.
    pub front: usize,
    /// Zeros above and left of a frame. Those below and right follow from the sizes.
    pub before: [usize; 2],
    /// Channels of the source.
    pub channels: usize,
    /// Channels of the result.
    pub filters: usize,
}

impl Geometry {
    /// Offsets of a kernel.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Pixels of the source.
    pub fn source_rows(&self) -> usize {
        self.batch * self.source.iter().product::<usize>()
    }

    /// Pixels of the result.
    pub fn result_rows(&self) -> usize {
        self.batch * self.result.iter().product::<usize>()
    }

    /// Elements of the weight.
    pub fn weights(&self) -> usize {
        self.filters * self.taps() * self.channels
    }
}

/// Which product a [`gather`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The result from the source.
    Forward,
    /// The gradient of the source from that of the result.
    Backward,
}
