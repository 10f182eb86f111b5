//! Buffers: typed device memory from the pool, given back in stream order.

use crate::device::{Device, lock};
use crate::error::{Error, Result};
use crate::pool::Block;
use crate::region::{Region, RegionInner};
use crate::stream::{Stream, StreamInner};
use bytemuck::Pod;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Device memory for `len` values. Clones and views share it; it goes back to the pool with the
/// last of them, to be used again after the work that its streams have by then.
///
/// Its contents are undefined until they are written.
pub struct Buffer<T> {
    pub(crate) memory: Arc<Memory>,
    /// First byte in the memory.
    offset: usize,
    len: usize,
    values: PhantomData<T>,
}

/// A block with its home stream, and the streams beside it that used it.
pub(crate) struct Memory {
    block: Option<Block>,
    /// The region that it is part of, and where it starts there; else it is the pool's.
    region: Option<(Arc<RegionInner>, usize)>,
    tag: String,
    home: Arc<StreamInner>,
    others: Mutex<Vec<Arc<StreamInner>>>,
}

impl Stream {
    /// A buffer without contents; `tag` says whose it is where memory runs out.
    pub fn allocate<T: Pod>(&self, len: usize, tag: &str) -> Result<Buffer<T>> {
        let Some(bytes) = len.checked_mul(size_of::<T>()) else {
            let size = size_of::<T>();
            return Err(Error::argument(format!("`{tag}`: {len} values of {size} bytes")));
        };
        self.0.device.enter()?;
        let region = lock(&self.0.region).clone();
        let (block, region) = match region {
            _ if bytes == 0 => (None, None),
            None => (Some(lock(&self.0.device.pool).take(&self.0, bytes, tag)?), None),
            Some(Region(region)) => {
                let (block, start) = region.take(&self.0, bytes, tag)?;
                (Some(block), Some((region, start)))
            }
        };
        Ok(Buffer::new(Memory::new(block, region, tag, &self.0), len))
    }
}

impl Buffer<u8> {
    /// A buffer of the pool, wherever the stream allocates at the moment.
    pub(crate) fn of_pool(stream: &Arc<StreamInner>, bytes: usize, tag: &str) -> Result<Self> {
        let block = lock(&stream.device.pool).take(stream, bytes, tag)?;
        Ok(Buffer::new(Memory::new(Some(block), None, tag, stream), bytes))
    }
}

impl<T> Buffer<T> {
    fn new(memory: Memory, len: usize) -> Self {
        Buffer { memory: Arc::new(memory), offset: 0, len, values: PhantomData }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }

    /// Whose it is.
    pub fn tag(&self) -> &str {
        &self.memory.tag
    }

    /// The device.
    pub fn device(&self) -> Device {
        Device(Arc::clone(&self.memory.home.device))
    }

    /// Some of the values, in the same memory.
    pub fn view(&self, range: Range<usize>) -> Result<Buffer<T>> {
        if range.start > range.end || range.end > self.len {
            let (tag, len) = (self.tag(), self.len);
            return Err(Error::argument(format!("`{tag}`: view {range:?} of {len} values")));
        }
        Ok(Buffer {
            memory: Arc::clone(&self.memory),
            offset: self.offset + range.start * size_of::<T>(),
            len: range.len(),
            values: PhantomData,
        })
    }

    /// `len` values of another type from a byte on, in the same memory.
    pub fn reinterpret<U: Pod>(&self, start: usize, len: usize) -> Result<Buffer<U>> {
        let end = len.checked_mul(size_of::<U>()).and_then(|bytes| bytes.checked_add(start));
        let is_aligned = (self.offset + start).is_multiple_of(size_of::<U>());
        if !is_aligned || end.is_none_or(|end| end > self.bytes()) {
            let (tag, bytes, size) = (self.tag(), self.bytes(), size_of::<U>());
            return Err(Error::argument(format!(
                "`{tag}`: {len} values of {size} bytes from byte {start} of {bytes}"
            )));
        }
        Ok(Buffer {
            memory: Arc::clone(&self.memory),
            offset: self.offset + start,
            len,
            values: PhantomData,
        })
    }

    /// The address as kernels see it; 0 where there are no values.
    pub fn address(&self) -> u64 {
        match &self.memory.block {
            Some(block) if self.len > 0 => block.address + self.offset as u64,
            _ => 0,
        }
    }

    /// Notes that a stream uses the memory from now on.
    pub(crate) fn used_by(&self, stream: &Arc<StreamInner>) {
        self.memory.used_by(stream);
        if stream.is_capturing() && !self.memory.is_of_region(stream) {
            stream.keep(Arc::clone(&self.memory) as _);
        }
    }
}

impl Memory {
    fn new(
        block: Option<Block>,
        region: Option<(Arc<RegionInner>, usize)>,
        tag: &str,
        home: &Arc<StreamInner>,
    ) -> Self {
        let others = Mutex::new(Vec::new());
        Memory { block, region, tag: tag.to_owned(), home: Arc::clone(home), others }
    }

    pub(crate) fn region(&self) -> Option<&Arc<RegionInner>> {
        self.region.as_ref().map(|(region, _)| region)
    }

    pub(crate) fn home_device(&self) -> Arc<crate::device::Inner> {
        Arc::clone(&self.home.device)
    }

    pub(crate) fn used_by(&self, stream: &Arc<StreamInner>) {
        if stream.key() == self.home.key() {
            return;
        }
        let mut others = lock(&self.others);
        if !others.iter().any(|other| Arc::ptr_eq(other, stream)) {
            others.push(Arc::clone(stream));
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Some(block) = self.block else { return };
        let home = Stream(Arc::clone(&self.home));
        for other in std::mem::take(&mut *lock(&self.others)) {
            let other = Stream(other);
            // Whoever gets the memory next comes after what the other stream does with it. While
            // the home stream captures, only the host can wait; and where neither can, a device
            // has failed and hands nothing out any more.
            let waits = other.record().and_then(|mark| home.wait(&mark));
            if waits.is_err() {
                let _ = other.synchronize();
            }
        }
        match &self.region {
            Some((region, start)) => region.give(*start, block.bytes),
            None => lock(&self.home.device.pool).give(self.home.key(), block, &self.tag),
        }
    }
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Buffer {
            memory: Arc::clone(&self.memory),
            offset: self.offset,
            len: self.len,
            values: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer(`{}`, {} at {:#x})", self.tag(), self.len, self.address())
    }
}
