//! The builtin backend: no model, deterministic, states only what it can measure and names no
//! nouns. Pair difference against a background made of many samples finds what goes and what
//! comes; outlines and local colours settle doubtful parts; camera motion is undone where one
//! motion explains the picture.

mod analysis;
mod background;
mod bitmap;
mod colour;
mod config;
mod contour;
mod event;
mod exposure;
mod facts;
mod growth;
mod measure;
mod palette;
mod parts;
mod pieces;
mod place;
mod refine;
mod regions;
mod shadow;
mod templates;
mod wording;

pub use config::BuiltinConfig;
pub use regions::RegionConfig;
pub use templates::{vocabulary, words};
pub use wording::MOST_WORDS;

use super::seams::{
    Annotator, Describer, Description, Grounder, Grounding, Pair, Region, Segmentation, Segmenter,
    Side,
};
use crate::session::{Frame, Provenance};
use crate::{Image, Mask, Result};
use analysis::Analysis;
use background::Background;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Name of this backend in records.
const BACKEND: &str = "builtin";

/// Describer, grounder and segmenter without a model. Clones share what they have measured, so
/// one pair is measured once for all three.
#[derive(Clone)]
pub struct Builtin {
    config: BuiltinConfig,
    memory: Arc<Mutex<Memory>>,
}

/// The last pair and the last background.
#[derive(Default)]
struct Memory {
    pair: Option<(PairIdentity, Analysis)>,
    background: Option<(Vec<Arc<Image>>, Option<Background>)>,
}

/// Tells one pair from another.
#[derive(PartialEq)]
struct PairIdentity {
    key: String,
    index: usize,
    seed: u64,
    frames: [u64; 2],
    context: String,
}

impl Builtin {
    /// A backend with the given settings, which must pass their check.
    pub fn new(config: BuiltinConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config, memory: Arc::default() })
    }

    /// The backend in all three places.
    pub fn annotator(config: BuiltinConfig) -> Result<Annotator> {
        let builtin = Self::new(config)?;
        Ok(Annotator {
            describer: Box::new(builtin.clone()),
            grounder: Box::new(builtin.clone()),
            segmenter: Box::new(builtin),
        })
    }

    /// Runs `read` on the pair's analysis, which is made if it is not the last one.
    fn with_analysis<T>(&self, pair: &Pair<'_>, read: impl FnOnce(&mut Analysis) -> T) -> T {
        let mut memory = self.memory();
        let identity = PairIdentity::of(pair);
        let is_known = memory.pair.as_ref().is_some_and(|(known, _)| *known == identity);
        if !is_known {
            memory.pair = None;
            let analysis = if pair.context.background.is_empty() {
                Analysis::of(pair, None, &self.config)
            } else {
                Analysis::of(pair, memory.background(pair.context.background), &self.config)
            };
            memory.pair = Some((identity, analysis));
        }
        let (_, analysis) = memory.pair.as_mut().expect("the pair was analysed just now");
        read(analysis)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Memory is replaced as a whole, so a panic elsewhere leaves nothing half-made in it.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn provenance(&self, field: &str, seed: Option<u64>) -> Provenance {
        Provenance {
            field: field.to_owned(),
            backend: BACKEND.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: None,
            prompt_hash: None,
            parameters: json!(self.config),
            seed,
        }
    }
}

impl Memory {
    /// The background behind the samples, made if they are not the last ones.
    fn background(&mut self, samples: &[Arc<Image>]) -> Option<&Background> {
        // The memory holds on to the samples, so one address is one picture.
        let is_known = self.background.as_ref().is_some_and(|(known, _)| {
            known.len() == samples.len()
                && known.iter().zip(samples).all(|(a, b)| Arc::ptr_eq(a, b))
        });
        if !is_known {
            self.background = Some((samples.to_vec(), Background::of(samples)));
        }
        self.background.as_ref().and_then(|(_, background)| background.as_ref())
    }
}

impl PairIdentity {
    fn of(pair: &Pair<'_>) -> Self {
        let background: Vec<*const Image> =
            pair.context.background.iter().map(Arc::as_ptr).collect();
        Self {
            key: pair.key.to_owned(),
            index: pair.index,
            seed: pair.seed,
            frames: [frame_hash(pair.current), frame_hash(pair.next)],
            context: format!(
                "{:?} {:?} {background:?}",
                pair.context.boundary, pair.context.camera
            ),
        }
    }
}

