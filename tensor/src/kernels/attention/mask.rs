//! Which keys a query sees: for each block of queries a prefix of the keys and a range of its own.

use std::ops::Range;

/// Queries that see the same keys: `prefix` and `own`, two ranges that do not overlap, either of
/// which may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryBlock {
    /// Query tokens of the block.
    pub queries: Range<u32>,
    /// Key tokens they see: what came before.
    pub prefix: Range<u32>,
    /// Further key tokens they see: usually their own block.
    pub own: Range<u32>,
}

/// Why a list of blocks is not a mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// Blocks must ascend.
    #[error(
        "attention mask: block {block} holds queries {start}..{end}; they must ascend from {from}"
    )]
    Order {
        /// Index of the block.
        block: usize,
        /// Where it starts.
        start: u32,
        /// Where it ends.
        end: u32,
        /// Where the block before it ends.
        from: u32,
    },
    /// Blocks must hold existing queries.
    #[error("attention mask: blocks end at query {end}; there are {queries} queries")]
    End {
        /// Where the last block ends.
        end: u32,
        /// Number of queries.
        queries: usize,
    },
    /// A range must run forwards and inside the keys.
    #[error("attention mask: block {block} sees keys {start}..{end}; it must lie within 0..{keys}")]
    Keys {
        /// Index of the block.
        block: usize,
        /// Start of the range.
        start: u32,
        /// End of the range.
        end: u32,
        /// Number of keys.
        keys: usize,
    },
    /// A key must not be seen twice.
    #[error(
        "attention mask: block {block} sees keys {prefix:?} and {own:?}; they must not overlap"
    )]
    Overlap {
        /// Index of the block.
        block: usize,
        /// Its first range.
        prefix: Range<u32>,
        /// Its second range.
        own: Range<u32>,
    },
}

impl QueryBlock {
    /// All of `queries` queries see all of `keys` keys.
    pub fn full(queries: usize, keys: usize) -> Self {
        Self { queries: 0..queries as u32, prefix: 0..keys as u32, own: 0..0 }
    }

    /// Number of keys that a query of the block sees.
    pub fn visible(&self) -> usize {
        self.prefix.len() + self.own.len()
    }

    /// The key ranges, the lower one first.
    pub(super) fn ranges(&self) -> [Range<usize>; 2] {
        let (prefix, own) = (widen(&self.prefix), widen(&self.own));
        if own.start < prefix.start { [own, prefix] } else { [prefix, own] }
    }

    /// The query range.
    pub(super) fn rows(&self) -> Range<usize> {
        widen(&self.queries)
    }
}

fn widen(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// Checks that the blocks name existing queries at most once, in ascending order, and see existing
/// keys at most once. Queries of no block see nothing.
pub fn check_blocks(blocks: &[QueryBlock], queries: usize, keys: usize) -> Result<(), MaskError> {
    let mut from = 0;
    for (block, QueryBlock { queries: rows, prefix, own }) in blocks.iter().enumerate() {
        if rows.start < from || rows.end < rows.start {
            return Err(MaskError::Order { block, start: rows.start, end: rows.end, from });
        }
        for range in [prefix, own] {
            let &Range { start, end } = range;
            if start > end || start < end && end as usize > keys {
                return Err(MaskError::Keys { block, start, end, keys });
            }
        }
        let are_apart = prefix.end <= own.start || own.end <= prefix.start;
        if !prefix.is_empty() && !own.is_empty() && !are_apart {
            let (prefix, own) = (prefix.clone(), own.clone());
            return Err(MaskError::Overlap { block, prefix, own });
        }
        from = rows.end;
    }
    if from as usize > queries {
        return Err(MaskError::End { end: from, queries });
    }
    Ok(())
}

/// Number of (query, key) pairs that the blocks let through: what the cost of a call is counted by.
pub fn visible_pairs(blocks: &[QueryBlock]) -> usize {
    blocks.iter().map(|block| block.rows().len() * block.visible()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(queries: Range<u32>, prefix: Range<u32>, own: Range<u32>) -> QueryBlock {
        QueryBlock { queries, prefix, own }
    }

    #[test]
    fn good_masks_pass() {
        assert_eq!(check_blocks(&[], 0, 5), Ok(()));
        assert_eq!(check_blocks(&[], 3, 5), Ok(()));
        assert_eq!(check_blocks(&[QueryBlock::full(3, 4)], 3, 4), Ok(()));
        let mask = [block(0..2, 0..3, 5..6), block(2..2, 9..9, 0..0), block(3..4, 4..4, 1..3)];
        assert_eq!(check_blocks(&mask, 5, 6), Ok(()));
        assert_eq!(visible_pairs(&mask), 2 * 4 + 2);
    }

    #[test]
    fn bad_masks_say_why() {
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        let cases = [
            (vec![block(1..2, 0..1, 0..0), block(1..2, 0..1, 0..0)], "they must ascend from 2"),
            (vec![block(1..0, 0..1, 0..0)], "block 0 holds queries 1..0"),
            (vec![block(0..3, 0..1, 0..0)], "blocks end at query 3; there are 2 queries"),
            (vec![block(0..2, 0..9, 0..0)], "block 0 sees keys 0..9; it must lie within 0..4"),
            (vec![block(0..2, 2..1, 0..0)], "block 0 sees keys 2..1; it must lie within 0..4"),
            (vec![block(0..2, 0..3, 2..4)], "0..3 and 2..4; they must not overlap"),
        ];
        for (mask, message) in cases {
            let error = check_blocks(&mask, 2, 4).map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|text| text.contains(message)), "{error:?}");
        }
    }
}
