//! Regions of editing at analysis size: what of the current frame goes and what of the next frame
//! has come. A pixel belongs to a region where the pair differs and where the frame differs from
//! the background of the shot; the region then grows to the whole of the thing it lies on.

use super::bitmap::Bitmap;
use super::contour::{Owner, owner};
use super::growth::{completed, whole, without_ghosts};
use super::measure::Measured;
use super::palette::Palette;
use super::shadow::without_shadows;
use crate::sample::plane::{Plane, median};
use serde::{Deserialize, Serialize};

/// Thresholds of the builtin segmenter. Lengths are shares of the picture's longer side, areas
/// are shares of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegionConfig {
    /// Standard deviation of the Gaussian that both frames are compared under.
    pub blur: f32,
    /// Least difference that counts, grey levels of the strongest channel.
    pub least_difference: f32,
    /// The threshold is the median difference plus this many robust standard deviations.
    pub deviations: f32,
    /// Reach within which gaps are bridged.
    pub closing: f32,
    /// Parts below this area are dropped.
    pub least_area: f32,
    /// Enclosed gaps up to this area are filled.
    pub largest_hole: f32,
    /// A thing that differs from the background is taken whole when this share of it changes.
    pub whole: f32,
    /// Otherwise the region grows by this much within it.
    pub growth: f32,
    /// Reach within which colours are compared and gaps of one colour with the region close.
    pub palette: f32,
}

impl Default for RegionConfig {
    fn default() -> Self {
        Self {
            blur: 0.005,
            least_difference: 18.0,
            deviations: 6.0,
            closing: 0.006,
            least_area: 0.002,
            largest_hole: 0.006,
            whole: 0.3,
            growth: 0.02,
            palette: 0.06,
        }
    }
}

/// The regions of a pair, on the current frame's grid.
#[derive(Clone, Debug)]
pub(crate) struct Regions {
    /// What of the current frame will change.
    pub(crate) current: Bitmap,
    /// What of the next frame has changed.
    pub(crate) next: Bitmap,
    /// Where the pair differs at all.
    pub(crate) changed: Bitmap,
    /// Difference of the pair, grey levels.
    pub(crate) difference: Plane,
    /// Difference above which a pixel counts as changed, before the allowance for edges.
    pub(crate) threshold: f32,
}

/// Share of the local gradient that the threshold rises by: a misplacement of a third of a pixel.
const EDGE_ALLOWANCE: f32 = 0.35;
/// A frame that differs from the background by this share of the pair's difference owns a part
/// of the change.
const OWN_SHARE: f32 = 0.35;
/// Deviations of the background samples that are added to its threshold.
const SPREAD: f32 = 2.5;
/// How much stronger the outline of a changed part must be in one frame to give it the part.
const OUTLINE: f32 = 1.6;
/// The same where the background says that both frames own it.
const CLEAR_OUTLINE: f32 = 2.2;
/// A colour this near to a palette belongs to it, grey levels...
pub(super) const FAMILIAR: f32 = 12.0;
/// ...and one this far from it does not.
const STRANGE: f32 = 28.0;

impl Regions {
    /// Finds the regions of a measured pair.
    pub(crate) fn of(pair: &Measured, config: &RegionConfig) -> Self {
        let (width, height) = (pair.width(), pair.height());
        let scale = width.max(height) as f32;
        let sigma = config.blur * scale;
        let lit = pair.light.applied(&pair.current);
        let difference = difference(&lit, &pair.next, sigma);
        let threshold = threshold(&difference, &pair.covered, config);
        let edges = edges(&lit, &pair.next, sigma);
        let pixels = width * height;
        let least = (config.least_area * pixels as f32).ceil().max(1.0) as usize;
        let changed = Bitmap::of(width, height, |i| {
            pair.covered[i] && difference.data[i] > threshold + EDGE_ALLOWANCE * edges.data[i]
        });
        let radius = |share: f32| (share * scale).round() as usize;
        // Specks of half the least area are kept here, as growing may join them to something.
        let changed = changed.opened(1).closed(radius(config.closing)).without_small(least / 2);
        let mut regions = Self {
            current: Bitmap::empty(width, height),
            next: Bitmap::empty(width, height),
            changed,
            difference,
            threshold,
        };
        if regions.changed.count() > 0 {
            regions.split(pair, config, sigma);
            let clean = |set: &Bitmap, frame: &[Plane; 3]| {
                completed(&set.opened(1), frame, radius(config.palette))
                    .opened(1)
                    .closed(radius(config.closing))
                    .filled((config.largest_hole * pixels as f32) as usize)
                    .without_small(least)
            };
            regions.current = clean(&regions.current, &pair.current);
            regions.next = clean(&regions.next, &pair.next);
        }
        regions
    }

