//! The recycling host pool: blocks come back when the last tensor over them goes, are kept by size
//! class and handed out again, so that a training step after the first asks the system for nothing.
//!
//! Invariant: a block is owned by exactly one buffer or by the pool, so recycling needs no unsafe
//! code and stale contents are the worst a fresh buffer can show.

use crate::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a line: the unit of allocation and the alignment of every buffer.
pub const LINE: usize = 64;

/// One aligned line of memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; LINE]);

// SAFETY: `Line` is a plain byte array without padding; every bit pattern is a value.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above; it is `Copy`, `repr(C)` and has no padding because its size is its alignment.
unsafe impl bytemuck::Pod for Line {}

/// Four classes an octave keep waste below a quarter.
const STEPS: usize = 4;
const CLASSES: usize = STEPS * 40;

/// What the pool holds and how often it helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes in buffers that are in use.
    pub live: usize,
    /// Largest `live` since the last reset.
    pub peak: usize,
    /// Bytes kept for reuse.
    pub cached: usize,
    /// Allocations served from the cache.
    pub hits: usize,
    /// Allocations that went to the system.
    pub misses: usize,
    /// Most bytes `live + cached` may reach; `usize::MAX` when there is no limit.
    pub limit: usize,
}

/// Blocks of one size that nobody uses, and the takes that found one.
struct Shelf {
    blocks: Vec<Vec<Line>>,
    hits: usize,
}

/// What a take and a give count apart from the shelf's own lock is one number: tiny ops feel more.
struct Pool {
    shelves: [Mutex<Shelf>; CLASSES],
    live: AtomicUsize,
    peak: AtomicUsize,
    misses: AtomicUsize,
    limit: AtomicUsize,
}

static POOL: Pool = Pool {
    shelves: [const { Mutex::new(Shelf { blocks: Vec::new(), hits: 0 }) }; CLASSES],
    live: AtomicUsize::new(0),
    peak: AtomicUsize::new(0),
    misses: AtomicUsize::new(0),
    limit: AtomicUsize::new(usize::MAX),
};

/// Size class that holds `lines` lines, and its capacity in lines.
fn class(lines: usize) -> (usize, usize) {
    let lines = lines.max(1);
    if lines <= STEPS {
        return (lines - 1, lines);
    }
    let octave = (lines - 1).ilog2() as usize;
    let step = (1usize << octave) / STEPS;
    let above = (lines - (1 << octave)).div_ceil(step);
    ((octave - 1) * STEPS + above - 1, (1 << octave) + above * step)
}

impl Pool {
    fn shelf(&self, class: usize) -> MutexGuard<'_, Shelf> {
        self.shelves[class].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn take(&mut self) -> Option<Vec<Line>> {
        let block = self.blocks.pop()?;
        self.hits += 1;
        Some(block)
    }

    fn bytes(&self) -> usize {
        self.blocks.first().map_or(0, |block| self.blocks.len() * block.len() * LINE)
    }
}

/// Takes a block of at least `bytes` bytes. Its contents are whatever its last user left.
pub(crate) fn take(bytes: usize) -> Result<Vec<Line>> {
    let (class, lines) = class(bytes.div_ceil(LINE));
    let size = lines * LINE;
    let block = POOL.shelf(class).take();
    let block = match block {
        Some(block) => block,
        None => {
            make_room(size)?;
            POOL.misses.fetch_add(1, Relaxed);
            vec![bytemuck::Zeroable::zeroed(); lines]
        }
    };
    let live = POOL.live.fetch_add(size, Relaxed) + size;
    if live > POOL.peak.load(Relaxed) {
        POOL.peak.fetch_max(live, Relaxed);
    }
    Ok(block)
}

/// Gives a block back.
pub(crate) fn give(block: Vec<Line>) {
    let size = block.len() * LINE;
    POOL.live.fetch_sub(size, Relaxed);
    let (class, _) = class(block.len());
    POOL.shelf(class).blocks.push(block);
}

/// Frees cached blocks where the limit asks for it.
fn make_room(size: usize) -> Result<()> {
    let limit = POOL.limit.load(Relaxed);
    if limit == usize::MAX {
        return Ok(());
    }
    let fits = || {
        let Statistics { live, cached, .. } = statistics();
        live.saturating_add(cached).saturating_add(size) <= limit
    };
    if !fits() {
        trim();
    }
    if fits() {
        return Ok(());
    }
    let Statistics { live, cached, .. } = statistics();
    Err(Error::OutOfMemory { requested: size, live, cached, limit })
}

/// Returns every cached block to the system.
pub fn trim() {
    for class in 0..CLASSES {
        POOL.shelf(class).blocks = Vec::new();
    }
}

/// Sets the most bytes the pool may hold, live and cached together.
pub fn set_limit(bytes: usize) {
    POOL.limit.store(bytes, Relaxed);
}

/// Starts a new peak measurement from what is live now.
pub fn reset_peak() {
    POOL.peak.store(POOL.live.load(Relaxed), Relaxed);
}

/// The counters as they stand.
pub fn statistics() -> Statistics {
    let (mut cached, mut hits) = (0, 0);
    for class in 0..CLASSES {
        let shelf = POOL.shelf(class);
        cached += shelf.bytes();
        hits += shelf.hits;
    }
    Statistics {
        live: POOL.live.load(Relaxed),
        peak: POOL.peak.load(Relaxed),
        cached,
        hits,
        misses: POOL.misses.load(Relaxed),
        limit: POOL.limit.load(Relaxed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_dense_and_waste_less_than_a_quarter() {
        let mut last = 0;
        for lines in 1..5000 {
            let (index, capacity) = class(lines);
            assert!(capacity >= lines && capacity < lines + lines / 4 + 1, "{lines} -> {capacity}");
            assert!(index == last || index == last + 1, "{lines}: class {index} after {last}");
            assert_eq!(class(capacity), (index, capacity), "capacity {capacity} is its own class");
            last = index;
        }
        assert!(class(1 << 37).0 < CLASSES);
    }
}
