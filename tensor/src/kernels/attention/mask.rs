//! Which keys a query sees: for each block of queries a prefix of the keys and a range of its own.

use std::ops::Range;

/// Queries that see the same keys: `prefix` and `own`, two ranges that do not overlap, either of
/// which may be empty. A block without keys has zero output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryBlock {
    /// Query tokens of the block.
    pub queries: Range<u32>,
    /// First range of key tokens, as (start, end).
    pub prefix: (u32, u32),
    /// Second range of key tokens, as (start, end).
    pub own: (u32, u32),
}

/// Why a list of blocks is not a mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// Blocks must follow each other without gap or overlap.
    #[error("attention mask: block {block} starts at query {start}; it must start at {expected}")]
    Start {
        /// Index of the block.
        block: usize,
        /// Where it starts.
        start: u32,
        /// Where the block before it ends.
        expected: u32,
    },
    /// The blocks together must hold every query.
    #[error("attention mask: blocks end at query {end}; there are {queries} queries")]
    End {
        /// Where the last block ends.
        end: u32,
        /// Number of queries.
        queries: usize,
    },
    /// A range must run forwards and inside the keys.
    #[error("attention mask: block {block} sees keys {start}..{end}; it must lie within 0..{keys}")]
    Range {
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
        prefix: (u32, u32),
        /// Its second range.
        own: (u32, u32),
    },
}

impl QueryBlock {
    /// All of `queries` queries see all of `keys` keys.
    pub fn full(queries: usize, keys: usize) -> Self {
        Self { queries: 0..queries as u32, prefix: (0, keys as u32), own: (0, 0) }
    }

    /// Number of keys that a query of the block sees.
    pub fn visible(&self) -> usize {
        self.ranges().iter().map(|range| range.len()).sum()
    }

    /// The key ranges, the lower one first.
    pub(super) fn ranges(&self) -> [Range<usize>; 2] {
        let range = |(start, end): (u32, u32)| start as usize..end as usize;
        let (prefix, own) = (range(self.prefix), range(self.own));
        if own.start < prefix.start { [own, prefix] } else { [prefix, own] }
    }

    /// The query range.
    pub(super) fn rows(&self) -> Range<usize> {
        self.queries.start as usize..self.queries.end as usize
    }
}

/// Checks that the blocks hold every query once, in order, and see existing keys at most once.
pub fn check_blocks(blocks: &[QueryBlock], queries: usize, keys: usize) -> Result<(), MaskError> {
    let mut expected = 0;
    for (block, QueryBlock { queries: rows, prefix, own }) in blocks.iter().enumerate() {
        if rows.start != expected || rows.end < rows.start {
            return Err(MaskError::Start { block, start: rows.start, expected });
        }
        for &(start, end) in [prefix, own] {
            if start > end || end as usize > keys {
                return Err(MaskError::Range { block, start, end, keys });
            }
        }
        let is_empty = |(start, end): (u32, u32)| start == end;
        let are_apart = prefix.1 <= own.0 || own.1 <= prefix.0;
        if !is_empty(*prefix) && !is_empty(*own) && !are_apart {
            return Err(MaskError::Overlap { block, prefix: *prefix, own: *own });
        }
        expected = rows.end;
    }
    if expected as usize != queries {
        return Err(MaskError::End { end: expected, queries });
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

    fn block(queries: Range<u32>, prefix: (u32, u32), own: (u32, u32)) -> QueryBlock {
        QueryBlock { queries, prefix, own }
    }

    #[test]
    fn good_masks_pass() {
        assert_eq!(check_blocks(&[], 0, 5), Ok(()));
        assert_eq!(check_blocks(&[QueryBlock::full(3, 4)], 3, 4), Ok(()));
        let mask =
            [block(0..2, (0, 3), (5, 6)), block(2..2, (0, 0), (0, 0)), block(2..3, (4, 4), (1, 3))];
        assert_eq!(check_blocks(&mask, 3, 6), Ok(()));
        assert_eq!(visible_pairs(&mask), 2 * 4 + 2);
    }

    #[test]
    fn bad_masks_say_why() {
        let cases = [
            (vec![block(1..2, (0, 1), (0, 0))], "block 0 starts at query 1; it must start at 0"),
            (vec![block(0..1, (0, 1), (0, 0))], "blocks end at query 1; there are 2 queries"),
            (vec![block(0..2, (0, 9), (0, 0))], "block 0 sees keys 0..9; it must lie within 0..4"),
            (vec![block(0..2, (2, 1), (0, 0))], "block 0 sees keys 2..1; it must lie within 0..4"),
            (vec![block(0..2, (0, 3), (2, 4))], "(0, 3) and (2, 4); they must not overlap"),
        ];
        for (mask, message) in cases {
            let error = check_blocks(&mask, 2, 4).map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|text| text.contains(message)), "{error:?}");
        }
    }
}
