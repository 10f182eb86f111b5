//! The three tasks over an interleaved session: next image (NIP), region of the current image that
//! will change (CSP), region of the next image that has changed (NSP).
//!
//! Masks are pictures in slots like frames. [`compose`] turns a session into slots, with the
//! paper's dropout of context; [`Sequence`] lays slots out for the transformer.

mod batch;
mod compose;
#[cfg(test)]
pub(crate) mod conversation;
mod tokens;

pub(crate) use batch::is_new_turn;
pub use batch::{Batch, Example, Options, SlotInfo};
pub(crate) use tokens::Tokens;

pub use compose::{Draws, Picture, Piece, Slot, TaskConfig, compose};

use crate::text::Special;
use serde::{Deserialize, Serialize};

/// What a slot asks the model for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The next image (NIP).
    NextImage,
    /// What of the current image will change (CSP).
    CurrentMask,
    /// What of the next image has changed (NSP).
    NextMask,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 3] = [Self::NextImage, Self::CurrentMask, Self::NextMask];

    /// The token that announces the slot.
    pub fn announcement(self) -> u32 {
        let special = match self {
            Self::NextImage => Special::Image,
            Self::CurrentMask => Special::CurrentMask,
            Self::NextMask => Special::NextMask,
        };
        special as u32
    }

    /// The task's usual abbreviation.
    pub fn short(self) -> &'static str {
        match self {
            Self::NextImage => "NIP",
            Self::CurrentMask => "CSP",
            Self::NextMask => "NSP",
        }
    }
}
