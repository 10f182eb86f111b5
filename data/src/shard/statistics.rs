//! Counts over sessions, small enough to stand in every index and to be added up.

use crate::session::Session;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a number of sessions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Sessions.
    pub sessions: u64,
    /// Frames.
    pub frames: u64,
    /// Transitions.
    pub transitions: u64,
    /// Transitions whose instruction is not empty.
    pub instructions: u64,
    /// Transitions with a current mask.
    pub current_masks: u64,
    /// Transitions with a next mask.
    pub next_masks: u64,
    /// Bytes of the sessions in their shards.
    pub bytes: u64,
    /// Number of sessions by number of frames.
    pub sessions_by_frames: BTreeMap<usize, u64>,
    /// Smallest and largest width, pixels; absent without sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<[usize; 2]>,
    /// Smallest and largest height, pixels; absent without sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<[usize; 2]>,
}

impl Statistics {
    /// Of one session that takes `bytes` in its shard.
    pub fn of(session: &Session, bytes: u64) -> Self {
        let count = |has: fn(&crate::session::Transition) -> bool| {
            session.transitions.iter().filter(|transition| has(transition)).count() as u64
        };
        let (width, height) = session.size();
        Self {
            sessions: 1,
            frames: session.frames.len() as u64,
            transitions: session.transitions.len() as u64,
            instructions: count(|transition| !transition.instruction.is_empty()),
            current_masks: count(|transition| transition.current_mask.is_some()),
            next_masks: count(|transition| transition.next_mask.is_some()),
            bytes,
            sessions_by_frames: BTreeMap::from([(session.frames.len(), 1)]),
            width: Some([width, width]),
            height: Some([height, height]),
        }
    }

    /// Adds another count. Sums stop at the largest number, so no file can make them overflow.
    pub fn add(&mut self, other: &Self) {
        let sums = [
            (&mut self.sessions, other.sessions),
            (&mut self.frames, other.frames),
            (&mut self.transitions, other.transitions),
            (&mut self.instructions, other.instructions),
            (&mut self.current_masks, other.current_masks),
            (&mut self.next_masks, other.next_masks),
            (&mut self.bytes, other.bytes),
        ];
        for (sum, value) in sums {
            *sum = sum.saturating_add(value);
        }
        for (&frames, &count) in &other.sessions_by_frames {
            let sum = self.sessions_by_frames.entry(frames).or_default();
            *sum = sum.saturating_add(count);
        }
        self.width = union(self.width, other.width);
        self.height = union(self.height, other.height);
    }
}

fn union(a: Option<[usize; 2]>, b: Option<[usize; 2]>) -> Option<[usize; 2]> {
    match (a, b) {
        (Some([low, high]), Some([other_low, other_high])) => {
            Some([low.min(other_low), high.max(other_high)])
        }
        (a, b) => a.or(b),
    }
}
