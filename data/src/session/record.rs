//! The JSON part of a session on disk. Pixels and masks are files beside it.
//!
//! The full form is what this crate writes. Hand-made data may use the short form
//! `{"instructions": ["...", ...], "key": "...", "times": [...], "source": "..."}`, of which only
//! the instructions are required; it is read into the same record.

use super::{
    Frame, MAX_FRAMES, MIN_FRAMES, Provenance, Session, Source, Transition, validate::check_key,
};
use crate::{Image, Mask};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the record's layout, its `format` field.
pub const FORMAT: u32 = 1;

/// Longest record, bytes: checked before it is parsed.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// What a session's `{key}.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Layout version, [`FORMAT`].
    pub format: u32,
    /// The session's key.
    pub key: String,
    /// Columns and rows of every frame, where the writer knew them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// One entry a frame, in time order.
    pub frames: Vec<FrameRecord>,
    /// One entry a transition.
    pub transitions: Vec<TransitionRecord>,
    /// Where the frames come from.
    #[serde(default)]
    pub source: Source,
}

/// What is known of a frame beside its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameRecord {
    /// Seconds from the start of the source.
    pub time: f64,
}

/// What is known of a transition beside its masks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitionRecord {
    /// Imperative instruction, may be empty.
    pub instruction: String,
    /// Whether a current mask was written. A missing file is then an error; a file that is there
    /// although the record does not name it is taken.
    #[serde(default)]
    pub current_mask: bool,
    /// Whether a next mask was written.
    #[serde(default)]
    pub next_mask: bool,
    /// Measured facts.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub facts: Value,
    /// How the fields were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provenance: Vec<Provenance>,
}

impl Provenance {
    /// Of a field that was read from a user's file.
    pub(crate) fn imported(field: &str) -> Self {
        Self {
            field: field.to_owned(),
            backend: "import".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: None,
            prompt_hash: None,
            parameters: Value::Null,
            seed: None,
        }
    }
}

/// The one field that tells the forms apart.
#[derive(Deserialize)]
struct Probe {
    format: Option<u32>,
}

/// The hand-made form.
#[derive(Deserialize)]
struct ShortRecord {
    key: Option<String>,
    instructions: Vec<String>,
    times: Option<Vec<f64>>,
    source: Option<String>,
}

impl SessionRecord {
    /// The record of a session.
    pub fn of(session: &Session) -> Self {
        let (width, height) = session.size();
        let frames = session.frames.iter().map(|frame| FrameRecord { time: frame.time }).collect();
        let transitions = session
            .transitions
            .iter()
            .map(|transition| TransitionRecord {
                instruction: transition.instruction.clone(),
                current_mask: transition.current_mask.is_some(),
                next_mask: transition.next_mask.is_some(),
                facts: transition.facts.clone(),
                provenance: transition.provenance.clone(),
            })
            .collect();
        Self {
            format: FORMAT,
            key: session.key.clone(),
            size: Some([width, height]),
            frames,
            transitions,
            source: session.source.clone(),
        }
    }

    /// A record for frames whose instructions come from outside: provenance is `import`.
    pub fn imported(
        key: String,
        instructions: Vec<String>,
        times: Option<Vec<f64>>,
        source: Source,
    ) -> Result<Self, String> {
        let count = instructions.len() + 1;
        let times = times.unwrap_or_else(|| vec![0.0; count]);
        let transitions = instructions
            .into_iter()
            .map(|instruction| TransitionRecord {
                provenance: if instruction.is_empty() {
                    Vec::new()
                } else {
                    vec![Provenance::imported("instruction")]
                },
                instruction,
                current_mask: false,
                next_mask: false,
                facts: Value::Null,
            })
            .collect();
        let frames = times.into_iter().map(|time| FrameRecord { time }).collect();
        Self { format: FORMAT, key, size: None, frames, transitions, source }.checked()
    }

    /// Reads either form. `key` is the session's key where the record does not say.
    pub fn parse(json: &[u8], key: &str) -> Result<Self, String> {
        if json.len() > MAX_RECORD_BYTES {
            return Err(format!("record of {} bytes; the limit is {MAX_RECORD_BYTES}", json.len()));
        }
        let probe: Probe = parse_json(json)?;
        match probe.format {
            Some(FORMAT) => parse_json::<Self>(json)?.checked(),
            Some(other) => {
                Err(format!("record has format {other}; this build reads format {FORMAT}"))
            }
            None => {
                let short: ShortRecord = parse_json(json)?;
                let source = Source {
                    name: short.source.unwrap_or_default(),
                    sampling: "import".to_owned(),
                    ..Source::default()
                };
                let key = short.key.unwrap_or_else(|| key.to_owned());
                Self::imported(key, short.instructions, short.times, source)
            }
        }
    }

    /// The record as one line of JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has string keys only, so JSON can hold it")
    }

    /// The record as indented JSON with a final line break, for people.
    pub fn to_pretty_json(&self) -> Vec<u8> {
        let mut json =
            serde_json::to_vec_pretty(self).expect("a record has string keys only, as JSON needs");
        json.push(b'\n');
        json
    }

    /// Puts pixels and masks back. `frames` and `masks` (current, next) are as many as the record
    /// has; the result is not validated yet.
    pub(crate) fn into_session(self, frames: Vec<Image>, masks: Vec<[Option<Mask>; 2]>) -> Session {
        assert_eq!(frames.len(), self.frames.len(), "one picture a frame of the record");
        assert_eq!(masks.len(), self.transitions.len(), "one pair of masks a transition");
        let frames = frames
            .into_iter()
            .zip(self.frames)
            .map(|(image, record)| Frame { image, time: record.time })
            .collect();
        let transitions = self
            .transitions
            .into_iter()
            .zip(masks)
            .map(|(record, [current_mask, next_mask])| Transition {
                instruction: record.instruction,
                current_mask,
                next_mask,
                facts: record.facts,
                provenance: record.provenance,
            })
            .collect();
        Session { key: self.key, frames, transitions, source: self.source }
    }

    /// The rules that must hold before any picture is read.
    fn checked(self) -> Result<Self, String> {
        check_key(&self.key)?;
        let count = self.frames.len();
        if !(MIN_FRAMES..=MAX_FRAMES).contains(&count) || self.transitions.len() + 1 != count {
            return Err(format!(
                "record has {count} frames and {} transitions; a session has {MIN_FRAMES} to \
                 {MAX_FRAMES} frames and one transition less",
                self.transitions.len()
            ));
        }
        Ok(self)
    }
}

fn parse_json<'json, T: Deserialize<'json>>(json: &'json [u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| format!("record is not readable: {error}"))
}
