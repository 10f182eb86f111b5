//! Shots: where a video cuts, dissolves or fades, found on the fingerprints of a survey.

use super::fingerprint::Fingerprint;
use super::survey::Survey;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Dissimilarity of neighbouring frames above which there is a cut in any case.
const CERTAIN_CUT: f32 = 0.7;
/// Dissimilarity above which there is a cut when the frames around change far less.
const LIKELY_CUT: f32 = 0.3;
/// How much more a likely cut must change than the median of its neighbourhood.
const CUT_RATIO: f32 = 4.0;
/// Frames on either side that make up the neighbourhood.
const NEIGHBOURS: usize = 6;
/// Frames after which the picture from before must not be back, else it was a flash.
const FLASH: usize = 3;
/// Spans over which dissolves are sought, seconds.
const DISSOLVE_SECONDS: [f64; 4] = [0.35, 0.7, 1.4, 2.4];
/// Largest part of the difference that a blend of both ends may leave unexplained.
const BLEND_REST: f32 = 0.05;
/// Dissimilarity that the two ends of a dissolve must have.
const DISSOLVED: f32 = 0.3;
/// Share of the cells that must change, so that a large object does not count as a new shot.
const NEW_SHOT: f32 = 0.3;
/// Longest fade that is followed, seconds.
const FADE_SECONDS: f64 = 4.0;
/// Dissimilarity that a fade may show from frame to frame beside losing contrast.
const FADE_REST: f32 = 0.05;

/// How one shot gives way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoundaryKind {
    /// From one frame to the next.
    Cut,
    /// Both shots are mixed for a while.
    Dissolve,
    /// Through black, or to or from black at the ends of the video.
    Fade,
}

impl BoundaryKind {
    /// The word in records and texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Dissolve => "dissolve",
            Self::Fade => "fade",
        }
    }
}

/// A change of shot. Frames `start..end` are mixed or black and belong to no shot; for a cut the
/// range is empty and `start` is the first frame of the new shot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Boundary {
    /// Kind of change.
    pub kind: BoundaryKind,
    /// First frame that is not of the old shot.
    pub start: usize,
    /// First frame of the new shot.
    pub end: usize,
    /// Dissimilarity of the frames on both sides, 0 to 2.
    pub score: f32,
}

/// The shots of a video.
#[derive(Clone, Debug, PartialEq)]
pub struct Shots {
    /// Frames of each shot, in order, none empty.
    pub shots: Vec<Range<usize>>,
    /// Changes of shot, in order.
    pub boundaries: Vec<Boundary>,
    /// Dissimilarity of each frame to the one before it; the first has 0.
    pub scores: Vec<f32>,
    /// Frames that are dark everywhere.
    pub black: Vec<bool>,
}

impl Shots {
    /// Finds the shots of a video.
    pub fn of(survey: &Survey) -> Self {
        let frames = &survey.fingerprints;
        let count = frames.len();
        let mut scores = vec![0.0; count];
        for (i, pair) in frames.windows(2).enumerate() {
            scores[i + 1] = pair[0].dissimilarity(&pair[1]);
        }
        let black: Vec<bool> = frames.iter().map(Fingerprint::is_black).collect();
        let mut boundaries = fades(frames, &survey.times, &black);
        for at in cuts(frames, &scores) {
            insert(&mut boundaries, BoundaryKind::Cut, at, at, frames);
        }
        for (start, end) in dissolves(frames, &survey.times, &boundaries) {
            insert(&mut boundaries, BoundaryKind::Dissolve, start, end, frames);
        }
        boundaries.sort_by_key(|b| b.start);
        let mut shots = Vec::new();
        let mut start = 0;
        for boundary in &boundaries {
            shots.push(start..boundary.start);
            start = boundary.end;
        }
        shots.push(start..count);
        shots.retain(|shot| !shot.is_empty());
        Self { shots, boundaries, scores, black }
    }

    /// Number of the shot that a frame belongs to; none within a dissolve, a fade or black.
    pub fn shot_of(&self, frame: usize) -> Option<usize> {
        self.shots.iter().position(|shot| shot.contains(&frame))
    }

