//! A world of coloured shapes whose truth is known exactly: endless sessions with true
//! instructions, masks and descriptions, in the same form as sessions of real video.
//!
//! An [`Episode`] is a walk through scene graphs ([`Scene`]), one edit after another; it is a
//! function of the world's seed, what it is made for and its number. [`Episode::session`] renders
//! it at any size. The scene after an edit is a function of the scene before and the instruction:
//! a sprite that is told a place goes to its centre, a step is one cell of the 3 x 3 grid, and
//! what is not told does not change. So a picture can be judged against the truth.

mod edit;
pub mod judge;
mod mask;
mod random;
mod render;
mod scene;
#[cfg(test)]
mod tests;
mod words;

pub use edit::{Category, DIRECTIONS, Edit, Edited, Way, apply};
pub use random::Purpose;
pub use render::{Canvas, Outline, render};
pub use scene::{
    Background, CELLS, Camera, Colour, GAP, Ground, Light, MAX_SPRITES, Pattern, Scene, Shape,
    Size, Sprite, cell_centre, is_in_view,
};
pub use words::{describe, vocabulary};

use crate::session::{Frame, MAX_FRAMES, Provenance, Session, Source, Transition};
use crate::{Error, Result};
use random::Draws;
use serde_json::{Value, json};

/// Name of the world in provenance and sources.
pub const BACKEND: &str = "sprites";

/// Smallest and largest pictures, pixels a side.
pub const SIDES: std::ops::RangeInclusive<usize> = 16..=1024;

/// Seconds between two frames.
const SECONDS: f64 = 1.0;

/// Which episodes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// Every episode follows from it.
    pub seed: u64,
    /// What the episodes are for.
    pub purpose: Purpose,
    /// Edits of an episode; it has one picture more.
    pub turns: usize,
    /// Picture side, pixels.
    pub side: usize,
    /// How often each category is drawn, in the order of [`Category::ALL`].
    pub weights: [u32; 12],
}

impl World {
    /// A world of five turns at 32 x 32 pixels with all categories.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self { seed, purpose, turns: 5, side: 32, weights: Category::WEIGHTS }
    }

    /// `Err` with one line on a value that is out of range.
    pub fn check(&self) -> Result<()> {
        let refuse = |what: String| Err(Error::Unsupported(format!("sprites: {what}")));
        if !(1..MAX_FRAMES).contains(&self.turns) {
            return refuse(format!("{} turns; it is 1 to {}", self.turns, MAX_FRAMES - 1));
        }
        if !SIDES.contains(&self.side) {
            let (least, most) = (SIDES.start(), SIDES.end());
            return refuse(format!("pictures of {} pixels; it is {least} to {most}", self.side));
        }
        // Removing alone soon has nothing left to remove; recolouring is possible in every scene.
        let endless = [
            Category::Recolour,
            Category::Reshape,
            Category::Replace,
            Category::Move,
            Category::Background,
            Category::Light,
            Category::Camera,
        ];
        let is_endless = |category: &Category| self.weights[*category as usize] > 0;
        if !endless.iter().any(is_endless) || self.weights.iter().any(|&weight| weight > 1000) {
            let names = endless.map(Category::name).join(", ");
            return refuse(format!(
                "weights {:?}; they are at most 1000, and at least one of {names} is above 0",
                self.weights
            ));
        }
        Ok(())
    }

    /// Episode `number`.
    pub fn episode(&self, number: u64) -> Episode {
        let mut draws = Draws::new(self.seed, self.purpose, number);
        let first = edit::draw_scene(&mut draws);
        let mut turns: Vec<Turn> = Vec::with_capacity(self.turns);
        for _ in 0..self.turns {
            let scene = turns.last().map_or(&first, |turn| &turn.edited.scene);
            let (category, edits) = edit::draw_edits(scene, &self.weights, &mut draws);
            let instruction = words::instruction(scene, &edits, &mut draws);
            let edited = apply(scene, &edits);
            turns.push(Turn { category, edits, instruction, edited });
        }
        let purpose = match self.purpose {
            Purpose::Train => "train",
            Purpose::HeldOut => "held",
            Purpose::Benchmark => "bench",
        };
        let key = format!("{BACKEND}-{purpose}-{}-{number:08}", self.seed);
        Episode { key, seed: self.seed, first, turns }
    }

    /// Session `number`: the episode, rendered.
    pub fn session(&self, number: u64) -> Session {
        self.episode(number).session(self.side)
    }
}

/// A walk through scenes.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Key of the session.
    pub key: String,
    /// The world's seed.
    pub seed: u64,
    /// Where it begins.
    pub first: Scene,
    /// What happens then.
    pub turns: Vec<Turn>,
}

/// One step of an episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Kind of the step.
    pub category: Category,
    /// What changes, in terms of the scene before.
    pub edits: Vec<Edit>,
    /// The same in words.
    pub instruction: String,
    /// The scene after.
    pub edited: Edited,
}

impl Episode {
    /// The scene before turn `turn`; for the number of turns, the last scene.
    pub fn scene(&self, turn: usize) -> &Scene {
        match turn.checked_sub(1) {
            Some(before) => &self.turns[before].edited.scene,
            None => &self.first,
        }
    }

    /// The session with pictures of `side` x `side` pixels.
    pub fn session(&self, side: usize) -> Session {
        let frame = |turn: usize| Frame {
            image: render(self.scene(turn), side),
            time: SECONDS * turn as f64,
        };
        let frames = (0..=self.turns.len()).map(frame).collect();
        let transitions = (0..self.turns.len()).map(|turn| self.transition(turn, side)).collect();
        let source = Source {
            name: self.key.clone(),
            sha256: String::new(),
            decoder: format!("{BACKEND} {}", env!("CARGO_PKG_VERSION")),
            sampling: BACKEND.to_owned(),
            shot: None,
        };
        Session { key: self.key.clone(), frames, transitions, source }
    }

    fn transition(&self, turn: usize, side: usize) -> Transition {
        let (current, step) = (self.scene(turn), &self.turns[turn]);
        let [current_mask, next_mask] = mask::masks(current, &step.edits, &step.edited, side);
        let fields = [
            ("instruction", true),
            ("current_mask", current_mask.is_some()),
            ("next_mask", next_mask.is_some()),
        ];
        let provenance = fields
            .into_iter()
            .filter(|(_, is_there)| *is_there)
            .map(|(field, _)| Provenance {
                field: field.to_owned(),
                backend: BACKEND.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                model: None,
                prompt_hash: None,
                parameters: Value::Null,
                seed: Some(self.seed),
            })
            .collect();
        let facts = json!({
            "event": step.category.name(),
            "current": describe(current),
            "next": describe(&step.edited.scene),
        });
        Transition {
            instruction: step.instruction.clone(),
            current_mask,
            next_mask,
            facts,
            provenance,
        }
    }
}
