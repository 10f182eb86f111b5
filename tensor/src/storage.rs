//! Pooled memory under a tensor.

use crate::pool::{self, Line};
use crate::{Element, Result};

/// A block of pooled host memory, at least as long as it was asked for and aligned to 64 bytes.
#[derive(Debug)]
pub(crate) struct Storage {
    lines: Vec<Line>,
}

impl Storage {
    /// A block for `bytes` bytes with unspecified (but initialised) contents.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        Ok(Self { lines: pool::take(bytes)? })
    }

    /// The whole block as elements.
    pub(crate) fn as_slice<T: Element>(&self) -> &[T] {
        bytemuck::cast_slice(&self.lines)
    }

    /// The whole block as writable elements.
    pub(crate) fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.lines));
    }
}
