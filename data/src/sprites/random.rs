//! A stream of random numbers for one episode: the outputs of SplitMix64 that seed, purpose and
//! number pick.

use crate::loader::random::output;

/// What episodes are made for; no two purposes share any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To train on.
    Train,
    /// To evaluate on while training.
    HeldOut,
    /// The benchmark.
    Benchmark,
}

/// The stream, and how far it has been read.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    key: u64,
    next: u64,
}

impl Draws {
    pub(super) fn new(seed: u64, purpose: Purpose, number: u64) -> Self {
        // The name of the world keeps its numbers apart from other users of the generator.
        let world = u64::from_be_bytes(*b"sprites\0");
        let key = output(output(output(seed, world), purpose as u64), number);
        Self { key, next: 0 }
    }

    /// A number below `bound`, which is above 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let word = output(self.key, self.next);
        self.next += 1;
        ((u128::from(word) * bound as u128) >> 64) as usize
    }

    /// One of the items, which are not empty.
    pub(super) fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A number from -1 to 1.
    pub(super) fn around_zero(&mut self) -> f32 {
        const STEPS: usize = 1 << 20;
        self.below(2 * STEPS + 1) as f32 / STEPS as f32 - 1.0
    }

    /// Whether something happens that happens `count` times in `of`.
    pub(super) fn happens(&mut self, count: usize, of: usize) -> bool {
        self.below(of) < count
    }

    /// The place of one of the weights, each as likely as it is large; at least one is above 0.
    pub(super) fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u32 = weights.iter().sum();
        let mut rest = self.below(total as usize) as u32;
        for (i, &weight) in weights.iter().enumerate() {
            if rest < weight {
                return i;
            }
            rest -= weight;
        }
        unreachable!("a number below the sum lies within one of the weights")
    }
}
