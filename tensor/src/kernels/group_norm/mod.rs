//! Group norm per frame with an optional SiLU in the same pass (VINCIE 3B specification, section 2.1):
//! z = (x - mean) / sqrt(variance + epsilon) * weight + bias, y = z or z sigmoid(z), with the
//! statistics of a frame's pixels and a group's channels.
//!
//! Frames are cut into runs of pixels. A run leaves sums per channel, which are added in order and in
//! f64; so results do not depend on the number of threads.

mod backward;
mod forward;
#[cfg(test)]
mod tests;

pub use backward::{Backward, backward};
pub use forward::forward;

use std::ops::Range;

/// Elements of a run of pixels.
const RUN: usize = 1 << 15;

/// What the norm does, and to which sizes.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Frames, each with statistics of its own.
    pub frames: usize,
    /// Pixels of a frame.
    pub pixels: usize,
    /// Channels of a pixel, a multiple of `groups`.
    pub channels: usize,
    /// Groups of neighbouring channels.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// A SiLU follows.
    pub silu: bool,
    /// Factor per channel.
    pub weight: &'a [f32],
    /// Summand per channel.
    pub bias: &'a [f32],
}

impl Norm<'_> {
    fn check(&self, x: &[f32], statistics: &[f32]) {
        let &Self { frames, pixels, channels, groups, weight, bias, .. } = self;
        assert!(groups > 0 && channels.is_multiple_of(groups), "{channels} in {groups} groups");
        assert_eq!(x.len(), frames * pixels * channels, "group_norm: x is [F, P, C]");
        assert_eq!(statistics.len(), frames * groups * 2, "group_norm: statistics are [F, G, 2]");
        assert!(weight.len() == channels && bias.len() == channels, "group_norm: [{channels}]");
    }

    /// Pixels of a run.
    fn step(&self) -> usize {
        (RUN / self.channels.max(1)).max(1)
    }

    /// Runs of a frame.
    fn runs(&self) -> usize {
        self.pixels.div_ceil(self.step())
    }

    /// Elements of run `index` of all frames, and its frame.
    fn run(&self, index: usize) -> (usize, Range<usize>) {
        let (frame, run) = (index / self.runs(), index % self.runs());
        let pixels = run * self.step()..self.pixels.min((run + 1) * self.step());
        let start = frame * self.pixels;
        (frame, (start + pixels.start) * self.channels..(start + pixels.end) * self.channels)
    }

    /// Writes mean and inverse deviation of each channel of a frame.
    fn by_channel(&self, statistics: &[f32], mean: &mut [f32], inverse: &mut [f32]) {
        let each = self.channels / self.groups;
        for (c, (mean, inverse)) in mean.iter_mut().zip(inverse).enumerate() {
            (*mean, *inverse) = (statistics[c / each * 2], statistics[c / each * 2 + 1]);
        }
    }
}

/// Adds rows of a `[rows, cols]` matrix in order.
fn add_rows(rows: &[f32], cols: usize) -> Vec<f64> {
    let mut sums = vec![0.0; cols];
    for row in rows.chunks_exact(cols.max(1)) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    sums
}
