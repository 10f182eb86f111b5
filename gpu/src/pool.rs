//! The pool of a device: blocks that buffers gave back are kept and handed out again in the order
//! of their stream, so that neither the driver nor the host waits.

use crate::device::Inner;
use crate::error::{Error, ErrorKind, Result, check};
use crate::stream::StreamInner;
use std::collections::BTreeMap;
use std::fmt::Write;
use vincie_driver::{Driver, Out, call, emulator};

/// Sizes of blocks are multiples of this.
const SMALL: usize = 512;
/// Sizes of blocks above [`LARGE_FROM`] are multiples of this.
const LARGE: usize = 64 << 10;
/// See [`LARGE`].
const LARGE_FROM: usize = 1 << 20;
/// A kept block serves requests of at least its size divided by this.
const MAX_WASTE: usize = 2;
/// Key of blocks that any stream may take.
const ANY_STREAM: usize = 0;
/// Holders that an out-of-memory message lists.
const MAX_HOLDERS: usize = 8;

/// A piece of device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) address: u64,
    pub(crate) bytes: usize,
}

/// Who holds memory of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The tag that buffers were allocated under.
    pub tag: String,
    /// Bytes of their blocks.
    pub bytes: usize,
    /// How many there are.
    pub buffers: usize,
}

/// What a pool holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolStatistics {
    /// Bytes of blocks that buffers hold.
    pub used: usize,
    /// The most there ever were.
    pub peak: usize,
    /// Bytes of blocks that are kept for reuse.
    pub kept: usize,
    /// The limit of both together.
    pub limit: usize,
    /// Requests served.
    pub requests: u64,
    /// Those of them that a kept block served.
    pub reused: u64,
    /// Holders, largest first.
    pub holders: Vec<Holder>,
}

/// The pool.
pub(crate) struct Pool {
    pub(crate) limit: usize,
    /// Emulated blocks have the size asked for, so that the machine sees every byte beyond it.
    is_exact: bool,
    kept: BTreeMap<usize, BTreeMap<usize, Vec<u64>>>,
    kept_bytes: usize,
    tags: BTreeMap<String, (usize, usize)>,
    used: usize,
    peak: usize,
    requests: u64,
    reused: u64,
}

impl Pool {
    pub(crate) fn new(driver: Driver, limit: usize) -> Self {
        Pool {
            limit,
            is_exact: driver == Driver::Emulator,
            kept: BTreeMap::new(),
            kept_bytes: 0,
            tags: BTreeMap::new(),
            used: 0,
            peak: 0,
            requests: 0,
            reused: 0,
        }
    }

    fn block_bytes(&self, bytes: usize) -> usize {
        if self.is_exact {
            bytes
        } else if bytes > LARGE_FROM {
            bytes.next_multiple_of(LARGE)
        } else {
            bytes.next_multiple_of(SMALL)
        }
    }

    /// A block for a stream. Its contents are those of its last use, in stream order.
    pub(crate) fn take(&mut self, stream: &StreamInner, bytes: usize, tag: &str) -> Result<Block> {
        let device = &stream.device;
        let wanted = self.block_bytes(bytes);
        self.requests += 1;
        let block = match self.reuse(stream.key(), wanted) {
            Some(block) => {
                self.reused += 1;
                if self.is_exact {
                    let forgotten = emulator::forget(block.address, block.bytes, stream.raw());
                    forgotten.map_err(|text| Error::new(ErrorKind::Driver, text))?;
                }
                block
            }
            None => self.allocate(device, wanted, tag)?,
        };
        if self.is_exact {
            emulator::name(block.address, tag);
        }
        self.used += block.bytes;
        self.peak = self.peak.max(self.used);
        let entry = self.tags.entry(tag.to_owned()).or_default();
        *entry = (entry.0 + block.bytes, entry.1 + 1);
        Ok(block)
    }

