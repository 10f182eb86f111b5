//! Memory under a tensor: a pooled block, part of a mapped file, or memory of a device.

use crate::accelerator::Accelerator;
use crate::mapping::Mapping;
use crate::pool::{self, Line};
use crate::{Element, Result};
use std::sync::Arc;
use vincie_gpu::Buffer;

/// Where the elements lie.
#[derive(Debug)]
pub(crate) enum Storage {
    /// A pooled block, at least as long as it was asked for and aligned to 64 bytes.
    Pooled(Vec<Line>),
    /// A stretch of a mapped file whose start is aligned for its elements. Nobody writes to it.
    Mapped { mapping: Arc<Mapping>, start: usize, bytes: usize },
    /// Memory of a device. The host reads it through a copy.
    Device(DeviceMemory),
}

/// Memory of a device under a tensor.
#[derive(Debug)]
pub(crate) struct DeviceMemory {
    pub(crate) buffer: Buffer<u8>,
    pub(crate) accelerator: Accelerator,
    /// Smallest and largest of the i32 values that the host put there: what lets a shape rule check
    /// indices without reading them back.
    pub(crate) index_range: Option<(i32, i32)>,
}

impl Storage {
    /// A block for `bytes` bytes with unspecified (but initialised) contents.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        Ok(Self::Pooled(pool::take(bytes)?))
    }

    /// The whole memory as elements. It must be the host's: kernels of the CPU get no other tensors.
    pub(crate) fn as_slice<T: Element>(&self) -> &[T] {
        match self {
            Self::Pooled(lines) => bytemuck::cast_slice(lines),
            Self::Mapped { mapping, start, bytes } => {
                bytemuck::cast_slice(&mapping.bytes()[*start..start + bytes])
            }
            Self::Device(memory) => panic!("{:?} is read as host memory", memory.buffer),
        }
    }

    /// The device's memory, where it is one's.
    pub(crate) fn device(&self) -> Option<&DeviceMemory> {
        match self {
            Self::Device(memory) => Some(memory),
            Self::Pooled(_) | Self::Mapped { .. } => None,
        }
    }

    /// The whole block as writable elements; `None` for a file or a device.
    pub(crate) fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        match self {
            Self::Pooled(lines) => Some(bytemuck::cast_slice_mut(lines)),
            Self::Mapped { .. } | Self::Device(_) => None,
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