/// A hash of a frame's pixels, size and time, eight bytes a step.
fn frame_hash(frame: &Frame) -> u64 {
    let start = [frame.image.width as u64, frame.image.height as u64, frame.time.to_bits()];
    let mut chunks = frame.image.rgb.chunks_exact(8);
    let pixels = chunks
        .by_ref()
        .map(|c| u64::from_le_bytes([c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]]));
    let step =
        |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let hash = start.into_iter().chain(pixels).fold(0, step);
    chunks.remainder().iter().fold(hash, |hash, &byte| step(hash, u64::from(byte)))
}

impl Describer for Builtin {
    fn describe(&mut self, pair: &Pair<'_>) -> Result<Description> {
        let provenance = self.provenance("instruction", Some(pair.seed));
        Ok(self.with_analysis(pair, |analysis| Description {
            scope: analysis.scope,
            facts: facts::facts(pair, analysis),
            instruction: analysis.instruction.clone(),
            current_phrases: analysis.phrases(Side::Current).to_vec(),
            next_phrases: analysis.phrases(Side::Next).to_vec(),
            motion: analysis.measured.undone,
            provenance,
        }))
    }
}

impl Grounder for Builtin {
    /// A phrase of this backend finds its own part. For a phrase of somebody else's the parts
    /// are those that share most words with it, or all of them when none does: what a noun means
    /// cannot be measured, but what moves can.
    fn ground(&mut self, pair: &Pair<'_>, side: Side, phrases: &[String]) -> Result<Grounding> {
        let provenance = self.provenance("regions", None);
        let image = &pair.frame(side).image;
        let (width, height) = (image.width as f32, image.height as f32);
        let regions = self.with_analysis(pair, |analysis| {
            let mut regions = Vec::new();
            for phrase in phrases {
                for (part, score) in found(phrase, analysis.phrases(side)) {
                    let [left, top, right, bottom] = analysis.parts(side)[part].bounds;
                    regions.push(Region {
                        phrase: phrase.clone(),
                        left: (left * width).floor(),
                        top: (top * height).floor(),
                        right: (right * width).ceil(),
                        bottom: (bottom * height).ceil(),
                        score,
                    });
                }
            }
            regions
        });
        Ok(Grounding { regions, provenance })
    }
}

/// Parts that a phrase may mean, with the share of its words that they share.
fn found(phrase: &str, known: &[String]) -> Vec<(usize, f32)> {
    let own: Vec<usize> = (0..known.len()).filter(|&i| known[i] == phrase).collect();
    if !own.is_empty() {
        return own.into_iter().map(|i| (i, 1.0)).collect();
    }
    let wanted: Vec<String> = words(phrase).collect();
    let share = |known: &String| {
        let hits = words(known).filter(|w| wanted.contains(w)).count();
        hits as f32 / wanted.len().max(1) as f32
    };
    let shares: Vec<f32> = known.iter().map(share).collect();
    let best = shares.iter().copied().fold(0.0, f32::max);
    shares.into_iter().enumerate().filter(|&(_, share)| share >= best).collect()
}

impl Segmenter for Builtin {
    /// The mask of a region of this backend is its part; of another one, what changes within it.
    fn segment(&mut self, pair: &Pair<'_>, side: Side, regions: &[Region]) -> Result<Segmentation> {
        let provenance = self.provenance("mask", None);
        let masks = self.with_analysis(pair, |analysis| {
            let mut masks = Vec::with_capacity(regions.len());
            for region in regions {
                let own = analysis.phrases(side).iter().position(|p| *p == region.phrase);
                masks.push(match own {
                    Some(part)
                        if analysis
                            .phrases(side)
                            .iter()
                            .filter(|p| **p == region.phrase)
                            .count()
                            == 1 =>
                    {
                        analysis.part_mask(pair, side, part)
                    }
                    _ => within(analysis.region_mask(pair, side), region),
                });
            }
            masks
        });
        Ok(Segmentation { masks, provenance })
    }
}

/// The mask, empty outside of a box.
fn within(mask: &Mask, region: &Region) -> Mask {
    let mut cut = Mask::filled(mask.width, mask.height, 0);
    // Casts of floats saturate, so a box from outside cannot reach beyond the mask.
    let (left, right) = (region.left as usize, (region.right as usize).min(mask.width));
    for y in region.top as usize..(region.bottom as usize).min(mask.height) {
        if left < right {
            let line = y * mask.width;
            cut.data[line + left..line + right]
                .copy_from_slice(&mask.data[line + left..line + right]);
        }
    }
    cut
}
