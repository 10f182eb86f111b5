//! Pieces of one color within parts. Where things touch, as a ball before a person or cups in
//! hands, they are one part, and of the whole only "it changes" can be said. A piece of one color
//! that is found elsewhere on the other side says more.

use super::bitmap::Bitmap;
use super::colour::{Name, name_of};
use super::event::{Event, VAGUE};
use super::measure::Measured;
use super::palette::Palette;
use super::parts::{Part, parts};
use super::regions::{FAMILIAR, Regions};
use crate::sample::motion::Similarity;
use crate::sample::plane::Plane;

/// Smallest piece, share of the picture.
const SMALLEST: f32 = 0.0025;
/// A piece has at most this share of its part, else it is the part.
const LARGEST: f32 = 0.6;
/// Pieces that are one thing have at least this share of each other's area...
const SAME_SIZE: f32 = 0.6;
/// ...and histograms that overlap by this much.
const SAME_COLOURS: f32 = 0.6;
/// A piece must go this far, picture widths, and no farther: then it is another piece...
const MOVED: (f32, f32) = (0.03, 0.4);
/// ...and this far by its own size.
const MOVED_OWN: f32 = 0.6;
/// Reach within which surroundings count, share of the picture's longer side.
const REACH: f32 = 0.08;
/// Share of a piece's pixels whose color is not that of the unchanged surroundings. What the
/// surroundings are made of is no thing.
const STRANGE: f32 = 0.6;

/// Replaces "it changes" and "it grows" by "a piece of it moves" where one does. The pieces are
/// added to the lists of parts.
pub(crate) fn refine(
    events: &mut [Event],
    current: &mut Vec<Part>,
    next: &mut Vec<Part>,
    pair: &Measured,
    regions: &Regions,
) {
    let near = regions.changed.or(&regions.current).or(&regions.next).dilated(2);
    let surroundings = Bitmap::of(near.width, near.height, |i| !near.data[i]);
    for event in events {
        let (Event::Alter { current: i, next: j } | Event::Resize { current: i, next: j, .. }) =
            *event
        else {
            continue;
        };
        let search = |part: &Part, picture: &[Plane; 3], motion: &Similarity| {
            pieces(part, picture, &regions.difference, motion, &surroundings)
        };
        let before = search(&current[i], &pair.current, &Similarity::IDENTITY);
        let after = search(&next[j], &pair.next, &pair.undone);
        let Some((mut a, mut b)) = farthest(before, after) else { continue };
        let shift = (b.anchor.0 - a.anchor.0, b.anchor.1 - a.anchor.1);
        // The piece speaks for its part, which is a vague thing to say of all of it.
        a.weight = VAGUE * current[i].weight;
        b.weight = VAGUE * next[j].weight;
        let ratio = b.share / a.share;
        *event = Event::Move { current: current.len(), next: next.len(), shift, ratio };
        current.push(a);
        next.push(b);
    }
}

/// The pieces of one color in a part.
fn pieces(
    part: &Part,
    picture: &[Plane; 3],
    difference: &Plane,
    motion: &Similarity,
    surroundings: &Bitmap,
) -> Vec<Part> {
    let (width, height) = (difference.width, difference.height);
    // Grain would break a piece into specks.
    let smooth = [0, 1, 2].map(|c| picture[c].blurred(1.0));
    let name = |at: usize| name_of([0, 1, 2].map(|c| smooth[c].data[at])) as usize;
    let mut sets = vec![None; Name::ALL.len()];
    for &at in &part.component.pixels {
        sets[name(at)].get_or_insert_with(|| Bitmap::empty(width, height)).data[at] = true;
    }
    let reach = (REACH * width.max(height) as f32).round() as usize;
    let palette = Palette::new(surroundings, &smooth, reach);
    let is_strange = |part: &Part| {
        let strange = part.component.pixels.iter().filter(|&&at| {
            let colour = [0, 1, 2].map(|c| smooth[c].data[at]);
            palette.distance(at % width, at / width, colour).is_none_or(|d| d > FAMILIAR)
        });
        strange.count() as f32 >= STRANGE * part.component.pixels.len() as f32
    };
    let mut found = Vec::new();
    for set in sets.into_iter().flatten() {
        let set = set.opened(1);
        found.extend(
            parts(&set, picture, difference, motion)
                .into_iter()
                .filter(|p| p.share >= SMALLEST && p.share <= LARGEST * part.share)
                .filter(is_strange),
        );
    }
    found
}

/// Of the pieces that are found on both sides, nearest to nearest, the one that went farthest.
fn farthest(before: Vec<Part>, after: Vec<Part>) -> Option<(Part, Part)> {
    let distance = |a: &Part, b: &Part| (b.anchor.0 - a.anchor.0).hypot(b.anchor.1 - a.anchor.1);
    let mut near = Vec::new();
    for (i, a) in before.iter().enumerate() {
        for (j, b) in after.iter().enumerate() {
            let size = a.share.min(b.share) / a.share.max(b.share);
            let is_same = a.colours.first.has_name_of(b.colours.first)
                && size >= SAME_SIZE
                && a.colours.overlap(&b.colours) >= SAME_COLOURS;
            if is_same {
                near.push((distance(a, b), i, j));
            }
        }
    }
    near.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut matched: Vec<(f32, usize, usize)> = Vec::new();
    for (distance, i, j) in near {
        if matched.iter().all(|m| m.1 != i && m.2 != j) {
            matched.push((distance, i, j));
        }
    }
    let (distance, i, j) = matched.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let own = before[i].share.max(after[j].share).sqrt();
    ((MOVED.0..MOVED.1).contains(&distance) && distance >= MOVED_OWN * own)
        .then(|| (before[i].clone(), after[j].clone()))
}
