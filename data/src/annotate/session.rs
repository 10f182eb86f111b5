//! From sampled frames to an annotated session: every pair goes through describer, grounder and
//! segmenter, is checked, and becomes a transition; a frame without a change may be left out.

use super::config::{AnnotateConfig, AnnotateStatistics, EmptyMask, Unchanged};
use super::seams::{Annotator, Context, Description, Pair, Region, Scope, Side};
use crate::sample::motion::Similarity;
use crate::sample::{Link, Sampled, area_resized};
use crate::session::{Frame, Provenance, Session, Source, Transition};
use crate::{Error, Mask, Result};
use serde_json::{Value, json};

/// Longer side of the pictures on which pairs are checked, pixels.
const CHECKING_SIDE: usize = 160;
/// Difference that counts as one when a mask is checked, grey levels.
const DIFFERS: u8 = 12;

/// Annotates one session. `None` when nothing changes between its frames and such frames are
/// dropped. The result satisfies the rules of a session; `statistics` grows by its counts.
pub fn annotate_session(
    sampled: Sampled,
    key: &str,
    source: &Source,
    annotator: &mut Annotator,
    config: &AnnotateConfig,
    statistics: &mut AnnotateStatistics,
) -> Result<Option<Session>> {
    config.check()?;
    let Sampled { mode, shot, frames, links, backgrounds, .. } = sampled;
    let mut waiting =
        frames.into_iter().zip(std::iter::once(None).chain(links.into_iter().map(Some)));
    let Some((first, _)) = waiting.next() else {
        statistics.dropped_sessions += 1;
        return Ok(None);
    };
    let mut kept = vec![first];
    let mut transitions: Vec<Transition> = Vec::new();
    // The way from the last frame kept to the one at hand.
    let mut way: Option<Link> = None;
    for (frame, link) in waiting {
        let link = link.unwrap_or_default();
        let so_far = way.map_or(link, |way| way.followed_by(&link));
        let background: &[_] = so_far
            .background
            .and_then(|at| backgrounds.get(at))
            .map_or(&[], |samples| samples.as_slice());
        let pair = Pair {
            key,
            index: transitions.len(),
            seed: config.seed,
            current: &kept[kept.len() - 1],
            next: &frame,
            context: Context { boundary: so_far.boundary, camera: so_far.camera, background },
        };
        check_sizes(&pair)?;
        statistics.pairs += 1;
        match annotate_pair(&pair, annotator, config, statistics)? {
            Some(transition) => {
                transitions.push(transition);
                kept.push(frame);
                way = None;
            }
            None => {
                statistics.dropped_frames += 1;
                way = Some(so_far);
            }
        }
    }
    if transitions.is_empty() {
        statistics.dropped_sessions += 1;
        return Ok(None);
    }
    statistics.sessions += 1;
    statistics.transitions += transitions.len();
    let source = Source { sampling: mode.name().to_owned(), shot, ..source.clone() };
    let session = Session { key: key.to_owned(), frames: kept, transitions, source };
    session.validate()?;
    Ok(Some(session))
}

/// A session key: the source's name in the letters a key may have, the mode and the number.
pub fn session_key(name: &str, sampled: &Sampled) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let plain: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .take(40)
        .collect();
    format!("{plain}-{}-{:04}", sampled.mode.name(), sampled.number)
}

impl Link {
    /// The way over two links, when the frame between them is left out.
    pub fn followed_by(&self, next: &Self) -> Self {
        Self {
            boundary: match (self.boundary, next.boundary) {
                (Some(a), Some(b)) => Some(if b.score > a.score { b } else { a }),
                (a, b) => a.or(b),
            },
            camera: self.camera.zip(next.camera).map(|(first, second)| second.after(&first)),
            background: self.background.filter(|_| self.background == next.background),
        }
    }
}

fn check_sizes(pair: &Pair<'_>) -> Result<()> {
    let size = |frame: &Frame| (frame.image.width, frame.image.height);
    let ((width, height), (other_width, other_height)) = (size(pair.current), size(pair.next));
    if (width, height) == (other_width, other_height) && width > 0 && height > 0 {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "session {}: frames of {width} x {height} and {other_width} x {other_height}; all frames \
         have one size and at least one pixel",
        pair.key
    )))
}

