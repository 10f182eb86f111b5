//! The session: frames, one instruction per transition, masks, and where each field is from.
//!
//! [`Session`] is the form in memory, [`SessionRecord`] its JSON part on disk, and
//! [`read_folder`] / [`write_folder`] / [`SessionList`] the plain files that people make by hand.
//! Whatever else brings sessions in (a generator, another data set's reader) is an iterator of
//! `Result<Session>`: [`open_sessions`] returns one for everything this crate reads itself, and
//! [`crate::shard::ShardWriter::write_all`] takes one.

mod edit_rows;
mod edits;
#[cfg(test)]
pub(crate) mod fixtures;
mod folder;
mod import;
mod list;
mod record;
#[cfg(test)]
mod row_tests;
#[cfg(test)]
mod tests;
mod validate;
mod video_rows;

pub use folder::{read_folder, write_folder};
pub use import::{ImportConfig, Sessions, open_sessions, open_tables};
pub use list::SessionList;
pub use record::{FORMAT, FrameRecord, MAX_RECORD_BYTES, SessionRecord, TransitionRecord};
pub use validate::{MAX_INSTRUCTION_BYTES, MAX_KEY_BYTES, check_key};

use crate::decode::{fit, fit_mask};
use crate::{Image, Mask};
use serde::{Deserialize, Serialize};

/// Fewest frames a session may hold: one transition.
pub const MIN_FRAMES: usize = 2;

/// Most frames a session may hold (the paper's data has 2 to 20).
pub const MAX_FRAMES: usize = 20;

/// One training or editing example: `frames.len() == transitions.len() + 1`, all frames one size.
///
/// The fields are open, so holding a `Session` does not promise these rules;
/// [`Session::validate`] checks them, and so does everything here that writes or reads sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Unique within a data set; letters, digits, `-` and `_` only (no dots: shard readers split there).
    pub key: String,
    /// Frames in time order.
    pub frames: Vec<Frame>,
    /// Transition `i` leads from frame `i` to frame `i + 1`.
    pub transitions: Vec<Transition>,
    /// Where the session comes from.
    pub source: Source,
}

impl Session {
    /// The session with every frame and mask scaled, its shape kept, until it covers
    /// `width` x `height`, and cut to that around its centre. All sides must be at least 1.
    pub fn fit(mut self, width: usize, height: usize) -> Self {
        let is_right = |has: (usize, usize)| has == (width, height);
        for frame in &mut self.frames {
            if !is_right((frame.image.width, frame.image.height)) {
                frame.image = fit(&frame.image, width, height);
            }
        }
        for transition in &mut self.transitions {
            for mask in [&mut transition.current_mask, &mut transition.next_mask] {
                if let Some(mask) = mask
                    && !is_right((mask.width, mask.height))
                {
                    *mask = fit_mask(mask, width, height);
                }
            }
        }
        self
    }

    /// The `count` frames from frame `start` on, with the transitions between them. The range must lie
    /// within the session.
    pub fn window(mut self, start: usize, count: usize) -> Self {
        self.frames = self.frames.drain(start..start + count).collect();
        let transitions = count.saturating_sub(1);
        self.transitions = self.transitions.into_iter().skip(start).take(transitions).collect();
        self
    }

    /// Columns and rows of the frames, `(0, 0)` without frames.
    pub fn size(&self) -> (usize, usize) {
        self.frames.first().map_or((0, 0), |frame| (frame.image.width, frame.image.height))
    }
}

/// A frame and its place in the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Pixels.
    pub image: Image,
    /// Seconds from the start of the source; 0 for sources without time.
    pub time: f64,
}

/// One edit.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Imperative instruction, empty when nothing is known.
    pub instruction: String,
    /// What of the current frame will change (region of editing), frame size.
    pub current_mask: Option<Mask>,
    /// What of the next frame has changed, frame size.
    pub next_mask: Option<Mask>,
    /// What was measured: machine-readable facts such as `{"event": "cut"}`.
    pub facts: serde_json::Value,
    /// How each field was made, by field name (`instruction`, `current_mask`, `next_mask`).
    pub provenance: Vec<Provenance>,
}

/// How one field came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Field of the transition.
    pub field: String,
    /// Backend (`builtin`, `http`, `process`, `import`, `sprites`).
    pub backend: String,
    /// Version of the backend.
    pub version: String,
    /// Model id, where a model was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// SHA-256 of the prompt, where a model was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_hash: Option<String>,
    /// Thresholds and other parameters.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub parameters: serde_json::Value,
    /// Seed, where randomness was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// Where a session's frames come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// File name or data-set row, without folders.
    pub name: String,
    /// SHA-256 of the source file, hexadecimal; empty when it has none.
    pub sha256: String,
    /// Decoder and its version.
    pub decoder: String,
    /// Sampling mode: `interval`, `count`, `import` or a generator's name.
    pub sampling: String,
    /// Shot of the source the session lies in, where shots were detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shot: Option<usize>,
}
