//! Streams: work in order. Those of `cust` always wait for the default stream, which these do not.

use crate::device::{Device, Inner, lock};
use crate::error::Result;
use crate::event::Event;
use crate::region::Region;
use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex};
use vincie_driver::{Out, Raw, call};

/// The stream does not wait for the default stream.
const NON_BLOCKING: u32 = 1;

/// Work of a device in order. Clones are the same stream.
#[derive(Clone)]
pub struct Stream(pub(crate) Arc<StreamInner>);

pub(crate) struct StreamInner {
    pub(crate) device: Arc<Inner>,
    handle: usize,
    pub(crate) number: u32,
    /// What the graph being captured must keep.
    pub(crate) captured: Mutex<Option<Vec<Arc<dyn Any + Send + Sync>>>>,
    /// Where buffers are allocated, if not in the pool.
    pub(crate) region: Mutex<Option<Region>>,
}

impl Device {
    /// A stream of the device.
    pub fn stream(&self) -> Result<Stream> {
        self.stream_with_priority(0)
    }

    /// A stream whose kernels go before those of streams with a higher number.
    pub fn stream_with_priority(&self, priority: i32) -> Result<Stream> {
        self.0.enter()?;
        let mut handle: Raw = std::ptr::null_mut();
        // SAFETY: the result has room.
        let code = unsafe {
            call::cuStreamCreateWithPriority(Out::to(&mut handle), NON_BLOCKING, priority)
        };
        self.0.check("cuStreamCreateWithPriority", code)?;
        Ok(Stream(Arc::new(StreamInner {
            device: Arc::clone(&self.0),
            handle: handle as usize,
            number: self.0.next_stream(),
            captured: Mutex::new(None),
            region: Mutex::new(None),
        })))
    }
}

impl Stream {
    /// The device.
    pub fn device(&self) -> Device {
        Device(Arc::clone(&self.0.device))
    }

    /// Waits for all work of the stream.
    pub fn synchronize(&self) -> Result<()> {
        let _span = self.0.device.span("synchronize stream");
        self.0.synchronize()
    }

    /// True while work is noted instead of being done.
    pub fn is_capturing(&self) -> bool {
        self.0.is_capturing()
    }

    /// Lets further work wait for an event, of this device or another one.
    pub fn wait(&self, event: &Event) -> Result<()> {
        self.0.device.enter()?;
        // SAFETY: both handles live as long as their owners.
        let code = unsafe { call::cuStreamWaitEvent(self.0.raw(), event.raw(), 0) };
        self.0.device.check("cuStreamWaitEvent", code)
    }

    /// An event behind the work that the stream has now.
    pub fn record(&self) -> Result<Event> {
        let event = self.device().event()?;
        event.record(self)?;
        Ok(event)
    }
}

impl StreamInner {
    pub(crate) fn raw(&self) -> Raw {
        self.handle as Raw
    }

    /// The handle as the key of what belongs to the stream.
    pub(crate) fn key(&self) -> usize {
        self.handle
    }

    pub(crate) fn synchronize(&self) -> Result<()> {
        self.device.enter()?;
        // SAFETY: the handle lives as long as this.
        let code = unsafe { call::cuStreamSynchronize(self.raw()) };
        self.device.check("cuStreamSynchronize", code)
    }

    pub(crate) fn is_capturing(&self) -> bool {
        lock(&self.captured).is_some()
    }

    /// Keeps what captured work uses for as long as its graph lives.
    pub(crate) fn keep(&self, used: Arc<dyn Any + Send + Sync>) {
        if let Some(kept) = lock(&self.captured).as_mut() {
            kept.push(used);
        }
    }
}

impl Drop for StreamInner {
    fn drop(&mut self) {
        // After a fault the handle ends with the context.
        if self.synchronize().is_ok() {
            lock(&self.device.pool).orphan(self.key());
        }
        // SAFETY: nothing has the handle any more.
        let _ = unsafe { call::cuStreamDestroy_v2(self.raw()) };
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} of {})", self.0.number, self.device().spec())
    }
}
