//! Shapes of launches over rows of features.

use super::TensorArguments;
use crate::{Result, Tensor};
use vincie_gpu::Launch;

/// Bytes of one access.
const ACCESS: usize = 16;

/// Rows whose sums one CTA forms.
const SPLIT: usize = 128;

/// Rows of features, and how threads may take them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Features of one access.
    width: usize,
}

impl Rows {
    /// The rows of the first tensor; the others, of the same type, have rows of the same length.
    pub(crate) fn of(tensors: &[&Tensor]) -> Result<Rows> {
        let shape = tensors[0].shape();
        let (cols, width) = (shape.last_dim(), ACCESS / tensors[0].dtype().size());
        let mut is_wide = cols.is_multiple_of(width);
        for tensor in tensors {
            is_wide &= tensor.device_address()?.is_multiple_of(ACCESS as u64);
        }
        Ok(Rows { rows: shape.rows(), cols, width: if is_wide { width } else { 1 } })
    }

    /// What kernels call the way threads take them.
    pub(crate) fn access(&self) -> &'static str {
        if self.width > 1 { "wide" } else { "any" }
    }

    /// Accesses of a row.
    pub(crate) fn units(&self) -> usize {
        self.cols / self.width
    }

    /// Stretches of rows that are summed apart.
    pub(crate) fn splits(&self) -> usize {
        self.rows.div_ceil(SPLIT)
    }

    /// The last arguments of a kernel that sums over stretches of rows, for `number` groups.
    pub(crate) fn split<'k>(&self, launch: Launch<'k>, number: usize) -> Launch<'k> {
        let launch = launch.size(self.rows).size(self.cols).size(SPLIT);
        launch.dim("number", number).dim("splits", self.splits())
    }
}