    /// Decides which frame each changed part belongs to, and takes in the whole of the things
    /// that change in good part.
    fn split(&mut self, pair: &Measured, config: &RegionConfig, sigma: f32) {
        let Some(behind) = &pair.background else {
            self.current = self.changed.clone();
            self.next = self.changed.clone();
            self.give_to_outlined(pair, OUTLINE);
            self.give_to_strange(pair, config);
            return;
        };
        let from_current = difference(&behind.current, &pair.current, sigma);
        let from_next = difference(&behind.next, &pair.next, sigma);
        let own = |from: &Plane, other: &Plane| {
            Bitmap::of(from.width, from.height, |i| {
                let (own, pair) = (from.data[i], self.difference.data[i]);
                self.changed.data[i]
                    && (!behind.covered[i]
                        || own > (OWN_SHARE * pair).max(0.6 * self.threshold)
                        || own >= other.data[i])
            })
        };
        let (current, next) = (own(&from_current, &from_next), own(&from_next, &from_current));
        (self.current, self.next) = (current, next);
        self.give_to_outlined(pair, CLEAR_OUTLINE);
        self.give_to_strange(pair, config);
        let scale = pair.width().max(pair.height()) as f32;
        let growth = (config.growth * scale).round() as usize;
        let grown = |seeds: &Bitmap, frame: &[Plane; 3], back: &[Plane; 3], from: &Plane| {
            let threshold = threshold(from, &behind.covered, config);
            let things = Bitmap::of(from.width, from.height, |i| {
                behind.covered[i] && from.data[i] > threshold + SPREAD * behind.spread.data[i]
            });
            let things = without_shadows(&things.opened(1), frame, back, sigma);
            let things = without_ghosts(&things, seeds, frame, back);
            let seeds = without_shadows(seeds, frame, back, sigma);
            whole(&seeds, &things, config.whole, growth)
        };
        self.current = grown(&self.current, &pair.current, &behind.current, &from_current);
        self.next = grown(&self.next, &pair.next, &behind.next, &from_next);
    }

    /// Gives a pixel to the one frame whose colour there is strange to the unchanged surroundings,
    /// when the other frame's colour is familiar to them.
    fn give_to_strange(&mut self, pair: &Measured, config: &RegionConfig) {
        let (width, height) = (pair.width(), pair.height());
        let reach = (config.palette * width.max(height) as f32).round() as usize;
        let near = self.changed.dilated(2);
        let unchanged = Bitmap::of(width, height, |i| !near.data[i] && pair.covered[i]);
        let palettes = [
            Palette::new(&unchanged, &pair.current, reach),
            Palette::new(&unchanged, &pair.next, reach),
        ];
        for at in (0..width * height).filter(|&i| self.changed.data[i]) {
            let colour = |planes: &[Plane; 3]| [0, 1, 2].map(|c| planes[c].data[at]);
            let (x, y) = (at % width, at / width);
            let current = palettes[0].distance(x, y, colour(&pair.current));
            let next = palettes[1].distance(x, y, colour(&pair.next));
            let (Some(current), Some(next)) = (current, next) else { continue };
            if current > STRANGE && next < FAMILIAR {
                (self.current.data[at], self.next.data[at]) = (true, false);
            } else if next > STRANGE && current < FAMILIAR {
                (self.current.data[at], self.next.data[at]) = (false, true);
            }
        }
    }

    /// Gives each part of one ownership to the frame that shows its outline, where that is clear.
    /// Parts that both frames own need an outline `both_ratio` times stronger.
    fn give_to_outlined(&mut self, pair: &Measured, both_ratio: f32) {
        let label = |current: bool, next: bool| {
            Bitmap::of(self.changed.width, self.changed.height, |i| {
                self.current.data[i] == current && self.next.data[i] == next
            })
            .and(&self.changed)
        };
        let labels = [
            (label(true, false), OUTLINE),
            (label(false, true), OUTLINE),
            (label(true, true), both_ratio),
        ];
        for (parts, ratio) in labels {
            for part in parts.components() {
                let owner = owner(&part, &self.changed, &pair.current, &pair.next, ratio);
                if owner == Owner::Unclear {
                    continue;
                }
                for &i in &part.pixels {
                    self.current.data[i] = owner == Owner::First;
                    self.next.data[i] = owner == Owner::Second;
                }
            }
        }
    }
}

/// Largest difference over the channels, of the blurred pictures.
fn difference(first: &[Plane; 3], second: &[Plane; 3], sigma: f32) -> Plane {
    let mut largest = Plane::filled(first[0].width, first[0].height, 0.0);
    for (a, b) in first.iter().zip(second) {
        let signed = a.data.iter().zip(&b.data).map(|(a, b)| b - a).collect();
        let smooth = Plane::new(a.width, a.height, signed).blurred(sigma);
        for (value, d) in largest.data.iter_mut().zip(&smooth.data) {
            *value = value.max(d.abs());
        }
    }
    largest
}

/// The robust threshold of a difference: noise and slow changes lie below it.
fn threshold(difference: &Plane, covered: &[bool], config: &RegionConfig) -> f32 {
    let mut values: Vec<f32> =
        difference.data.iter().zip(covered).filter(|(_, c)| **c).map(|(&v, _)| v).collect();
    let middle = median(&mut values);
    for value in &mut values {
        *value = (*value - middle).abs();
    }
    let robust = middle + config.deviations * 1.4826 * median(&mut values);
    // A change that fills half of the picture must not hide itself.
    robust.clamp(config.least_difference, 3.0 * config.least_difference)
}

/// The stronger gradient of both pictures.
fn edges(first: &[Plane; 3], second: &[Plane; 3], sigma: f32) -> Plane {
    let mut strongest = Plane::filled(first[0].width, first[0].height, 0.0);
    for planes in [first, second] {
        // Green carries most of the luma.
        let (across, down) = planes[1].blurred(sigma).gradients();
        for (value, (x, y)) in strongest.data.iter_mut().zip(across.data.iter().zip(&down.data)) {
            *value = value.max(x.hypot(*y));
        }
    }
    strongest
}
