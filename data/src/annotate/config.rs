//! How sessions are annotated whatever the backend, and the counts of what was found.

use super::builtin::MOST_WORDS;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings of the annotation driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnnotateConfig {
    /// Seed of every choice, as between wordings of one fact.
    pub seed: u64,
    /// What becomes of a frame in which nothing has changed.
    pub unchanged: Unchanged,
    /// What becomes of a mask that is empty because a thing comes from nowhere or goes for good.
    pub empty_mask: EmptyMask,
    /// Masks that cover more than this share of the picture become the whole picture.
    pub global_share: f64,
    /// Masks that cover less than this share are taken for empty.
    pub least_share: f64,
    /// Instructions with more words are counted.
    pub instruction_words: usize,
    /// Masks of which less than this share differs between the frames are counted.
    pub least_overlap: f64,
    /// Pairs with a mean difference below this many grey levels are counted as too similar...
    pub similar: f32,
    /// ...and above this many, within one scene, as too different.
    pub dissimilar: f32,
}

/// What becomes of a frame in which nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unchanged {
    /// The frame is left out, and the next one is compared with the frame before it.
    Drop,
    /// The frame stays, with an instruction that says so and no masks.
    Keep,
}

/// What becomes of an empty mask when the one on the other side is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyMask {
    /// It takes the region of the other side: where something will appear is where the current
    /// frame is to be edited. The facts and the provenance say so.
    Borrow,
    /// It is left out.
    Omit,
}

impl Default for AnnotateConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            unchanged: Unchanged::Drop,
            empty_mask: EmptyMask::Borrow,
            global_share: 0.9,
            least_share: 0.0005,
            instruction_words: MOST_WORDS,
            least_overlap: 0.2,
            similar: 0.5,
            dissimilar: 60.0,
        }
    }
}

impl AnnotateConfig {
    /// `Err` with one line when a value is out of its range.
    pub fn check(&self) -> Result<()> {
        let shares = [
            ("global_share", self.global_share),
            ("least_share", self.least_share),
            ("least_overlap", self.least_overlap),
        ];
        for (name, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::Unsupported(format!(
                    "annotation: {name} of {value}; 0 to 1 are possible"
                )));
            }
        }
        for (name, value) in [("similar", self.similar), ("dissimilar", self.dissimilar)] {
            if !(0.0..=255.0).contains(&value) {
                return Err(Error::Unsupported(format!(
                    "annotation: {name} of {value} grey levels; 0 to 255 are possible"
                )));
            }
        }
        Ok(())
    }
}

/// What annotation found, summed over sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnnotateStatistics {
    /// Sessions annotated.
    pub sessions: usize,
    /// Sessions left with fewer than two frames.
    pub dropped_sessions: usize,
    /// Pairs described.
    pub pairs: usize,
    /// Frames left out because nothing had changed.
    pub dropped_frames: usize,
    /// Transitions kept.
    pub transitions: usize,
    /// Transitions by their most important event.
    pub events: BTreeMap<String, usize>,
    /// Transitions that change the whole picture.
    pub global: usize,
    /// Masks that mark parts.
    pub masks: usize,
    /// Masks that were empty and left out.
    pub masks_empty: usize,
    /// Masks that were empty and took the region of the other side.
    pub masks_borrowed: usize,
    /// Masks of parts that covered almost everything and became global.
    pub masks_global: usize,
    /// Masks that lie where the frames hardly differ.
    pub masks_off_difference: usize,
    /// Instructions above the length limit.
    pub instructions_long: usize,
    /// Instructions without a word.
    pub instructions_empty: usize,
    /// Pairs that are nearly the same picture.
    pub pairs_similar: usize,
    /// Pairs that differ more than an edit should, without a change of scene.
    pub pairs_dissimilar: usize,
}

impl AnnotateStatistics {
    /// Adds the counts of other sessions.
    pub fn add(&mut self, other: &Self) {
        let Self {
            sessions,
            dropped_sessions,
            pairs,
            dropped_frames,
            transitions,
            events,
            global,
            masks,
            masks_empty,
            masks_borrowed,
            masks_global,
            masks_off_difference,
            instructions_long,
            instructions_empty,
            pairs_similar,
            pairs_dissimilar,
        } = other;
        self.sessions += sessions;
        self.dropped_sessions += dropped_sessions;
        self.pairs += pairs;
        self.dropped_frames += dropped_frames;
        self.transitions += transitions;
        for (event, count) in events {
            *self.events.entry(event.clone()).or_default() += count;
        }
        self.global += global;
        self.masks += masks;
        self.masks_empty += masks_empty;
        self.masks_borrowed += masks_borrowed;
        self.masks_global += masks_global;
        self.masks_off_difference += masks_off_difference;
        self.instructions_long += instructions_long;
        self.instructions_empty += instructions_empty;
        self.pairs_similar += pairs_similar;
        self.pairs_dissimilar += pairs_dissimilar;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_settings_are_named() {
        AnnotateConfig::default().check().expect("the defaults are possible");
        let bad = AnnotateConfig { global_share: 1.5, ..AnnotateConfig::default() };
        assert!(bad.check().expect_err("is too large").to_string().contains("global_share of 1.5"));
        let bad = AnnotateConfig { similar: f32::NAN, ..AnnotateConfig::default() };
        assert!(bad.check().expect_err("is no number").to_string().contains("similar"));
    }
}