    /// The boundary between two frames; the one with the highest score where there are several.
    pub fn between(&self, first: usize, second: usize) -> Option<Boundary> {
        self.boundaries
            .iter()
            .filter(|b| first < b.end && b.start <= second)
            .copied()
            .reduce(|best, b| if b.score > best.score { b } else { best })
    }
}

/// Adds a boundary unless it touches one that is there already.
fn insert(
    boundaries: &mut Vec<Boundary>,
    kind: BoundaryKind,
    start: usize,
    end: usize,
    frames: &[Fingerprint],
) {
    if start == 0 || boundaries.iter().any(|b| start <= b.end && b.start <= end) {
        return;
    }
    let after = end.min(frames.len() - 1);
    let score = frames[start - 1].dissimilarity(&frames[after]);
    boundaries.push(Boundary { kind, start, end, score });
}

/// First frames after hard cuts.
fn cuts(frames: &[Fingerprint], scores: &[f32]) -> Vec<usize> {
    let mut found = Vec::new();
    for at in 1..frames.len() {
        let score = scores[at];
        if score < LIKELY_CUT || frames[at - 1].changed_share(&frames[at]) < NEW_SHOT {
            continue;
        }
        let low = at.saturating_sub(NEIGHBOURS).max(1);
        let mut around: Vec<f32> = (low..(at + NEIGHBOURS + 1).min(frames.len()))
            .filter(|&i| i != at)
            .map(|i| scores[i])
            .collect();
        let usual = super::plane::median(&mut around);
        if score < CERTAIN_CUT && score < CUT_RATIO * usual {
            continue;
        }
        let is_back = |i: usize| frames[at - 1].dissimilarity(&frames[i]) < 0.5 * score;
        let is_flash = (at + 1..(at + 1 + FLASH).min(frames.len())).any(is_back);
        let ends_flash = (at.saturating_sub(1 + FLASH)..at - 1)
            .any(|i| frames[i].dissimilarity(&frames[at]) < 0.5 * score);
        if !is_flash && !ends_flash {
            found.push(at);
        }
    }
    found
}

/// Black runs, with the frames before and after in which the contrast falls and rises. A black
/// run that starts without fading is still a boundary.
fn fades(frames: &[Fingerprint], times: &[f64], black: &[bool]) -> Vec<Boundary> {
    let mut found: Vec<Boundary> = Vec::new();
    let mut at = 0;
    while at < frames.len() {
        if !black[at] {
            at += 1;
            continue;
        }
        let run_end = (at..frames.len()).find(|&i| !black[i]).unwrap_or(frames.len());
        let fading = |inner: usize, outer: usize| {
            // Deep in the fade the picture drowns in rounding, so only contrast is asked for.
            let is_same = frames[inner].deviation() < 12.0
                || frames[inner].dissimilarity(&frames[outer]) < FADE_REST;
            frames[outer].deviation() > 1.01 * frames[inner].deviation() + 0.02 && is_same
        };
        let mut start = at;
        while start > 0 && times[at] - times[start - 1] < FADE_SECONDS && fading(start, start - 1) {
            start -= 1;
        }
        let mut end = run_end;
        while end > 0
            && end < frames.len()
            && times[end] - times[run_end - 1] < FADE_SECONDS
            && end + 1 < frames.len()
            && fading(end - 1, end)
            && fading(end, end + 1)
        {
            end += 1;
        }
        if let Some(last) = found.last_mut()
            && last.end >= start
        {
            last.end = end;
        } else {
            let score = match (start.checked_sub(1), frames.get(end)) {
                (Some(before), Some(after)) => frames[before].dissimilarity(after),
                _ => 1.0,
            };
            found.push(Boundary { kind: BoundaryKind::Fade, start, end, score });
        }
        at = run_end;
    }
    found
}

