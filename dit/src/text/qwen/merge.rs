//! Byte pair merging.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Marks the place behind the last part.
const NONE: usize = usize::MAX;

/// Cuts `bytes` into tokens: starting from single bytes, of all neighbours whose union is a token the
/// pair of least rank is joined, the leftmost first, until there is none. `rank` is asked about
/// stretches of `bytes`; single bytes must have one.
pub(super) fn merge(bytes: &[u8], rank: impl Fn(&[u8]) -> Option<u32>) -> Vec<u32> {
    // Part i begins at byte i and ends where the next one begins.
    let end_of = |start: usize, next: &[usize]| next[start].min(bytes.len());
    let mut next: Vec<usize> = (1..=bytes.len()).collect();
    let mut previous: Vec<usize> = (0..bytes.len()).map(|i| i.wrapping_sub(1)).collect();
    let mut is_part = vec![true; bytes.len()];
    let mut queue = BinaryHeap::new();
    // What joining a part with the one behind it would make.
    let union = |start: usize, next: &[usize]| {
        let middle = end_of(start, next);
        if middle == bytes.len() {
            return None;
        }
        let end = end_of(middle, next);
        rank(&bytes[start..end]).map(|rank| Reverse((rank, start, end)))
    };
    queue.extend((0..bytes.len()).filter_map(|start| union(start, &next)));
    while let Some(Reverse((_, start, end))) = queue.pop() {
        // A union is out of date once one of its two parts has been joined with another.
        let middle = next[start];
        if !is_part[start] || middle >= bytes.len() || end_of(middle, &next) != end {
            continue;
        }
        is_part[middle] = false;
        next[start] = end;
        if end < bytes.len() {
            previous[end] = start;
        }
        queue.extend(union(start, &next));
        if previous[start] != NONE {
            queue.extend(union(previous[start], &next));
        }
    }
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let end = end_of(start, &next);
        tokens.extend(rank(&bytes[start..end]));
        start = end;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::merge;
    use proptest::prelude::*;

    /// The definition, word by word.
    fn plain(bytes: &[u8], rank: impl Fn(&[u8]) -> Option<u32>) -> Vec<u32> {
        let mut parts: Vec<Vec<u8>> = bytes.iter().map(|&byte| vec![byte]).collect();
        loop {
            let unions = parts.windows(2).enumerate();
            let best = unions.filter_map(|(i, pair)| Some((rank(&pair.concat())?, i))).min();
            let Some((_, i)) = best else {
                return parts.iter().filter_map(|part| rank(part)).collect();
            };
            let second = parts.remove(i + 1);
            parts[i].extend(second);
        }
    }

    proptest! {
        #[test]
        fn merges_as_defined(
            text in prop::collection::vec(0u8..3, 0..40),
            tokens in prop::collection::vec(prop::collection::vec(0u8..3, 2..5), 0..20),
        ) {
            let rank = |bytes: &[u8]| match bytes {
                [byte] => Some(u32::from(*byte)),
                _ => tokens.iter().position(|token| token == bytes).map(|at| 3 + at as u32),
            };
            prop_assert_eq!(merge(&text, rank), plain(&text, rank));
        }
    }
}
