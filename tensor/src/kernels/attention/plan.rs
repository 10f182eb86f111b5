//! How a call is cut into tasks, a function of its shape and mask alone.

use super::{QueryBlock, Shape};
use crate::kernels::product::{COLUMN_STEP, ROW_STEP};
use std::ops::Range;

/// Queries of a group of the backward pass.
pub(super) const GROUP: usize = 128;

/// Keys of a tile of the backward pass.
pub(super) const TILE: usize = 128;

/// Tasks that heads and chunks together should make: enough to keep a large machine busy.
const TASKS: usize = 32;

/// Fewest keys of a chunk where there are several.
const CHUNK: usize = 256;

/// Most chunks: each may hold a share of every query's gradient.
const CHUNKS: usize = 8;

/// Queries of one block that are computed together.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) queries: Range<usize>,
    /// Key ranges of the block, the lower one first.
    pub(super) keys: [Range<usize>; 2],
}

/// Cuts every block into groups of at most `limit` queries, of equal size where they can be. Queries
/// between blocks are groups that see nothing.
pub(super) fn groups(blocks: &[QueryBlock], queries: usize, limit: usize) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut cut = |rows: Range<usize>, keys: [Range<usize>; 2]| {
        let count = rows.len().div_ceil(limit).max(1);
        let size = rows.len().div_ceil(count).next_multiple_of(16).max(16);
        for start in rows.clone().step_by(size) {
            let queries = start..(start + size).min(rows.end);
            groups.push(Group { queries, keys: keys.clone() });
        }
    };
    let mut end = 0;
    for block in blocks {
        let rows = block.rows();
        cut(end..rows.start, [0..0, 0..0]);
        end = rows.end;
        cut(rows, block.ranges());
    }
    cut(end..queries, [0..0, 0..0]);
    groups
}

/// The cuts of a backward pass.
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) groups: Vec<Group>,
    /// Chunks of keys, of `chunk` keys each but the last.
    pub(super) chunks: usize,
    pub(super) chunk: usize,
    /// Where the share of (chunk, group) starts among those of a head; none where the group sees
    /// nothing of the chunk.
    shares: Vec<Option<usize>>,
    /// Floats that the shares of one head take.
    share_len: usize,
}

impl Plan {
    pub(super) fn new(shape: &Shape, blocks: &[QueryBlock]) -> Self {
        let groups = groups(blocks, shape.queries, GROUP);
        let wanted = TASKS.div_ceil(shape.heads.max(1)).min(CHUNKS).min(shape.keys / CHUNK).max(1);
        let chunk = shape.keys.div_ceil(wanted).next_multiple_of(TILE);
        let chunks = shape.keys.div_ceil(chunk.max(1));
        let mut share_len = 0;
        let mut shares = Vec::with_capacity(chunks * groups.len());
        for index in 0..chunks {
            for group in &groups {
                let keys = index * chunk..(index + 1) * chunk;
                shares.push(group.span(keys).map(|_| {
                    let start = share_len;
                    share_len += group.queries.len().next_multiple_of(ROW_STEP) * width(shape);
                    start
                }));
            }
        }
        Self { shape: *shape, groups, chunks, chunk, shares, share_len }
    }

    pub(super) fn workspace(&self) -> usize {
        self.shape.heads * (self.shape.queries + self.share_len)
    }

    /// Where in the workspace a share starts.
    pub(super) fn share(&self, head: usize, chunk: usize, group: usize) -> Option<usize> {
        let start = self.shares[chunk * self.groups.len() + group]?;
        Some(head * self.share_len + start)
    }
}

/// Floats of a row of a share.
pub(super) fn width(shape: &Shape) -> usize {
    shape.head_dim.next_multiple_of(COLUMN_STEP)
}

impl Group {
    /// The visible keys within `keys`, as the two ranges cut to it.
    pub(super) fn visible(&self, keys: &Range<usize>) -> [Range<usize>; 2] {
        self.keys.clone().map(|range| {
            let start = range.start.clamp(keys.start, keys.end);
            start..range.end.clamp(start, keys.end)
        })
    }

    /// First to last visible key within `keys`, if there is any.
    pub(super) fn span(&self, keys: Range<usize>) -> Option<Range<usize>> {
        let [first, second] = self.visible(&keys);
        match (first.is_empty(), second.is_empty()) {
            (true, true) => None,
            (false, true) => Some(first),
            (true, false) => Some(second),
            (false, false) => Some(first.start..second.end),
        }
    }
}
