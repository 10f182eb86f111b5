//! Splitting one data set into training and held-out sessions without a list.

use sha2::{Digest, Sha256};

/// Which sessions a loader sees. Two loaders that differ only in `part` see disjoint sets that
/// together are everything, and a session keeps its side when data is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldOut {
    /// One session of so many is held out, on average; at least 2.
    pub every: u64,
    /// What decides.
    pub by: HoldOutBy,
    /// The side to read.
    pub part: Part,
}

/// What decides on which side a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldOutBy {
    /// Its key. Sessions of one video may then stand on both sides.
    Key,
    /// The name of its source, so that all sessions of a video stand on one side. Needs shards
    /// with an index.
    Source,
}

/// A side of the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All sessions that are not held out.
    Train,
    /// The sessions that training never sees.
    HeldOut,
}

impl HoldOut {
    /// Whether the session with this key or source belongs to the part: the first eight bytes of
    /// the text's SHA-256, as a big-endian number, are a multiple of `every` for held-out ones.
    pub fn contains(&self, text: &str) -> bool {
        let digest = Sha256::digest(text.as_bytes());
        let number = digest[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        number.is_multiple_of(self.every) == (self.part == Part::HeldOut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_disjoint_and_of_the_asked_size() {
        let split = |part| HoldOut { every: 10, by: HoldOutBy::Key, part };
        let (train, held_out) = (split(Part::Train), split(Part::HeldOut));
        let keys: Vec<String> = (0..5000).map(|index| format!("clip-{index:05}")).collect();
        let held = keys.iter().filter(|key| held_out.contains(key)).count();
        assert!(keys.iter().all(|key| train.contains(key) != held_out.contains(key)));
        assert!((400..600).contains(&held), "{held} of 5000");
    }

    /// Literal values, because a change of the rule would move sessions into the training set.
    #[test]
    fn sides_never_change() {
        let split = HoldOut { every: 4, by: HoldOutBy::Key, part: Part::HeldOut };
        let held: Vec<u32> =
            (0..20).filter(|index| split.contains(&format!("session-{index}"))).collect();
        assert_eq!(held, [1, 7, 13, 15, 19]);
    }
}
