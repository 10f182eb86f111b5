//! Memory under a tensor: a pooled block, part of a mapped file, or memory of a device.

use crate::accelerator::Accelerator;
use crate::mapping::Mapping;
use crate::pool::{self, Line};
use crate::{Element, Error, Result, Tensor};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// What lets a shape rule check indices without reading them back.
    pub(crate) indices: Option<Indices>,
}

/// What the host knows of i32 values that it put into memory of a device.
#[derive(Debug)]
pub(crate) struct Indices {
    /// Smallest and largest.
    range: Mutex<(i32, i32)>,
    /// What all of them have to be below: the least that a shape rule asked for.
    bound: AtomicUsize,
}

impl Indices {
    /// Of a contiguous tensor of the host; `None` where it holds no i32 values.
    pub(crate) fn of(tensor: &Tensor) -> Option<Self> {
        let range = range(tensor.as_slice::<i32>()?)?;
        Some(Self { range: Mutex::new(range), bound: AtomicUsize::new(usize::MAX) })
    }

    /// Smallest and largest value.
    pub(crate) fn range(&self) -> (i32, i32) {
        *self.range.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds later values to a bound that those now there keep.
    pub(crate) fn hold_below(&self, bound: usize) {
        self.bound.fetch_min(bound, Relaxed);
    }

    /// `Err` where new values do not keep the bound.
    pub(crate) fn check(&self, values: &[i32]) -> Result<()> {
        let bound = self.bound.load(Relaxed);
        let Some((least, most)) = range(values).filter(|_| bound < usize::MAX) else {
            return Ok(());
        };
        match [least, most].into_iter().find(|&index| index < 0 || index as usize >= bound) {
            Some(index) => {
                Err(Error::shape("inputs", format!("index {index}; indices must be below {bound}")))
            }
            None => Ok(()),
        }
    }

    /// Notes new values.
    pub(crate) fn renew(&self, values: &[i32]) {
        if let Some(range) = range(values) {
            *self.range.lock().unwrap_or_else(PoisonError::into_inner) = range;
        }
    }
}

fn range(values: &[i32]) -> Option<(i32, i32)> {
    Some((values.iter().copied().min()?, values.iter().copied().max()?))
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
