//! Pinned host memory, and copies that run beside the host: whoever started one gets the memory
//! back when it is done.

use crate::buffer::Buffer;
use crate::device::{Device, Inner};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::stream::Stream;
use bytemuck::Pod;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use vincie_driver::{In, Out, Raw, call};

/// Host memory for values that a device copies from and to without the host's help.
pub struct Pinned<T: Pod> {
    device: Arc<Inner>,
    address: usize,
    len: usize,
    values: PhantomData<T>,
}

/// A copy that is under way; it holds its host memory.
#[must_use = "the copy's memory comes back through `wait`"]
pub struct Transfer<T: Pod> {
    memory: Option<Pinned<T>>,
    done: Event,
}

impl Device {
    /// Pinned memory for values, all zero.
    pub fn pinned<T: Pod>(&self, len: usize) -> Result<Pinned<T>> {
        let Some(bytes) = len.checked_mul(size_of::<T>()) else {
            return Err(Error::argument(format!("pinned memory for {len} values")));
        };
        let mut address: Raw = std::ptr::null_mut();
        if bytes > 0 {
            self.0.enter()?;
            // SAFETY: the result has room.
            let code = unsafe { call::cuMemHostAlloc(Out::to(&mut address), bytes, 0) };
            self.0.check("cuMemHostAlloc", code)?;
            // SAFETY: the driver gave `bytes` bytes; zero bytes are a value of every plain type.
            unsafe { address.cast::<u8>().write_bytes(0, bytes) };
        }
        let device = Arc::clone(&self.0);
        Ok(Pinned { device, address: address as usize, len, values: PhantomData })
    }
}

impl<T: Pod> Deref for Pinned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        if self.address == 0 {
            return &[];
        }
        // SAFETY: the memory holds `len` values, is aligned to a page, lives as long as this, and
        // no copy touches it: a copy owns it until it is done.
        unsafe { std::slice::from_raw_parts(self.address as *const T, self.len) }
    }
}

impl<T: Pod> DerefMut for Pinned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        if self.address == 0 {
            return &mut [];
        }
        // SAFETY: as in `deref`, and this borrow is the only one.
        unsafe { std::slice::from_raw_parts_mut(self.address as *mut T, self.len) }
    }
}

impl<T: Pod> Drop for Pinned<T> {
    fn drop(&mut self) {
        if self.address > 0 && self.device.enter().is_ok() {
            // SAFETY: the driver gave this memory and no copy touches it any more.
            let _ = unsafe { call::cuMemFreeHost(self.address as Raw) };
        }
    }
}

impl<T: Pod> fmt::Debug for Pinned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({} at {:#x})", self.len, self.address)
    }
}

impl Stream {
    /// Starts to copy the first of pinned values to a buffer, as many as it has.
    pub fn start_upload<T: Pod>(
        &self,
        buffer: &Buffer<T>,
        memory: Pinned<T>,
    ) -> Result<Transfer<T>> {
        self.transfer("upload", buffer, memory, |memory| {
            let from = In::at(memory.address);
            // SAFETY: the transfer keeps the memory until the copy is done, and the buffer is
            // given back in stream order.
            unsafe {
                call::cuMemcpyHtoDAsync_v2(buffer.address(), from, buffer.bytes(), self.0.raw())
            }
        })
    }

    /// Starts to copy a buffer to the first of pinned values.
    pub fn start_download<T: Pod>(
        &self,
        buffer: &Buffer<T>,
        memory: Pinned<T>,
    ) -> Result<Transfer<T>> {
        self.transfer("download", buffer, memory, |memory| {
            let to = Out::at(memory.address as *mut u8);
            // SAFETY: as in `start_upload`.
            unsafe {
                call::cuMemcpyDtoHAsync_v2(to, buffer.address(), buffer.bytes(), self.0.raw())
            }
        })
    }

    fn transfer<T: Pod>(
        &self,
        what: &str,
        buffer: &Buffer<T>,
        memory: Pinned<T>,
        start: impl FnOnce(&Pinned<T>) -> vincie_driver::Code,
    ) -> Result<Transfer<T>> {
        if memory.len < buffer.len() {
            let (tag, len, have) = (buffer.tag(), buffer.len(), memory.len);
            let message = format!("{what} `{tag}`: {len} values, the pinned memory has {have}");
            return Err(Error::argument(message));
        }
        self.check_device(what, buffer)?;
        if self.0.is_capturing() {
            let message = format!("{what} `{}`: a graph cannot own pinned memory", buffer.tag());
            return Err(Error::argument(message));
        }
        let done = self.device().event()?;
        if !buffer.is_empty() {
            buffer.used_by(&self.0);
            self.0.device.check("asynchronous copy", start(&memory))?;
        }
        // From here on the memory is under way, whatever comes of the mark.
        let transfer = Transfer { memory: Some(memory), done };
        transfer.done.record(self)?;
        Ok(transfer)
    }
}

impl<T: Pod> Transfer<T> {
    /// True once the copy is done.
    pub fn is_done(&self) -> Result<bool> {
        self.done.is_reached()
    }

    /// Waits for the copy and gives the memory back.
    pub fn wait(mut self) -> Result<Pinned<T>> {
        self.done.synchronize()?;
        let memory = self.memory.take();
        Ok(memory.expect("only this, which ends the transfer, takes the memory"))
    }
}

impl<T: Pod> Drop for Transfer<T> {
    fn drop(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        let is_done = self.done.synchronize().is_ok();
        if !is_done {
            // The device failed, and may or may not touch the memory still.
            std::mem::forget(memory);
        }
    }
}
