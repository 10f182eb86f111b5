//! From sampled frames to an annotated session: every pair goes through describer, grounder and
//! segmenter, is checked, and becomes a transition; a frame without a change may be left out.

use super::checks::{Checks, Segmented};
use super::config::{AnnotateConfig, AnnotateStatistics, Unchanged};
use super::seams::{Annotator, Context, Description, Pair, Region, Scope, Side};
use crate::sample::{Link, Sampled};
use crate::session::{Frame, Provenance, Session, Source, Transition};
use crate::{Error, Mask, Result};
use serde_json::{Value, json};

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
