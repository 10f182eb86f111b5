//! The rules of a session, each with a one-line message that names the values.

use super::{MAX_FRAMES, MIN_FRAMES, Session, Transition};
use crate::{Error, Mask, Result};

/// Longest key, bytes: with the longest member suffix it still fits a plain tar name.
pub const MAX_KEY_BYTES: usize = 80;

/// Longest instruction, bytes.
pub const MAX_INSTRUCTION_BYTES: usize = 16 << 10;

impl Session {
    /// Checks every rule: the key's characters, 2 to 20 frames of one size with whole pixel
    /// buffers, finite times in order, one transition between neighbours, masks of frame size
    /// that hold only 0 and 255, and provenance for fields that exist.
    pub fn validate(&self) -> Result<()> {
        check_key(&self.key).map_err(|what| Error::format("session", what))?;
        self.broken_rule().map_or(Ok(()), |what| Err(self.error(what)))
    }

    fn error(&self, what: String) -> Error {
        Error::format(format!("session {}", self.key), what)
    }

    fn broken_rule(&self) -> Option<String> {
        let count = self.frames.len();
        if !(MIN_FRAMES..=MAX_FRAMES).contains(&count) {
            return Some(format!("{count} frames; a session has {MIN_FRAMES} to {MAX_FRAMES}"));
        }
        if self.transitions.len() + 1 != count {
            return Some(format!(
                "{} transitions for {count} frames; there is one between each two neighbours",
                self.transitions.len()
            ));
        }
        let (width, height) = self.size();
        let mut previous = 0.0;
        for (index, frame) in self.frames.iter().enumerate() {
            let image = &frame.image;
            if (image.width, image.height) != (width, height) {
                return Some(format!(
                    "frame {index} is {} x {}, frame 0 is {width} x {height}; all have one size",
                    image.width, image.height
                ));
            }
            let bytes = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
            if width == 0 || height == 0 || bytes != Some(image.rgb.len()) {
                return Some(format!(
                    "frame {index} of {width} x {height} has {} bytes; it has 3 for each pixel and \
                     at least one pixel",
                    image.rgb.len()
                ));
            }
            if !frame.time.is_finite() || frame.time < previous {
                return Some(format!(
                    "frame {index} is at {} s after {previous} s; times are finite and never fall",
                    frame.time
                ));
            }
            previous = frame.time;
        }
        self.transitions
            .iter()
            .enumerate()
            .find_map(|(index, transition)| broken_transition(index, transition, width, height))
    }
}

/// `Err` with one line unless the key is 1 to 80 letters, digits, `-` and `_`.
pub fn check_key(key: &str) -> std::result::Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(is_allowed) {
        let shown: String = key.chars().take(MAX_KEY_BYTES).collect();
        return Err(format!(
            "key {shown:?} of {} bytes; a key is 1 to {MAX_KEY_BYTES} letters, digits, - and _",
            key.len()
        ));
    }
    Ok(())
}

fn broken_transition(
    index: usize,
    transition: &Transition,
    width: usize,
    height: usize,
) -> Option<String> {
    if transition.instruction.len() > MAX_INSTRUCTION_BYTES {
        return Some(format!(
            "instruction {index} has {} bytes; the limit is {MAX_INSTRUCTION_BYTES}",
            transition.instruction.len()
        ));
    }
    let masks = [("current_mask", &transition.current_mask), ("next_mask", &transition.next_mask)];
    for (name, mask) in masks {
        let broken = mask.as_ref().and_then(|mask| broken_mask(mask, width, height));
        if let Some(what) = broken {
            return Some(format!("{name} {index} {what}"));
        }
    }
    let is_field = |field: &str| matches!(field, "instruction" | "current_mask" | "next_mask");
    let unknown = transition.provenance.iter().find(|entry| !is_field(&entry.field))?;
    Some(format!(
        "provenance of transition {index} names the field {:?}; fields are instruction, \
         current_mask and next_mask",
        unknown.field
    ))
}

fn broken_mask(mask: &Mask, width: usize, height: usize) -> Option<String> {
    if (mask.width, mask.height) != (width, height) || mask.data.len() != width * height {
        return Some(format!(
            "is {} x {} with {} bytes; the frames are {width} x {height}",
            mask.width,
            mask.height,
            mask.data.len()
        ));
    }
    // No early exit: without one the compiler turns the loop into vector instructions.
    let is_grey = |value: u8| value != 0 && value != 255;
    if !mask.data.iter().fold(false, |found, &value| found | is_grey(value)) {
        return None;
    }
    let grey = mask.data.iter().copied().find(|&value| is_grey(value))?;
    Some(format!("holds the value {grey}; a mask holds 0 (keep) and 255 (edit)"))
}
