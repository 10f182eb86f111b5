//! A line of bytes that stretches are taken from and given back to: best fit, neighbours joined.

use std::collections::BTreeMap;

/// Stretches start at multiples of this, as the driver's allocations do.
pub(crate) const ALIGNMENT: usize = 256;

/// Free stretches below the end, and the end itself, behind which everything is free. What a series of
/// calls is given depends on the series alone.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Bytes of each free stretch below the end, by its start.
    free: BTreeMap<usize, usize>,
    end: usize,
    most: usize,
    taken: usize,
}

impl Line {
    /// The start of a stretch of so many bytes: in the smallest free one that has room, else at the
    /// end. `None` where that would pass `limit`, and nothing is taken then.
    pub(crate) fn take(&mut self, bytes: usize, limit: usize) -> Option<usize> {
        let bytes = bytes.checked_next_multiple_of(ALIGNMENT)?;
        let fits = self.free.iter().filter(|(_, have)| **have >= bytes);
        let best = fits.min_by_key(|(start, have)| (**have, **start));
        let start = match best.map(|(start, have)| (*start, *have)) {
            Some((start, have)) => {
                self.free.remove(&start);
                if have > bytes {
                    self.free.insert(start + bytes, have - bytes);
                }
                start
            }
            None => {
                let end = self.end.checked_add(bytes).filter(|end| *end <= limit)?;
                let start = std::mem::replace(&mut self.end, end);
                self.most = self.most.max(end);
                start
            }
        };
        self.taken += 1;
        Some(start)
    }

    /// Gives back a stretch that was taken with so many bytes.
    pub(crate) fn give(&mut self, mut start: usize, bytes: usize) {
        let mut end = start + bytes.next_multiple_of(ALIGNMENT);
        self.taken -= 1;
        if let Some(more) = self.free.remove(&end) {
            end += more;
        }
        if let Some((&before, &have)) = self.free.range(..start).next_back()
            && before + have == start
        {
            self.free.remove(&before);
            start = before;
        }
        if end == self.end {
            self.end = start;
        } else {
            self.free.insert(start, end - start);
        }
    }

    /// Stretches that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// The largest end that there ever was.
    pub(crate) fn most(&self) -> usize {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: usize = usize::MAX;

    #[test]
    fn the_smallest_gap_is_filled_and_neighbours_are_joined() {
        let mut line = Line::default();
        let starts = [1024, 256, 512, 256].map(|bytes| line.take(bytes, ANY).expect("no limit"));
        assert_eq!(starts, [0, 1024, 1280, 1792]);
        line.give(0, 1024);
        line.give(1280, 512);
        assert_eq!(line.take(300, ANY), Some(1280), "the gap of 512, not that of 1024");
        line.give(1280, 300);
        line.give(1024, 256);
        assert_eq!(line.take(1700, ANY), Some(0), "three gaps became one");
        line.give(0, 1700);
        line.give(1792, 256);
        assert_eq!((line.taken(), line.most(), line.end, line.free.len()), (0, 2048, 0, 0));
    }

    #[test]
    fn the_limit_holds_and_leaves_the_line_as_it_was() {
        let mut line = Line::default();
        assert_eq!(line.take(1, 512), Some(0));
        assert_eq!(line.take(512, 512), None);
        assert_eq!(line.take(usize::MAX, ANY), None);
        assert_eq!((line.take(256, 512), line.take(1, 512)), (Some(256), None));
        assert_eq!((line.taken(), line.most()), (2, 512));
    }

    #[test]
    fn stretches_never_overlap() {
        let mut line = Line::default();
        let mut live: Vec<(usize, usize)> = Vec::new();
        let mut random = 7u64;
        for _ in 0..5000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let draw = (random >> 33) as usize;
            if live.len() > 20 || (draw.is_multiple_of(3) && !live.is_empty()) {
                let (start, bytes) = live.swap_remove(draw / 3 % live.len());
                line.give(start, bytes);
                continue;
            }
            let bytes = draw % 5000 + 1;
            let start = line.take(bytes, ANY).expect("no limit");
            let is_apart =
                |&(other, size): &(usize, usize)| start + bytes <= other || other + size <= start;
            assert!(start.is_multiple_of(ALIGNMENT) && live.iter().all(is_apart));
            live.push((start, bytes));
        }
        let sum: usize = live.iter().map(|(_, bytes)| bytes).sum();
        assert!(line.most() >= sum && line.taken() == live.len());
    }
}
