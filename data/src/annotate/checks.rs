//! Checks of a described pair and its masks, whatever backend made them: empty and all-covering
//! masks, masks that lie where nothing differs, pairs too much or too little alike, instructions
//! too long. What fails is counted and flagged in the facts.

use super::config::{AnnotateConfig, AnnotateStatistics, EmptyMask};
use super::seams::{Description, Pair, Scope};
use crate::Mask;
use crate::sample::area_resized;
use crate::sample::motion::Similarity;
use crate::session::Provenance;
use serde_json::Value;

/// Longer side of the pictures on which pairs are checked, pixels.
const CHECKING_SIDE: usize = 160;
/// Difference that counts as one when a mask is checked, grey levels.
const DIFFERS: u8 = 12;

/// What grounder and segmenter make of one side.
pub(crate) struct Segmented {
    pub(crate) mask: Mask,
    pub(crate) provenance: Provenance,
}

/// The checks of one pair, which count what they find.
pub(crate) struct Checks<'a> {
    config: &'a AnnotateConfig,
    statistics: &'a mut AnnotateStatistics,
    size: (usize, usize),
    /// Where the frames differ, at checking size.
    differs: Mask,
    mean_difference: f32,
    /// Names of the checks that failed.
    pub(crate) flags: Vec<&'static str>,
}

impl<'a> Checks<'a> {
    pub(crate) fn new(
        pair: &Pair<'_>,
        config: &'a AnnotateConfig,
        statistics: &'a mut AnnotateStatistics,
    ) -> Self {
        let image = &pair.current.image;
        let longest = image.width.max(image.height).max(CHECKING_SIDE);
        let scaled = |side: usize| (side * CHECKING_SIDE / longest).clamp(1, side);
        let (width, height) = (scaled(image.width), scaled(image.height));
        let a = area_resized(&pair.current.image, width, height);
        let b = area_resized(&pair.next.image, width, height);
        let worst = a.rgb.chunks_exact(3).zip(b.rgb.chunks_exact(3));
        let worst: Vec<u8> = worst
            .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0))
            .collect();
        let sum: f64 = worst.iter().map(|&v| f64::from(v)).sum();
        let data = worst.iter().map(|&v| if v > DIFFERS { 255 } else { 0 }).collect();
        Self {
            config,
            statistics,
            size: (image.width, image.height),
            differs: Mask::new(width, height, data),
            mean_difference: (sum / worst.len() as f64) as f32,
            flags: Vec::new(),
        }
    }

    fn flag(&mut self, name: &'static str) {
        self.flags.push(name);
    }

    /// Checks the pair itself and its instruction, and counts its event.
    pub(crate) fn pair(&mut self, description: &Description) {
        let event = match description.facts.get("event") {
            Some(Value::String(name)) => name.clone(),
            _ => "described".to_owned(),
        };
        *self.statistics.events.entry(event).or_default() += 1;
        if self.mean_difference < self.config.similar {
            self.statistics.pairs_similar += 1;
            self.flag("pair_similar");
        }
        if self.mean_difference > self.config.dissimilar && description.scope != Scope::Global {
            self.statistics.pairs_dissimilar += 1;
            self.flag("pair_dissimilar");
        }
        let words = description.instruction.split_whitespace().count();
        if words > self.config.instruction_words {
            self.statistics.instructions_long += 1;
            self.flag("instruction_long");
        }
        if words == 0 {
            self.statistics.instructions_empty += 1;
            self.flag("instruction_empty");
        }
    }

    /// The masks of a transition, current and next, and a word on each.
    pub(crate) fn masks(
        &mut self,
        description: &Description,
        sides: &[Option<Segmented>; 2],
    ) -> ([Option<Mask>; 2], [&'static str; 2]) {
        let scope = description.scope;
        let (width, height) = self.size;
        if scope == Scope::Unchanged {
            return ([None, None], ["none"; 2]);
        }
        if scope == Scope::Global {
            self.statistics.global += 1;
            let full = || Some(Mask::filled(width, height, 255));
            return ([full(), full()], ["global"; 2]);
        }
        let shares = [0, 1].map(|i| sides[i].as_ref().map_or(0.0, |s| s.mask.share()));
        let mut masks = [None, None];
        let mut notes = ["empty"; 2];
        for i in 0..2 {
            let is_empty = |i: usize| shares[i] <= self.config.least_share;
            let (from, note) = if !is_empty(i) {
                (i, "parts")
            } else if self.config.empty_mask == EmptyMask::Borrow && !is_empty(1 - i) {
                self.statistics.masks_borrowed += 1;
                (1 - i, "borrowed")
            } else {
                self.statistics.masks_empty += 1;
                continue;
            };
            let Some(source) = &sides[from] else { continue };
            if shares[from] > self.config.global_share {
                self.statistics.masks_global += 1;
                (masks[i], notes[i]) = (Some(Mask::filled(width, height, 255)), "global");
                continue;
            }
            if note == "parts" {
                self.statistics.masks += 1;
                if self.overlap(&source.mask) < self.config.least_overlap {
                    self.statistics.masks_off_difference += 1;
                    self.flag(if i == 0 {
                        "current_mask_off_difference"
                    } else {
                        "next_mask_off_difference"
                    });
                }
            }
            let mask = match (note, i) {
                ("borrowed", 0) => moved(&source.mask, &description.motion.inverse()),
                ("borrowed", _) => moved(&source.mask, &description.motion),
                _ => source.mask.clone(),
            };
            (masks[i], notes[i]) = (Some(mask), note);
        }
        (masks, notes)
    }

    /// Share of a mask that lies where the frames differ.
    fn overlap(&self, mask: &Mask) -> f64 {
        let (mut inside, mut hits) = (0usize, 0usize);
        for row in 0..self.differs.height {
            for col in 0..self.differs.width {
                let x = (2 * col + 1) * mask.width / (2 * self.differs.width);
                let y = (2 * row + 1) * mask.height / (2 * self.differs.height);
                if mask.data[y * mask.width + x] >= 128 {
                    inside += 1;
                    hits += usize::from(self.differs.data[row * self.differs.width + col] > 0);
                }
            }
        }
        // A mask too small to be sampled is not held against the backend.
        if inside == 0 { 1.0 } else { hits as f64 / inside as f64 }
    }
}

/// A mask carried along by a motion of the picture.
fn moved(mask: &Mask, motion: &Similarity) -> Mask {
    if *motion == Similarity::IDENTITY {
        return mask.clone();
    }
    let (width, height) = (mask.width as f32, mask.height as f32);
    let back = motion.inverse();
    let mut carried = Mask::filled(mask.width, mask.height, 0);
    for y in 0..mask.height {
        for x in 0..mask.width {
            let (u, v) = back.apply(
                (x as f32 + 0.5 - 0.5 * width) / width,
                (y as f32 + 0.5 - 0.5 * height) / width,
            );
            let (from_x, from_y) = (u * width + 0.5 * width, v * width + 0.5 * height);
            if (0.0..width).contains(&from_x) && (0.0..height).contains(&from_y) {
                carried.data[y * mask.width + x] =
                    mask.data[from_y as usize * mask.width + from_x as usize];
            }
        }
    }
    carried
}
