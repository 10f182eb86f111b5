//! The gradient of the weights: for each tap, gradients of the result, turned, times the source's
//! pixels. A task owns a block of filters and channels of one tap and walks all pixels in order.

use super::lattice::Lattice;
use super::{Direction, Geometry};
use crate::kernels::disjoint::Disjoint;
use crate::kernels::product::{ColumnMajor, ROW_STEP, Size, Start, leading, product};
use crate::kernels::runs::for_each;
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::{Kernel, Lane, Simd};

/// Filters and channels of a task's block.
const BLOCK_FILTERS: usize = 128;
const BLOCK_CHANNELS: usize = 192;

/// Pixels between two visits of the sums.
const BLOCK_PIXELS: usize = 128;

/// Arguments of [`weight_gradient`].
#[derive(Debug)]
pub struct Weight<'a> {
    /// Sizes.
    pub geometry: &'a Geometry,
    /// \[B, T, H, W, channels\].
    pub source: &'a [f32],
    /// Gradient of the result, \[B, T', H', W', filters\].
    pub gradient: &'a [f32],
    /// \[filters, taps, channels\], written.
    pub to: &'a mut [f32],
}

/// Computes the gradient of the weight.
///
/// # Panics
/// Where lengths do not fit.
pub fn weight_gradient(simd: Simd, args: Weight<'_>) {
    let Weight { geometry, source, gradient, to } = args;
    let &Geometry { channels, filters, .. } = geometry;
    assert_eq!(source.len(), geometry.source_rows() * channels, "convolution: source");
    assert_eq!(gradient.len(), geometry.result_rows() * filters, "convolution: gradient");
    assert_eq!(to.len(), geometry.weights(), "convolution: weights of {geometry:?}");
    let lattices = Lattice::all(geometry, Direction::Forward);
    let Some(lattice) = lattices.first() else {
        to.fill(0.0);
        return;
    };
    let taps = geometry.taps();
    let (across, down) = (channels.div_ceil(BLOCK_CHANNELS), filters.div_ceil(BLOCK_FILTERS));
    let to = Disjoint::new(to);
    for_each(taps * across * down, |index| {
        let (tap, block) = (index / (across * down), index % (across * down));
        let (filter, channel) = (block / across * BLOCK_FILTERS, block % across * BLOCK_CHANNELS);
        let task = Task {
            lattice,
            tap,
            filter,
            filters: BLOCK_FILTERS.min(filters - filter),
            channel,
            channels: BLOCK_CHANNELS.min(channels - channel),
            geometry,
            source,
            gradient,
            to: &to,
        };
        with_scratch(task.scratch(), |scratch| simd.run(Run { task: &task, scratch }));
    });
}

struct Task<'a> {
    lattice: &'a Lattice,
    tap: usize,
    filter: usize,
    filters: usize,
    channel: usize,
    channels: usize,
    geometry: &'a Geometry,
    source: &'a [f32],
    gradient: &'a [f32],
    to: &'a Disjoint<'a, f32>,
}

impl Task<'_> {
    /// Floats from a filter's row of sums to the next, and from a pixel's channels to the next.
    fn across(&self) -> usize {
        leading(self.channels)
    }

    /// Floats from a pixel's filters to the next, where they are packed.
    fn down(&self) -> usize {
        leading(self.filters)
    }

    /// Sums, channels and filters of a block of pixels.
    fn scratch(&self) -> usize {
        let sums = self.filters.next_multiple_of(ROW_STEP) * self.across();
        sums + BLOCK_PIXELS * (self.across() + self.down())
    }
}

struct Run<'a> {
    task: &'a Task<'a>,
    scratch: &'a mut [f32],
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        let Self { task, scratch } = self;
        let &Task { lattice, tap, filter, filters, channel, channels, geometry, .. } = task;
        let (across, down) = (task.across(), task.down());
        let (sums, scratch) = scratch.split_at_mut(filters.next_multiple_of(ROW_STEP) * across);
        let (right, left) = scratch.split_at_mut(BLOCK_PIXELS * across);
        sums.fill(0.0);
        right.fill(0.0);
        left.fill(0.0);
        let term = lattice.terms[tap];
        let rows = lattice.rows();
        for first in (0..rows).step_by(BLOCK_PIXELS) {
            let steps = BLOCK_PIXELS.min(rows - first);
            for (step, to) in right.chunks_exact_mut(across).enumerate().take(steps) {
                match lattice.read(lattice.place(first + step), &term) {
                    Some(pixel) => {
                        let from = &task.source[pixel * geometry.channels + channel..];
                        to[..channels].copy_from_slice(&from[..channels]);
                    }
                    None => to[..channels].fill(0.0),
                }
            }
            for (step, to) in left.chunks_exact_mut(down).enumerate().take(steps) {
                let from = &task.gradient[(first + step) * geometry.filters + filter..];
                to[..filters].copy_from_slice(&from[..filters]);
            }
            let size = Size { rows: filters, steps, columns: channels };
            let (left, right) = ((&*left, down), (&*right, across));
            product::<L, ColumnMajor>(size, left, right, (&mut *sums, across), Start::Add, None);
        }
        for (i, sums) in sums.chunks_exact(across).enumerate().take(filters) {
            let row = (filter + i) * geometry.taps() + tap;
            // SAFETY: tasks own different taps, filters or channels.
            let to = unsafe { task.to.part(row * geometry.channels + channel, channels) };
            to.copy_from_slice(&sums[..channels]);
        }
    }
}
