//! Counter-based random numbers: a pure function of seed, stream, pass and index, with no state to
//! save. Each word picks an output of the SplitMix64 generator (Steele, Lea and Flood, "Fast
//! splittable pseudorandom number generators", OOPSLA 2014) that the words before it seed.

/// Increment of SplitMix64: 2^64 over the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What numbers are drawn for, so that no two uses share any.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// Order of a data set's shards in a pass.
    Shards,
    /// Slot of the shuffle buffer that is emptied next.
    Buffer,
    /// Order of data sets in a block of the mixture.
    Mixture,
    /// Session that takes the place of a bad one.
    Substitute,
}

/// Random numbers of one stream of one data set in one pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random {
    key: u64,
}

impl Random {
    /// `pass` is the number of the pass, or of whatever else the stream counts.
    pub(super) fn new(seed: u64, stream: Stream, dataset: usize, pass: u64) -> Self {
        let stream = (stream as u64) << 32 | dataset as u64;
        Self { key: output(output(output(seed, 0), stream), pass) }
    }

    /// Number `index`, below `bound`. The share of any value is off by at most `bound` / 2^64.
    pub(super) fn below(&self, index: u64, bound: u64) -> u64 {
        assert!(bound > 0, "a number below 0 was asked for");
        ((u128::from(output(self.key, index)) * u128::from(bound)) >> 64) as u64
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub(super) fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64, last as u64 + 1) as usize);
        }
    }
}

/// Output `index` of the SplitMix64 generator with this seed.
pub(crate) fn output(seed: u64, index: u64) -> u64 {
    let z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The first outputs of the published generator for seed 1234567.
    #[test]
    fn outputs_are_those_of_splitmix64() {
        let first: Vec<u64> = (0..3).map(|index| output(1_234_567, index)).collect();
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn every_key_word_matters() {
        let draw = |seed, stream, dataset, pass, index| {
            Random::new(seed, stream, dataset, pass).below(index, u64::MAX)
        };
        let mut seen = BTreeSet::new();
        let mut count = 0;
        for seed in [0, 1, u64::MAX] {
            for stream in [Stream::Shards, Stream::Buffer, Stream::Mixture, Stream::Substitute] {
                for dataset in 0..3 {
                    for pass in 0..3 {
                        for index in 0..3 {
                            seen.insert(draw(seed, stream, dataset, pass, index));
                            count += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn draws_are_even() {
        let random = Random::new(7, Stream::Buffer, 0, 0);
        let mut counts = [0u32; 10];
        for index in 0..100_000 {
            counts[random.below(index, 10) as usize] += 1;
        }
        // The standard deviation of a count is 95.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 500), "{counts:?}");
    }

    #[test]
    fn shuffles_keep_all_items_and_reach_all_orders() {
        let mut orders = BTreeSet::new();
        for pass in 0..200 {
            let mut items = [0, 1, 2, 3];
            Random::new(1, Stream::Shards, 0, pass).shuffle(&mut items);
            orders.insert(items);
            items.sort();
            assert_eq!(items, [0, 1, 2, 3]);
        }
        assert_eq!(orders.len(), 24);
        Random::new(1, Stream::Shards, 0, 0).shuffle(&mut [0u8; 0]);
    }
}
