//! Which keys each query sees.

use crate::{Error, Result};

pub use crate::kernels::attention::QueryBlock;

/// The whole mask: one pair of key ranges per query block. Full attention, ragged batches,
/// block-causal order with clean and noisy copies, and queries over cached keys are all of this form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionMask {
    blocks: Vec<QueryBlock>,
}

impl AttentionMask {
    /// A mask from blocks in ascending, disjoint order of their queries. Queries in no block see
    /// nothing. `Err` when blocks overlap or a block's key ranges do.
    pub fn new(blocks: Vec<QueryBlock>) -> Result<Self> {
        let mut end = 0;
        for block in &blocks {
            let ordered = block.queries.start >= end
                && block.queries.start <= block.queries.end
                && block.prefix.start <= block.prefix.end
                && block.own.start <= block.own.end;
            let empty = block.prefix.is_empty() || block.own.is_empty();
            let apart = block.prefix.end <= block.own.start || block.own.end <= block.prefix.start;
            if !ordered || !(empty || apart) {
                let what = format!(
                    "mask block {block:?} after query {end}: ranges must ascend and not overlap"
                );
                return Err(Error::shape("attention", what));
            }
            end = block.queries.end;
        }
        Ok(Self { blocks })
    }

    /// Every one of `queries` queries sees every one of `keys` keys.
    pub fn full(queries: usize, keys: usize) -> Self {
        let blocks =
            vec![QueryBlock { queries: 0..queries as u32, prefix: 0..keys as u32, own: 0..0 }];
        Self { blocks }
    }

    /// Blocks of the given lengths, each of which sees itself and all blocks before it.
    pub fn block_causal(lengths: &[usize]) -> Self {
        let mut start = 0;
        let blocks = lengths
            .iter()
            .map(|&length| {
                let end = start + length as u32;
                let block = QueryBlock { queries: start..end, prefix: 0..end, own: 0..0 };
                start = end;
                block
            })
            .collect();
        Self { blocks }
    }

    /// The blocks in order of their queries.
    pub fn blocks(&self) -> &[QueryBlock] {
        &self.blocks
    }

    /// Number of query-key pairs that are computed.
    pub fn visible_pairs(&self) -> u64 {
        let pairs = |b: &QueryBlock| b.queries.len() as u64 * (b.prefix.len() + b.own.len()) as u64;
        self.blocks.iter().map(pairs).sum()
    }

    /// `Err` when the mask names queries or keys that do not exist.
    pub(crate) fn check(&self, queries: usize, keys: usize) -> Result<()> {
        let fits = |b: &QueryBlock| {
            b.queries.end as usize <= queries
                && (b.prefix.is_empty() || b.prefix.end as usize <= keys)
                && (b.own.is_empty() || b.own.end as usize <= keys)
        };
        match self.blocks.iter().find(|block| !fits(block)) {
            Some(block) => Err(Error::shape(
                "attention",
                format!("mask block {block:?} with {queries} queries and {keys} keys"),
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_pairs_and_refuses_overlaps() {
        assert_eq!(AttentionMask::full(3, 5).visible_pairs(), 15);
        assert_eq!(AttentionMask::block_causal(&[2, 3]).visible_pairs(), 4 + 15);
        let block = |queries, prefix, own| QueryBlock { queries, prefix, own };
        assert!(AttentionMask::new(vec![block(0..2, 0..3, 2..4)]).is_err());
        assert!(
            AttentionMask::new(vec![block(0..2, 0..1, 0..0), block(1..3, 0..1, 0..0)]).is_err()
        );
        let mask = AttentionMask::new(vec![block(1..2, 0..1, 3..4)]).unwrap();
        assert!(mask.check(2, 4).is_ok() && mask.check(1, 4).is_err() && mask.check(2, 3).is_err());
    }
}
