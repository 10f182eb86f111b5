//! Which tiles a CTA of the attention kernels visits, as `ptx/kernels/attention` reads it.

use super::AttentionMask;
use crate::Result;
use crate::accelerator::Accelerator;
use std::cmp::Reverse;
use std::ops::Range;
use vincie_gpu::Buffer;

/// Which side of the score matrix a CTA owns a tile of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Queries,
    Keys,
}

/// What tables depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) mask: AttentionMask,
    pub(crate) owner: Owner,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    /// Rows of a tile of the owner's side, and of one of the other side.
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

/// Tables of a launch on the accelerator.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    /// A tile of the owner with its first visit and their number, those with most to do first.
    pub(crate) tiles: Buffer<u32>,
    /// Tiles of the other side, in order.
    pub(crate) visits: Buffer<u32>,
    /// The two key ranges of each query.
    pub(crate) ranges: Buffer<u32>,
}

impl Key {
    pub(crate) fn tables(&self, place: &Accelerator) -> Result<Tables> {
        let mut lists: Vec<(usize, Vec<u32>)> =
            (0..self.own().div_ceil(self.rows)).map(|tile| (tile, self.visits(tile))).collect();
        lists.sort_by_key(|(_, list)| Reverse(list.len()));
        let (mut tiles, mut visits) = (Vec::new(), Vec::new());
        for (tile, list) in lists {
            tiles.extend([tile as u32, visits.len() as u32, list.len() as u32, 0]);
            visits.extend(list);
        }
        let mut ranges = vec![0u32; 4 * self.queries];
        for block in self.mask.blocks() {
            let (prefix, own) = (&block.prefix, &block.own);
            let ends = [prefix.start, prefix.end, own.start, own.end];
            for query in block.queries.clone() {
                ranges[4 * query as usize..][..4].copy_from_slice(&ends);
            }
        }
        let upload = |values: &[u32]| place.constant(values, "attention mask");
        Ok(Tables { tiles: upload(&tiles)?, visits: upload(&visits)?, ranges: upload(&ranges)? })
    }

    fn own(&self) -> usize {
        match self.owner {
            Owner::Queries => self.queries,
            Owner::Keys => self.keys,
        }
    }

    fn other(&self) -> usize {
        match self.owner {
            Owner::Queries => self.keys,
            Owner::Keys => self.queries,
        }
    }

    /// The tiles that one of the owner visits: 4 times their number, plus 1 where not all pairs see
    /// each other, plus 2 for the last.
    fn visits(&self, tile: usize) -> Vec<u32> {
        let own = tile * self.rows..self.own().min((tile + 1) * self.rows);
        let mut pairs = vec![0u64; self.other().div_ceil(self.cols)];
        for block in self.mask.blocks() {
            for keys in [&block.prefix, &block.own] {
                let (mine, others) = match self.owner {
                    Owner::Queries => (&block.queries, keys),
                    Owner::Keys => (keys, &block.queries),
                };
                let height = overlap(mine, &own);
                if height == 0 || others.is_empty() {
                    continue;
                }
                let first = others.start as usize / self.cols;
                let last = (others.end as usize).div_ceil(self.cols);
                for (visit, pairs) in pairs.iter_mut().enumerate().take(last).skip(first) {
                    let span = visit * self.cols..(visit + 1) * self.cols;
                    *pairs += height * overlap(others, &span);
                }
            }
        }
        let whole = (self.rows * self.cols) as u64;
        let seen = pairs.iter().enumerate().filter(|(_, pairs)| **pairs > 0);
        let mut list: Vec<u32> =
            seen.map(|(visit, &pairs)| 4 * visit as u32 + u32::from(pairs < whole)).collect();
        if let Some(last) = list.last_mut() {
            *last += 2;
        }
        list
    }
}

fn overlap(a: &Range<u32>, b: &Range<usize>) -> u64 {
    let (start, end) = ((a.start as usize).max(b.start), (a.end as usize).min(b.end));
    end.saturating_sub(start) as u64
}