/// Mixed frames of dissolves: spans whose ends differ and whose frames are blends of the ends,
/// with the old shot's share falling.
fn dissolves(frames: &[Fingerprint], times: &[f64], known: &[Boundary]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize, f32)> = Vec::new();
    for seconds in DISSOLVE_SECONDS {
        for first in 0..frames.len() {
            let last = first + times[first..].partition_point(|&t| t <= times[first] + seconds);
            if last >= frames.len() || last - first < 4 {
                continue;
            }
            if known.iter().any(|b| first < b.end && b.start <= last) {
                continue;
            }
            let (from, to) = (&frames[first], &frames[last]);
            let score = from.dissimilarity(to);
            if score >= DISSOLVED
                && from.changed_share(to) >= NEW_SHOT
                && is_blend(&frames[first + 1..last], from, to)
            {
                found.push((first, last, score));
            }
        }
    }
    // Among nearly equal candidates of a group the longest sees most of both shots, so that the
    // shares below are exact; the one whose middle is half and half is centred.
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    while let Some(best) = found.iter().map(|c| c.2).reduce(f32::max) {
        let off_centre = |c: &(usize, usize, f32)| {
            let share = frames[(c.0 + c.1) / 2].blend(&frames[c.0], &frames[c.1]).0;
            (share - 0.5).abs()
        };
        let longest = found.iter().filter(|c| c.2 > 0.9 * best).map(|c| c.1 - c.0).max();
        let Some(&(first, last, _)) = found
            .iter()
            .filter(|c| c.2 > 0.9 * best && Some(c.1 - c.0) == longest)
            .min_by(|a, b| off_centre(a).total_cmp(&off_centre(b)))
        else {
            break;
        };
        found.retain(|c| c.1 < first || last < c.0);
        let share = |i: usize| frames[i].blend(&frames[first], &frames[last]).0;
        let start = (first + 1..last).find(|&i| share(i) < 0.98).unwrap_or(first + 1);
        let end = (start..last).rfind(|&i| share(i) > 0.02).map_or(last, |i| i + 1);
        chosen.push((start, end));
    }
    chosen
}

