//! The three seams of annotation: describe a pair of frames, ground phrases to boxes, segment
//! boxes to masks. Plain data goes in and comes out, so a backend may be built in, a program or
//! a service, and backends may be mixed.

use crate::sample::Boundary;
use crate::sample::motion::Similarity;
use crate::session::{Frame, Provenance};
use crate::{Image, Mask, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Two frames that follow each other in a session, and what else is known of them.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// Key of the session.
    pub key: &'a str,
    /// Number of the transition in the session.
    pub index: usize,
    /// Seed of the run; a backend that chooses takes it together with key and index.
    pub seed: u64,
    /// The frame before the edit.
    pub current: &'a Frame,
    /// The frame after the edit, of the same size.
    pub next: &'a Frame,
    /// What the video says.
    pub context: Context<'a>,
}

/// What a video says of a pair beside the two frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Change of shot between the frames.
    pub boundary: Option<Boundary>,
    /// The camera's motion, followed through the frames between.
    pub camera: Option<Similarity>,
    /// Thumbnails of the same shot over a longer time; empty where there are none.
    pub background: &'a [Arc<Image>],
}

/// One of the frames of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The frame before the edit: what of it will change.
    Current,
    /// The frame after the edit: what of it has changed.
    Next,
}

impl Pair<'_> {
    /// The frame on one side.
    pub fn frame(&self, side: Side) -> &Frame {
        match side {
            Side::Current => self.current,
            Side::Next => self.next,
        }
    }
}

/// How much of the picture an edit changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Nothing that can be told.
    Unchanged,
    /// Parts, which the phrases name.
    Parts,
    /// All of it: a new scene, a camera motion, a change of light.
    Global,
}

/// What a describer says of a pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// How much changes.
    pub scope: Scope,
    /// Everything measured or observed, machine-readable.
    pub facts: serde_json::Value,
    /// Imperative instruction that leads from the current frame to the next.
    pub instruction: String,
    /// Phrases for what changes in the current frame; may be empty.
    pub current_phrases: Vec<String>,
    /// Phrases for what has changed in the next frame; may be empty.
    pub next_phrases: Vec<String>,
    /// Where scenery of the current frame lies in the next; the identity when the camera stands
    /// still or nothing is known.
    pub motion: Similarity,
    /// How it was made.
    pub provenance: Provenance,
}

/// A box that a phrase refers to, in pixels of the frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// The phrase.
    pub phrase: String,
    /// Left edge, inclusive.
    pub left: f32,
    /// Top edge, inclusive.
    pub top: f32,
    /// Right edge, exclusive.
    pub right: f32,
    /// Bottom edge, exclusive.
    pub bottom: f32,
    /// Confidence, 0 to 1.
    pub score: f32,
}

/// What a grounder finds in a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Grounding {
    /// Boxes, any number a phrase.
    pub regions: Vec<Region>,
    /// How they were made.
    pub provenance: Provenance,
}

/// What a segmenter cuts out of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmentation {
    /// One mask a region, frame size, in the regions' order.
    pub masks: Vec<Mask>,
    /// How they were made.
    pub provenance: Provenance,
}

/// Two frames to facts, an instruction and phrases.
pub trait Describer {
    /// Describes the edit that leads from one frame to the other.
    fn describe(&mut self, pair: &Pair<'_>) -> Result<Description>;
}

/// A frame and phrases to boxes.
pub trait Grounder {
    /// Finds the phrases in one frame of the pair.
    fn ground(&mut self, pair: &Pair<'_>, side: Side, phrases: &[String]) -> Result<Grounding>;
}

/// A frame and boxes to masks.
pub trait Segmenter {
    /// Cuts out what each region shows in one frame of the pair.
    fn segment(&mut self, pair: &Pair<'_>, side: Side, regions: &[Region]) -> Result<Segmentation>;
}

/// Describer, grounder and segmenter of a run.
pub struct Annotator {
    /// Describes pairs.
    pub describer: Box<dyn Describer>,
    /// Finds what the describer names.
    pub grounder: Box<dyn Grounder>,
    /// Cuts out what the grounder finds.
    pub segmenter: Box<dyn Segmenter>,
}
