//! Regions grown to the things they lie on: the whole of what stands out from the background, and
//! the still middle of what moves.

use super::bitmap::Bitmap;
use super::contour::{Owner, owner};
use super::palette::Palette;
use super::regions::FAMILIAR;
use crate::sample::plane::Plane;

/// How much stronger the outline of an unchanged part must be in the background to call it a
/// ghost: something that was there most of the time, but in neither frame.
const GHOST: f32 = 1.3;

/// The things less those unchanged parts whose outline is in the background instead of the frame.
pub(super) fn without_ghosts(
    things: &Bitmap,
    seeds: &Bitmap,
    frame: &[Plane; 3],
    back: &[Plane; 3],
) -> Bitmap {
    let unchanged = Bitmap::of(things.width, things.height, |i| things.data[i] && !seeds.data[i]);
    let mut kept = things.clone();
    for part in unchanged.opened(1).components() {
        if owner(&part, things, frame, back, GHOST) == Owner::Second {
            for &i in &part.pixels {
                kept.data[i] = false;
            }
        }
    }
    kept
}

/// The seeds, grown to the whole of the things that they cover in good part, and by `growth`
/// within the others.
pub(super) fn whole(seeds: &Bitmap, things: &Bitmap, share: f32, growth: usize) -> Bitmap {
    let mut grown = seeds.or(&seeds.dilated(growth).and(things));
    for thing in things.components() {
        let hits = thing.pixels.iter().filter(|&&i| seeds.data[i]).count();
        if hits as f32 >= share * thing.pixels.len() as f32 {
            grown.insert(&thing.pixels);
        }
    }
    grown
}

/// The region completed: gaps in it and bays of it join where their colour is nearer to the
/// region's than to the surroundings'. So the still middle of a moving thing is taken in, and the
/// ground between two legs is not.
pub(super) fn completed(region: &Bitmap, frame: &[Plane; 3], reach: usize) -> Bitmap {
    let hull = region.closed(reach).filled(usize::MAX);
    let (core, beyond) = (region.eroded(2), hull.dilated(2));
    let outside = Bitmap::of(region.width, region.height, |i| !beyond.data[i]);
    let inner = Palette::new(&core, frame, reach);
    let outer = Palette::new(&outside, frame, 2 * reach);
    Bitmap::of(region.width, region.height, |at| {
        if region.data[at] || !hull.data[at] {
            return region.data[at];
        }
        let colour = [0, 1, 2].map(|c| frame[c].data[at]);
        let (x, y) = (at % region.width, at / region.width);
        match (inner.distance(x, y, colour), outer.distance(x, y, colour)) {
            (Some(own), Some(other)) => own + 4.0 < other && own < FAMILIAR.max(0.5 * other),
            (Some(own), None) => own < FAMILIAR,
            _ => false,
        }
    })
}
