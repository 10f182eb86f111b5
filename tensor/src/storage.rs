//! Memory under a tensor: a pooled block, or part of a mapped file.

use crate::mapping::Mapping;
use crate::pool::{self, Line};
use crate::{Element, Result};
use std::sync::Arc;

/// Where the elements lie.
#[derive(Debug)]
pub(crate) enum Storage {
    /// A pooled block, at least as long as it was asked for and aligned to 64 bytes.
    Pooled(Vec<Line>),
    /// A stretch of a mapped file whose start is aligned for its elements. Nobody writes to it.
    Mapped { mapping: Arc<Mapping>, start: usize, bytes: usize },
}

impl Storage {
    /// A block for `bytes` bytes with unspecified (but initialised) contents.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        Ok(Self::Pooled(pool::take(bytes)?))
    }

    /// The whole memory as elements.
    pub(crate) fn as_slice<T: Element>(&self) -> &[T] {
        match self {
            Self::Pooled(lines) => bytemuck::cast_slice(lines),
            Self::Mapped { mapping, start, bytes } => {
                bytemuck::cast_slice(&mapping.bytes()[*start..start + bytes])
            }
        }
    }

    /// The whole block as writable elements; `None` for a file.
    pub(crate) fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        match self {
            Self::Pooled(lines) => Some(bytemuck::cast_slice_mut(lines)),
            Self::Mapped { .. } => None,
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Self::Pooled(lines) = self {
            pool::give(std::mem::take(lines));
        }
    }
}
