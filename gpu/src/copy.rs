//! Copies and fills, in stream order.

use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::stream::Stream;
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;
use vincie_driver::{In, Out, call};

impl Stream {
    /// A buffer with these values. The slice is done with when this returns.
    pub fn upload<T: Pod>(&self, values: &[T], tag: &str) -> Result<Buffer<T>> {
        let buffer = self.allocate(values.len(), tag)?;
        self.write(&buffer, values)?;
        Ok(buffer)
    }

    /// Writes values over those of a buffer. The slice is done with when this returns.
    pub fn write<T: Pod>(&self, buffer: &Buffer<T>, values: &[T]) -> Result<()> {
        self.check_lengths("write", buffer.len(), values.len(), buffer.tag())?;
        self.check_device("write", buffer)?;
        if self.0.is_capturing() {
            let message = "write: a graph would read the slice later; use pinned memory";
            return Err(Error::argument(message));
        }
        if buffer.is_empty() {
            return Ok(());
        }
        let device = &self.0.device;
        device.enter()?;
        let _span = device.span("upload");
        buffer.used_by(&self.0);
        let from = In::at(values.as_ptr() as usize);
        // SAFETY: as many bytes are read as the slice has. The driver is done with pageable memory
        // when the call returns, and `Pinned` gives out no slice that outlives a wait.
        let code = unsafe {
            call::cuMemcpyHtoDAsync_v2(buffer.address(), from, buffer.bytes(), self.0.raw())
        };
        device.check("cuMemcpyHtoDAsync", code)
    }

    /// The values of a buffer, once the stream has done its work.
    pub fn download<T: Pod>(&self, buffer: &Buffer<T>) -> Result<Vec<T>> {
        let mut values = vec![T::zeroed(); buffer.len()];
        self.read(buffer, &mut values)?;
        Ok(values)
    }

    /// Reads the values of a buffer, once the stream has done its work.
    pub fn read<T: Pod>(&self, buffer: &Buffer<T>, values: &mut [T]) -> Result<()> {
        self.check_lengths("read", values.len(), buffer.len(), buffer.tag())?;
        self.check_device("read", buffer)?;
        let device = &self.0.device;
        let _span = device.span("download");
        if buffer.is_empty() {
            return self.0.synchronize();
        }
        device.enter()?;
        buffer.used_by(&self.0);
        let to = Out::at(values.as_mut_ptr().cast());
        // SAFETY: as many bytes are written as the slice has, and the stream is waited for below
        // while the slice is borrowed.
        let code = unsafe {
            call::cuMemcpyDtoHAsync_v2(to, buffer.address(), buffer.bytes(), self.0.raw())
        };
        device.check("cuMemcpyDtoHAsync", code)?;
        self.0.synchronize()
    }

    /// Copies values between buffers, of this device or of one that it has peer access to.
    pub fn copy<T: Pod>(&self, to: &Buffer<T>, from: &Buffer<T>) -> Result<()> {
        self.check_lengths("copy", to.len(), from.len(), to.tag())?;
        let device = &self.0.device;
        let (target, source) = (to.device(), from.device());
        let is_own = |other: &crate::Device| Arc::ptr_eq(&other.0, device);
        if target.0.driver != device.driver || source.0.driver != device.driver {
            let (from, to) = (source.spec(), target.spec());
            let message = format!("copy from {from} to {to}: they have different drivers");
            return Err(Error::argument(message));
        }
        if to.is_empty() {
            return Ok(());
        }
        device.enter()?;
        to.used_by(&self.0);
        from.used_by(&self.0);
        let (bytes, stream) = (to.bytes(), self.0.raw());
        if is_own(&target) && is_own(&source) {
            // SAFETY: both ranges belong to buffers that outlive the stream's work.
            let code =
                unsafe { call::cuMemcpyDtoDAsync_v2(to.address(), from.address(), bytes, stream) };
            return device.check("cuMemcpyDtoDAsync", code);
        }
        // SAFETY: as above; the contexts live as long as the buffers.
        let code = unsafe {
            call::cuMemcpyPeerAsync(
                to.address(),
                target.context(),
                from.address(),
                source.context(),
                bytes,
                stream,
            )
        };
        device.check("cuMemcpyPeerAsync", code)
    }

    /// Fills a buffer with zero bytes.
    pub fn zero<T: Pod + Zeroable>(&self, buffer: &Buffer<T>) -> Result<()> {
        self.check_device("zero", buffer)?;
        if buffer.is_empty() {
            return Ok(());
        }
        let device = &self.0.device;
        device.enter()?;
        buffer.used_by(&self.0);
        // SAFETY: the range belongs to a buffer that outlives the stream's work.
        let code =
            unsafe { call::cuMemsetD8Async(buffer.address(), 0, buffer.bytes(), self.0.raw()) };
        device.check("cuMemsetD8Async", code)
    }

    fn check_lengths(&self, what: &str, to: usize, from: usize, tag: &str) -> Result<()> {
        if to == from {
            return Ok(());
        }
        Err(Error::argument(format!("{what} `{tag}`: {from} values into {to}")))
    }

    pub(crate) fn check_device<T>(&self, what: &str, buffer: &Buffer<T>) -> Result<()> {
        if Arc::ptr_eq(&buffer.memory.home_device(), &self.0.device) {
            return Ok(());
        }
        let (tag, have, want) = (buffer.tag(), buffer.device().spec(), self.device().spec());
        Err(Error::argument(format!("{what} `{tag}`: it is on {have}, the stream on {want}")))
    }
}
