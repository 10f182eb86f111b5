//! Regions: the buffers of one piece of work laid out in one large allocation, so that a graph can do
//! the work again in the same memory.
//!
//! Several regions may lie over one allocation: their pieces of work share it one after another, and
//! nothing of one is there any more in the next. What a region needs is found by measuring: the work
//! is noted, not done, with buffers that all lie in one scratch block.

use crate::buffer::{Buffer, Memory};
use crate::device::lock;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::line::Line;
use crate::pool::Block;
use crate::stream::{Stream, StreamInner};
use std::fmt;
use std::sync::{Arc, Mutex};
use vincie_driver::{Driver, emulator};

/// Where the buffers of a piece of work lie. Clones are the same region.
#[derive(Clone)]
pub struct Region(pub(crate) Arc<RegionInner>);

pub(crate) struct RegionInner {
    line: Mutex<Line>,
    place: Place,
}

enum Place {
    /// One allocation, which the line must not pass.
    Within(Buffer<u8>),
    /// Blocks as large as the largest buffer so far: for work that is not done.
    Scratch(Mutex<Vec<Buffer<u8>>>),
}

impl Region {
    /// A region over an allocation, all of it free.
    pub fn over(allocation: &Buffer<u8>) -> Region {
        Region(Arc::new(RegionInner {
            line: Mutex::default(),
            place: Place::Within(allocation.clone()),
        }))
    }

    /// A region that only counts: see [`Stream::measure`].
    fn counting() -> Region {
        Region(Arc::new(RegionInner {
            line: Mutex::default(),
            place: Place::Scratch(Mutex::default()),
        }))
    }

    /// The bytes that the work so far has needed at once.
    pub fn most(&self) -> usize {
        lock(&self.0.line).most()
    }

    fn taken(&self) -> usize {
        lock(&self.0.line).taken()
    }
}

impl RegionInner {
    /// Room for a buffer of at least one byte, whose contents are undefined in stream order.
    pub(crate) fn take(
        &self,
        stream: &Arc<StreamInner>,
        bytes: usize,
        tag: &str,
    ) -> Result<(Block, usize)> {
        let allocation = match &self.place {
            Place::Within(allocation) => allocation,
            Place::Scratch(blocks) => {
                let start = lock(&self.line).take(bytes, usize::MAX);
                let start = start.ok_or_else(|| out_of_room(bytes, tag, usize::MAX))?;
                return Ok((Block { address: scratch(stream, blocks, bytes)?, bytes }, start));
            }
        };
        let start = lock(&self.line).take(bytes, allocation.bytes());
        let start = start.ok_or_else(|| out_of_room(bytes, tag, allocation.bytes()))?;
        let address = allocation.address() + start as u64;
        if stream.device.driver == Driver::Emulator {
            let forgotten = emulator::forget(address, bytes, stream.raw());
            forgotten.map_err(Error::argument)?;
        }
        Ok((Block { address, bytes }, start))
    }

    pub(crate) fn give(&self, start: usize, bytes: usize) {
        lock(&self.line).give(start, bytes);
    }
}

/// An address with room for a buffer. Blocks at least double, so that all together take less than
/// four times the largest buffer.
fn scratch(
    stream: &Arc<StreamInner>,
    blocks: &Mutex<Vec<Buffer<u8>>>,
    bytes: usize,
) -> Result<u64> {
    let mut blocks = lock(blocks);
    if blocks.last().is_none_or(|block| block.len() < bytes) {
        let room = bytes.checked_next_power_of_two().unwrap_or(bytes);
        blocks.push(Buffer::of_pool(stream, room, "scratch of a measurement")?);
    }
    Ok(blocks.last().map_or(0, Buffer::address))
}

fn out_of_room(bytes: usize, tag: &str, room: usize) -> Error {
    Error::argument(format!("region: no room for {bytes} bytes of `{tag}` in {room}"))
}

impl Stream {
    /// Lets all buffers that this stream allocates during `work` lie in a region.
    pub fn within<R>(&self, region: &Region, work: impl FnOnce() -> R) -> R {
        /// Puts the earlier region back, whatever becomes of the work.
        struct Restore<'s>(&'s StreamInner, Option<Region>);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                *lock(&self.0.region) = self.1.take();
            }
        }
        let earlier = lock(&self.0.region).replace(region.clone());
        let _restore = Restore(&self.0, earlier);
        work()
    }

    /// The bytes of a region that `work` would need. It is noted as a graph would be, and nothing of
    /// it is done.
    pub fn measure<E: From<Error>>(
        &self,
        work: impl FnOnce(&Stream) -> Result<(), E>,
    ) -> Result<usize, E> {
        let region = Region::counting();
        self.within(&region, || self.note::<E>(work))?;
        Ok(region.most())
    }

    /// Notes work whose buffers lie in a region, which the graph keeps. None that it allocates may be
    /// left at the end: the next replay would change it.
    pub fn capture_in<E: From<Error>>(
        &self,
        region: &Region,
        work: impl FnOnce(&Stream) -> Result<(), E>,
    ) -> Result<Graph, E> {
        let before = region.taken();
        let noted = self.within(region, || self.note::<E>(work))?;
        let left = region.taken().saturating_sub(before);
        if left > 0 {
            let message = format!("capture: {left} buffers of the work outlive it");
            return Err(Error::argument(message).into());
        }
        if let Place::Within(allocation) = &region.0.place {
            return Ok(noted.instantiate(Some(Arc::clone(&allocation.memory) as _))?);
        }
        Ok(noted.instantiate(None)?)
    }
}

impl Memory {
    /// True where the memory lies in the region that a stream allocates from: its graph keeps all of
    /// that, and single buffers may go.
    pub(crate) fn is_of_region(&self, stream: &StreamInner) -> bool {
        match (self.region(), lock(&stream.region).as_ref()) {
            (Some(mine), Some(current)) => Arc::ptr_eq(mine, &current.0),
            _ => false,
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({} buffers, {} bytes)", self.taken(), self.most())
    }
}
