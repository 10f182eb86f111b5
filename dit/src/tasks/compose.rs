//! From a session to slots.

use super::Task;
use serde::{Deserialize, Serialize};
use vincie_data::session::Session;
use vincie_tensor::random::{Key, Stream};

/// Shares of the random choices; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskConfig {
    /// Share of sessions whose masks take part.
    pub masks: f64,
    /// Share of turns whose current frame is left out of the context.
    pub drop_current_frame: f64,
    /// Share of turns whose current mask is left out of the context.
    pub drop_current_mask: f64,
    /// Share of turns whose next mask is left out of the context.
    pub drop_next_mask: f64,
    /// Share of sessions without instructions, for guidance.
    pub drop_text: f64,
    /// Whether the first frame is a target, too: then stories can start from text alone.
    pub first_frame: bool,
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self {
            masks: 0.8,
            drop_current_frame: 0.2,
            drop_current_mask: 0.7,
            drop_next_mask: 0.7,
            drop_text: 0.1,
            first_frame: true,
        }
    }
}

impl TaskConfig {
    /// Nothing is dropped and masks always take part: for evaluation.
    pub fn complete(first_frame: bool) -> Self {
        Self {
            masks: 1.0,
            drop_current_frame: 0.0,
            drop_current_mask: 0.0,
            drop_next_mask: 0.0,
            drop_text: 0.0,
            first_frame,
        }
    }
}

/// Which picture of the session a slot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Frame by number.
    Frame(usize),
    /// Current mask of a transition.
    CurrentMask(usize),
    /// Next mask of a transition.
    NextMask(usize),
}

impl Picture {
    /// What a slot with this picture asks for.
    pub fn task(self) -> Task {
        match self {
            Self::Frame(_) => Task::NextImage,
            Self::CurrentMask(_) => Task::CurrentMask,
            Self::NextMask(_) => Task::NextMask,
        }
    }
}

/// A piece of text before a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// An instruction behind its TURN token. Empty where the text is dropped.
    Instruction {
        /// Number of the turn, from 0.
        turn: usize,
        /// Words.
        text: String,
    },
    /// The short text that announces the slot.
    Announcement(Task),
}

/// One visual slot of the interleaved sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it shows.
    pub picture: Picture,
    /// Text right before it.
    pub text: Vec<Piece>,
    /// Whether later slots see it (clean).
    pub is_context: bool,
    /// Whether the model is asked for it (noisy).
    pub is_target: bool,
}

/// Number of the window's draw, beyond those of the turns.
const WINDOW: u64 = 1 << 21;

/// The random choices of one session: a function of the run's seed and the sample's number.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    key: Key,
}

impl Draws {
    /// Choices of sample `sample` of a run.
    pub fn new(seed: u64, sample: u64) -> Self {
        Self { key: Key::new(seed, Stream::Dropout, sample) }
    }

    /// The first frame of a window of `count` frames in a session of `frames`.
    pub fn window(&self, frames: usize, count: usize) -> usize {
        self.key.below(WINDOW, (frames - count + 1) as u32) as usize
    }

    fn happens(&self, index: u64, share: f64) -> bool {
        f64::from(self.key.uniform(index)) < share
    }
}