/// One transition; none when the next frame is to be left out.
fn annotate_pair(
    pair: &Pair<'_>,
    annotator: &mut Annotator,
    config: &AnnotateConfig,
    statistics: &mut AnnotateStatistics,
) -> Result<Option<Transition>> {
    let description = annotator.describer.describe(pair)?;
    if description.scope == Scope::Unchanged && config.unchanged == Unchanged::Drop {
        return Ok(None);
    }
    let mut sides = [None, None];
    if description.scope == Scope::Parts {
        for side in [Side::Current, Side::Next] {
            sides[side as usize] = Some(segment(pair, side, &description, annotator)?);
        }
    }
    let mut checks = Checks::new(pair, config, statistics);
    checks.pair(&description);
    let (masks, notes) = checks.masks(&description, &sides);
    let Description { mut facts, instruction, provenance, .. } = description;
    if let Value::Object(facts) = &mut facts {
        facts.insert("checks".into(), json!(checks.flags));
        facts.insert("masks".into(), json!({ "current": notes[0], "next": notes[1] }));
    }
    let mut records = vec![Provenance { field: "instruction".into(), ..provenance.clone() }];
    for ((field, mask), side) in ["current_mask", "next_mask"].into_iter().zip(&masks).zip(&sides) {
        if mask.is_some() {
            let maker = side.as_ref().map_or(&provenance, |s| &s.provenance);
            records.push(Provenance { field: field.into(), ..maker.clone() });
        }
    }
    let [current_mask, next_mask] = masks;
    Ok(Some(Transition { instruction, current_mask, next_mask, facts, provenance: records }))
}

/// What grounder and segmenter make of one side.
struct Segmented {
    mask: Mask,
    provenance: Provenance,
}

fn segment(
    pair: &Pair<'_>,
    side: Side,
    description: &Description,
    annotator: &mut Annotator,
) -> Result<Segmented> {
    let image = &pair.frame(side).image;
    let mut phrases: Vec<String> = Vec::new();
    let named = match side {
        Side::Current => &description.current_phrases,
        Side::Next => &description.next_phrases,
    };
    for phrase in named {
        if !phrases.contains(phrase) {
            phrases.push(phrase.clone());
        }
    }
    let mut mask = Mask::filled(image.width, image.height, 0);
    if phrases.is_empty() {
        return Ok(Segmented { mask, provenance: description.provenance.clone() });
    }
    let grounding = annotator.grounder.ground(pair, side, &phrases)?;
    let regions: Vec<Region> = grounding.regions;
    let segmentation = annotator.segmenter.segment(pair, side, &regions)?;
    for part in &segmentation.masks {
        if (part.width, part.height) != (mask.width, mask.height) {
            return Err(Error::Unsupported(format!(
                "session {}: the segmenter returned a mask of {} x {} for a frame of {} x {}",
                pair.key, part.width, part.height, mask.width, mask.height
            )));
        }
        for (all, &one) in mask.data.iter_mut().zip(&part.data) {
            *all |= if one >= 128 { 255 } else { 0 };
        }
    }
    let mut provenance = segmentation.provenance;
    let grounder = &grounding.provenance;
    if grounder.backend != provenance.backend || grounder.model != provenance.model {
        provenance.parameters = json!({
            "segmenter": provenance.parameters,
            "grounder": grounder,
        });
    }
    Ok(Segmented { mask, provenance })
}

/// The checks of one pair, which count what they find.
struct Checks<'a> {
    config: &'a AnnotateConfig,
    statistics: &'a mut AnnotateStatistics,
    size: (usize, usize),
    /// Where the frames differ, at checking size.
    differs: Mask,
    mean_difference: f32,
    flags: Vec<&'static str>,
}

impl<'a> Checks<'a> {
    fn new(
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
    fn pair(&mut self, description: &Description) {
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
    fn masks(
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