    fn reuse(&mut self, stream: usize, wanted: usize) -> Option<Block> {
        let most = if self.is_exact { wanted } else { wanted.saturating_mul(MAX_WASTE) };
        for key in [stream, ANY_STREAM] {
            let Some(sizes) = self.kept.get_mut(&key) else { continue };
            let Some((bytes, list)) = sizes.range_mut(wanted..=most).next() else { continue };
            let bytes = *bytes;
            let address = list.pop()?;
            if list.is_empty() {
                sizes.remove(&bytes);
            }
            self.kept_bytes -= bytes;
            return Some(Block { address, bytes });
        }
        None
    }

    fn allocate(&mut self, device: &Inner, bytes: usize, tag: &str) -> Result<Block> {
        let fits = |pool: &Pool| bytes <= pool.limit.saturating_sub(pool.used + pool.kept_bytes);
        if !fits(self) && self.kept_bytes > 0 {
            self.trim(device)?;
        }
        if !fits(self) {
            return Err(self.out_of_memory(bytes, tag));
        }
        match allocate(bytes) {
            Err(error) if error.kind == ErrorKind::OutOfMemory => {
                self.trim(device)?;
                let again = allocate(bytes);
                again.map_err(|error| match error.kind {
                    ErrorKind::OutOfMemory => self.out_of_memory(bytes, tag),
                    _ => error,
                })
            }
            result => result.map_err(|error| device.explain(error)),
        }
    }

    fn out_of_memory(&self, bytes: usize, tag: &str) -> Error {
        let PoolStatistics { used, limit, holders, .. } = self.statistics();
        let mut message =
            format!("out of memory: {bytes} bytes for `{tag}`; {used} of {limit} are in use by");
        for Holder { tag, bytes, buffers } in holders.iter().take(MAX_HOLDERS) {
            let _ = write!(message, " `{tag}` {bytes} in {buffers},");
        }
        match holders.len().saturating_sub(MAX_HOLDERS) {
            0 if holders.is_empty() => message.push_str(" nobody here"),
            0 => drop(message.pop()),
            more => {
                let _ = write!(message, " and {more} more");
            }
        }
        Error::new(ErrorKind::OutOfMemory, message)
    }

    /// Takes a block back, for what its home stream does from now on.
    pub(crate) fn give(&mut self, home: usize, block: Block, tag: &str) {
        self.used -= block.bytes;
        if let Some(entry) = self.tags.get_mut(tag) {
            *entry = (entry.0 - block.bytes, entry.1 - 1);
            if entry.1 == 0 {
                self.tags.remove(tag);
            }
        }
        self.kept_bytes += block.bytes;
        let sizes = self.kept.entry(home).or_default();
        sizes.entry(block.bytes).or_default().push(block.address);
    }

    /// Lets any stream take the blocks of one that has ended, with all its work done.
    pub(crate) fn orphan(&mut self, stream: usize) {
        for (bytes, mut list) in self.kept.remove(&stream).unwrap_or_default() {
            let sizes = self.kept.entry(ANY_STREAM).or_default();
            sizes.entry(bytes).or_default().append(&mut list);
        }
    }

    /// Gives all kept blocks back to the driver, which waits for the device.
    pub(crate) fn trim(&mut self, device: &Inner) -> Result<()> {
        for (_, sizes) in std::mem::take(&mut self.kept) {
            for (bytes, list) in sizes {
                for address in list {
                    self.kept_bytes -= bytes;
                    // SAFETY: the block was allocated by `allocate` and no buffer has it.
                    let code = unsafe { call::cuMemFree_v2(address) };
                    device.check("cuMemFree", code)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn statistics(&self) -> PoolStatistics {
        let mut holders: Vec<Holder> = self
            .tags
            .iter()
            .map(|(tag, (bytes, buffers))| Holder {
                tag: tag.clone(),
                bytes: *bytes,
                buffers: *buffers,
            })
            .collect();
        holders.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.tag.cmp(&b.tag)));
        PoolStatistics {
            used: self.used,
            peak: self.peak,
            kept: self.kept_bytes,
            limit: self.limit,
            requests: self.requests,
            reused: self.reused,
            holders,
        }
    }
}

fn allocate(bytes: usize) -> Result<Block> {
    let mut address = 0;
    // SAFETY: the result has room.
    check("cuMemAlloc", unsafe { call::cuMemAlloc_v2(Out::to(&mut address), bytes) })?;
    Ok(Block { address, bytes })
}
