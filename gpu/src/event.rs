//! Events: marks in streams. Those of `cust` cannot be waited for without giving them away.

use crate::device::{Device, Inner};
use crate::error::{Error, Result};
use crate::stream::Stream;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use vincie_driver::{Code, Out, Raw, call};

/// A mark in a stream, which can be waited for and keeps the time it was reached.
pub struct Event {
    device: Arc<Inner>,
    handle: usize,
}

impl Device {
    /// An event that is not recorded yet; waiting for it takes no time.
    pub fn event(&self) -> Result<Event> {
        Event::new(&self.0)
    }
}

impl Event {
    pub(crate) fn new(device: &Arc<Inner>) -> Result<Event> {
        device.enter()?;
        let mut handle: Raw = std::ptr::null_mut();
        // SAFETY: the result has room.
        device.check("cuEventCreate", unsafe { call::cuEventCreate(Out::to(&mut handle), 0) })?;
        Ok(Event { device: Arc::clone(device), handle: handle as usize })
    }

    pub(crate) fn raw(&self) -> Raw {
        self.handle as Raw
    }

    /// Marks the place behind the work that a stream has now.
    pub fn record(&self, stream: &Stream) -> Result<()> {
        self.device.enter()?;
        // SAFETY: both handles live as long as their owners.
        let code = unsafe { call::cuEventRecord(self.raw(), stream.0.raw()) };
        self.device.check("cuEventRecord", code)
    }

    /// True once the stream has reached it.
    pub fn is_reached(&self) -> Result<bool> {
        self.device.enter()?;
        // SAFETY: the handle lives as long as this.
        match unsafe { call::cuEventQuery(self.raw()) } {
            Code::NOT_READY => Ok(false),
            code => self.device.check("cuEventQuery", code).map(|()| true),
        }
    }

    /// Waits until the stream has reached it.
    pub fn synchronize(&self) -> Result<()> {
        self.device.enter()?;
        // SAFETY: the handle lives as long as this.
        let code = unsafe { call::cuEventSynchronize(self.raw()) };
        self.device.check("cuEventSynchronize", code)
    }

    /// Time from an earlier event to this one; waits for both. On an emulated device it is the
    /// machine's own.
    pub fn since(&self, earlier: &Event) -> Result<Duration> {
        earlier.synchronize()?;
        self.synchronize()?;
        let mut milliseconds = 0.0f32;
        // SAFETY: the result has room and both handles live as long as their owners.
        let code = unsafe {
            call::cuEventElapsedTime(Out::to(&mut milliseconds), earlier.raw(), self.raw())
        };
        self.device.check("cuEventElapsedTime", code)?;
        let seconds = f64::from(milliseconds) / 1e3;
        Duration::try_from_secs_f64(seconds).map_err(|_| {
            Error::argument(format!("elapsed time: {milliseconds} ms; the events are swapped"))
        })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.device.enter().is_ok() {
            // SAFETY: nothing has the handle any more; the driver keeps a pending event alive.
            let _ = unsafe { call::cuEventDestroy_v2(self.raw()) };
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({:#x})", self.handle)
    }
}