fn is_blend(middle: &[Fingerprint], from: &Fingerprint, to: &Fingerprint) -> bool {
    let mut last = 1.05;
    for quarter in [1, 2, 3] {
        let frame = &middle[(middle.len() * quarter / 4).min(middle.len() - 1)];
        let (share, rest) = frame.blend(from, to);
        if rest > BLEND_REST || share > last || share < -0.05 {
            return false;
        }
        last = share;
    }
    // One of the middle frames must show both shots, or this is a cut.
    middle.iter().any(|frame| (0.25..0.75).contains(&frame.blend(from, to).0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::texture::scenery;
    use crate::session::Frame;
    use crate::{Image, Result};

    /// Scenery that drifts slowly, with a gain.
    fn view(seed: u32, drift: f32, gain: f32) -> Image {
        let mut rgb = Vec::with_capacity(3 * 96 * 54);
        for y in 0..54 {
            for x in 0..96 {
                for channel in 0..3 {
                    let (u, v) = (x as f32 / 96.0 + drift, y as f32 / 96.0);
                    rgb.push((gain * scenery(u, v, seed + channel)) as u8);
                }
            }
        }
        Image::new(96, 54, rgb)
    }

    fn blend(a: &Image, b: &Image, share: f32) -> Image {
        let mix =
            |(&a, &b): (&u8, &u8)| (f32::from(a) * (1.0 - share) + f32::from(b) * share) as u8;
        Image::new(96, 54, a.rgb.iter().zip(&b.rgb).map(mix).collect())
    }

    /// Shots of pictures at 25 a second.
    fn shots(pictures: Vec<Image>) -> Shots {
        let frames = pictures.into_iter().enumerate();
        let frames = frames.map(|(i, image)| Ok(Frame { image, time: i as f64 / 25.0 }));
        Shots::of(&Survey::of(frames.collect::<Vec<Result<Frame>>>()).expect("is sound"))
    }

    fn is_one_shot(pictures: Vec<Image>) -> bool {
        let count = pictures.len();
        let found = shots(pictures);
        found.shots.len() == 1 && found.shots[0] == (0..count)
    }

    fn drifting(seed: u32, count: usize) -> Vec<Image> {
        (0..count).map(|i| view(seed, 0.001 * i as f32, 1.0)).collect()
    }

    #[test]
    fn cuts_are_exact() {
        let mut pictures = drifting(1, 20);
        pictures.extend(drifting(50, 15));
        pictures.extend(drifting(90, 10));
        let found = shots(pictures);
        assert_eq!(found.shots, [0..20, 20..35, 35..45]);
        assert!(found.boundaries.iter().all(|b| b.kind == BoundaryKind::Cut && b.start == b.end));
        assert_eq!((found.shot_of(19), found.shot_of(20)), (Some(0), Some(1)));
        assert!(found.between(18, 19).is_none() && found.between(20, 34).is_none());
        assert!(found.between(19, 20).is_some() && found.between(0, 44).is_some());
    }

    #[test]
    fn flashes_light_changes_and_pans_are_no_cuts() {
        let mut pictures = drifting(1, 30);
        pictures[14] = Image::filled(96, 54, [255; 3]);
        assert!(is_one_shot(pictures));
        let brighter = (0..30).map(|i| view(1, 0.0, if i < 15 { 0.5 } else { 1.0 })).collect();
        assert!(is_one_shot(brighter));
        let pan = (0..40).map(|i| view(1, 0.02 * i as f32, 1.0)).collect();
        assert!(is_one_shot(pan));
    }

    #[test]
    fn dissolves_are_found_with_their_range() {
        let (first, second) = (drifting(1, 80), drifting(50, 80));
        let mix =
            |i: usize| blend(&first[i], &second[i], (i as f32 - 30.0).clamp(0.0, 20.0) / 20.0);
        let found = shots((0..80).map(mix).collect());
        assert_eq!(found.boundaries.len(), 1, "{:?}", found.boundaries);
        let boundary = found.boundaries[0];
        assert_eq!(boundary.kind, BoundaryKind::Dissolve);
        assert!(boundary.start.abs_diff(31) <= 2 && boundary.end.abs_diff(50) <= 2, "{boundary:?}");
        assert_eq!(found.shot_of(40), None);
    }

    #[test]
    fn fades_through_black_and_at_the_ends_are_found() {
        let gain = |i: usize| match i {
            0..20 => i as f32 / 20.0,
            20..50 => 1.0,
            50..70 => 1.0 - (i - 50) as f32 / 20.0,
            70..75 => 0.0,
            75..95 => (i - 75) as f32 / 20.0,
            _ => 1.0,
        };
        let found =
            shots((0..130).map(|i| view(if i < 72 { 1 } else { 50 }, 0.0, gain(i))).collect());
        let kinds: Vec<_> = found.boundaries.iter().map(|b| b.kind).collect();
        assert_eq!(kinds, [BoundaryKind::Fade; 2], "{:?}", found.boundaries);
        assert_eq!(found.boundaries[0].start, 0);
        assert_eq!(found.shots.len(), 2);
        assert!(found.shots[0].start >= 15 && found.shots[0].end <= 53, "{:?}", found.shots);
        assert!(found.shots[1].start >= 90 && found.shots[1].end == 130, "{:?}", found.shots);
        assert_eq!(found.between(40, 100).map(|b| b.kind), Some(BoundaryKind::Fade));
    }

    #[test]
    fn a_large_thing_that_passes_is_no_dissolve() {
        let background = Image::filled(96, 54, [110, 110, 112]);
        let picture = |i: usize| {
            let mut image = background.clone();
            let left = (4 * i).saturating_sub(20);
            for y in 10..40 {
                for x in left.min(96)..(left + 28).min(96) {
                    image.rgb[3 * (y * 96 + x)..][..3].copy_from_slice(&[240, 240, 245]);
                }
            }
            image
        };
        assert!(is_one_shot((0..40).map(picture).collect()));
    }

    #[test]
    fn nothing_black_and_single_frames_have_shots_too() {
        assert!(shots(Vec::new()).shots.is_empty());
        assert!(is_one_shot(drifting(1, 1)));
        let black = shots(vec![Image::filled(96, 54, [2; 3]); 5]);
        assert!(black.shots.is_empty() && black.black.iter().all(|&b| b));
        assert_eq!(black.boundaries.len(), 1);
    }
}