/// Slots of a session: frame 0, then for every transition its masks (where they take part and the
/// session has them) and the next frame. The instruction stands before the first slot of its turn.
/// A picture that nothing comes after is no context. Every slot but the first frame is a target.
pub fn compose(session: &Session, config: &TaskConfig, draws: &Draws) -> Vec<Slot> {
    let has_masks = draws.happens(0, config.masks);
    let has_text = !draws.happens(1, config.drop_text);
    let last_frame = session.frames.len().saturating_sub(1);
    let mut slots = vec![Slot {
        picture: Picture::Frame(0),
        text: vec![Piece::Announcement(Task::NextImage)],
        is_context: last_frame > 0 && !draws.happens(2, config.drop_current_frame),
        is_target: config.first_frame,
    }];
    for (turn, transition) in session.transitions.iter().enumerate() {
        let text = if has_text { transition.instruction.clone() } else { String::new() };
        let mut before = vec![Piece::Instruction { turn, text }];
        let draw = 3 + 3 * turn as u64;
        let masks = [
            (
                Picture::CurrentMask(turn),
                transition.current_mask.is_some(),
                draw,
                config.drop_current_mask,
            ),
            (
                Picture::NextMask(turn),
                transition.next_mask.is_some(),
                draw + 1,
                config.drop_next_mask,
            ),
        ];
        for (picture, is_there, draw, drop) in masks {
            if has_masks && is_there {
                before.push(Piece::Announcement(picture.task()));
                let text = std::mem::take(&mut before);
                slots.push(Slot {
                    picture,
                    text,
                    is_context: !draws.happens(draw, drop),
                    is_target: true,
                });
            }
        }
        before.push(Piece::Announcement(Task::NextImage));
        slots.push(Slot {
            picture: Picture::Frame(turn + 1),
            text: before,
            is_context: turn + 1 < last_frame
                && !draws.happens(draw + 2, config.drop_current_frame),
            is_target: true,
        });
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use vincie_data::session::{Frame, Source, Transition};
    use vincie_data::{Image, Mask};

    fn session(frames: usize, has_masks: bool) -> Session {
        let frame = |i: usize| Frame { image: Image::filled(4, 4, [i as u8; 3]), time: i as f64 };
        let mask = || has_masks.then(|| Mask::filled(4, 4, 255));
        let transition = |i: usize| Transition {
            instruction: format!("do {i}"),
            current_mask: mask(),
            next_mask: mask(),
            facts: serde_json::Value::Null,
            provenance: Vec::new(),
        };
        Session {
            key: "s".into(),
            frames: (0..frames).map(frame).collect(),
            transitions: (0..frames - 1).map(transition).collect(),
            source: Source::default(),
        }
    }

    #[test]
    fn complete_sessions_interleave_text_masks_and_frames() {
        let slots = compose(&session(3, true), &TaskConfig::complete(false), &Draws::new(0, 0));
        let pictures: Vec<Picture> = slots.iter().map(|slot| slot.picture).collect();
        use Picture::{CurrentMask, Frame, NextMask};
        assert_eq!(
            pictures,
            [
                Frame(0),
                CurrentMask(0),
                NextMask(0),
                Frame(1),
                CurrentMask(1),
                NextMask(1),
                Frame(2)
            ]
        );
        assert_eq!(
            slots[1].text,
            [
                Piece::Instruction { turn: 0, text: "do 0".into() },
                Piece::Announcement(Task::CurrentMask)
            ]
        );
        assert_eq!(slots[3].text, [Piece::Announcement(Task::NextImage)]);
        let context: Vec<bool> = slots.iter().map(|slot| slot.is_context).collect();
        assert_eq!(context, [true, true, true, true, true, true, false]);
        assert!(!slots[0].is_target && slots[1..].iter().all(|slot| slot.is_target));
        let plain = compose(&session(3, false), &TaskConfig::complete(true), &Draws::new(0, 0));
        assert_eq!(plain.len(), 3);
        assert_eq!(plain[1].text.len(), 2);
    }

    #[test]
    fn windows_lie_anywhere_in_the_session() {
        let starts: Vec<usize> =
            (0..200).map(|sample| Draws::new(3, sample).window(7, 3)).collect();
        for start in 0..=4 {
            assert!(starts.contains(&start), "no window starts at frame {start}");
        }
        assert!(starts.iter().all(|&start| start <= 4), "a window leaves the session");
        assert_eq!(Draws::new(3, 0).window(3, 3), 0);
    }

    /// Shares over many draws lie within four standard deviations of what is asked for.
    #[test]
    fn dropout_has_the_asked_shares() {
        let config = TaskConfig::default();
        let session = session(4, true);
        let (mut with_masks, mut without_text) = (0u32, 0u32);
        let mut kept = std::collections::HashMap::new();
        let samples = 20_000u32;
        for sample in 0..samples {
            let slots = compose(&session, &config, &Draws::new(5, u64::from(sample)));
            with_masks += u32::from(slots.len() > 4);
            let has_words = |piece: &Piece| matches!(piece, Piece::Instruction { text, .. } if !text.is_empty());
            without_text += u32::from(!slots.iter().flat_map(|slot| &slot.text).any(has_words));
            for slot in &slots {
                let entry = kept.entry(format!("{:?}", slot.picture)).or_insert((0u32, 0u32));
                *entry = (entry.0 + u32::from(slot.is_context), entry.1 + 1);
            }
        }
        let near = |count: u32, of: u32, share: f64, what: &str| {
            let deviation = (share * (1.0 - share) / f64::from(of)).sqrt();
            let seen = f64::from(count) / f64::from(of);
            assert!(
                (seen - share).abs() < 4.0 * deviation,
                "{what}: {seen} of {of}, asked {share}"
            );
        };
        near(with_masks, samples, 0.8, "masks take part");
        near(without_text, samples, 0.1, "text dropped");
        for turn in 0..3 {
            let (context, of) = kept[&format!("CurrentMask({turn})")];
            near(context, of, 0.3, "current mask kept");
            let (context, of) = kept[&format!("NextMask({turn})")];
            near(context, of, 0.3, "next mask kept");
            let (context, of) = kept[&format!("Frame({turn})")];
            near(context, of, 0.8, "current frame kept");
        }
        assert_eq!(kept["Frame(3)"].0, 0, "nothing comes after the last frame");
    }
}
