//! The parts of a region with what can be measured of each, and which part of the current frame
//! is which part of the next.

use super::bitmap::{Bitmap, Component};
use super::colour::Colours;
use crate::sample::motion::Similarity;
use crate::sample::plane::Plane;

/// Histograms must overlap by this much for two parts to be one thing elsewhere.
const SAME_COLOURS: f32 = 0.5;
/// The smaller must have this share of the larger's area.
const SAME_SIZE: f32 = 0.25;
/// And they must be no farther apart than this, picture widths.
const NEAR: f32 = 0.65;
/// Parts that overlap by this much are the same place, whatever their colours.
const SAME_PLACE: f32 = 0.35;

/// A connected part of a region.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Its pixels on the analysis grid of the current frame.
    pub(crate) component: Component,
    /// Its share of the picture.
    pub(crate) share: f32,
    /// Its centre in its own frame, shares of width and height.
    pub(crate) centre: (f32, f32),
    /// Left, top, right and bottom in its own frame, shares of width and height.
    pub(crate) bounds: [f32; 4],
    /// Height of its bounds by their width, as seen on the screen.
    pub(crate) slenderness: f32,
    /// Its centre on the common grid, picture widths.
    pub(crate) anchor: (f32, f32),
    /// Its colours in its own frame.
    pub(crate) colours: Colours,
    /// Mean difference of the pair within it, grey levels.
    pub(crate) strength: f32,
    /// How much it matters: by its area and how strongly it changes.
    pub(crate) weight: f32,
}

/// The parts of a region, the weightiest first. `motion` brings the grid to the part's own frame.
pub(crate) fn parts(
    region: &Bitmap,
    picture: &[Plane; 3],
    difference: &Plane,
    motion: &Similarity,
) -> Vec<Part> {
    let (width, height) = (region.width as f32, region.height as f32);
    let to_own_frame = |x: f32, y: f32| {
        let unit = width;
        let (u, v) = motion.apply((x - 0.5 * width) / unit, (y - 0.5 * height) / unit);
        ((u * unit / width + 0.5).clamp(0.0, 1.0), (v * unit / height + 0.5).clamp(0.0, 1.0))
    };
    let mut found: Vec<Part> = region
        .components()
        .into_iter()
        .map(|component| {
            let count = component.pixels.len() as f32;
            let sum = |of: &dyn Fn(usize) -> f32| component.pixels.iter().map(|&i| of(i)).sum();
            let x: f32 = sum(&|i| (i % region.width) as f32 + 0.5);
            let y: f32 = sum(&|i| (i / region.width) as f32 + 0.5);
            let strength: f32 = sum(&|i| difference.data[i]);
            let (x, y) = (x / count, y / count);
            let [left, top, right, bottom] = component.bounds.map(|v| v as f32);
            let corners = [(left, top), (right, top), (left, bottom), (right, bottom)]
                .map(|(x, y)| to_own_frame(x, y));
            let fold = |of: fn(f32, f32) -> f32, start: f32, axis: fn(&(f32, f32)) -> f32| {
                corners.iter().map(axis).fold(start, of)
            };
            let bounds = [
                fold(f32::min, 1.0, |c| c.0),
                fold(f32::min, 1.0, |c| c.1),
                fold(f32::max, 0.0, |c| c.0),
                fold(f32::max, 0.0, |c| c.1),
            ];
            let across = ((bounds[2] - bounds[0]) * width).max(1.0);
            Part {
                share: count / (width * height),
                centre: to_own_frame(x, y),
                bounds,
                slenderness: ((bounds[3] - bounds[1]) * height).max(1.0) / across,
                anchor: (x / width, y / width),
                colours: Colours::of(picture, &component.pixels),
                strength: strength / count,
                weight: count / (width * height) * (strength / count + 20.0),
                component,
            }
        })
        .collect();
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    found
}

/// Which part of the current frame is which of the next: indices into both lists. Each part is
/// used once; what is left has gone or come.
pub(crate) fn matches(current: &[Part], next: &[Part]) -> Vec<(usize, usize)> {
    let mut scored = Vec::new();
    for (i, a) in current.iter().enumerate() {
        for (j, b) in next.iter().enumerate() {
            if let Some(score) = likeness(a, b) {
                scored.push((score, i, j));
            }
        }
    }
    // Equal scores fall back on the order of the lists, which is fixed.
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    for (_, i, j) in scored {
        if chosen.iter().all(|&(a, b)| a != i && b != j) {
            chosen.push((i, j));
        }
    }
    chosen
}

/// How likely two parts show one thing; none when they cannot.
fn likeness(a: &Part, b: &Part) -> Option<f32> {
    let colours = a.colours.overlap(&b.colours);
    let size = a.share.min(b.share) / a.share.max(b.share);
    let distance = (a.anchor.0 - b.anchor.0).hypot(a.anchor.1 - b.anchor.1);
    let place = overlap(&a.component, &b.component);
    let is_same = colours >= SAME_COLOURS && size >= SAME_SIZE && distance < NEAR;
    (is_same || place >= SAME_PLACE).then_some(colours + 0.5 * size - 0.7 * distance + 1.5 * place)
}

/// Intersection over union of two parts.
pub(crate) fn overlap(a: &Component, b: &Component) -> f32 {
    let (mut i, mut j, mut both) = (0, 0, 0usize);
    while i < a.pixels.len() && j < b.pixels.len() {
        match a.pixels[i].cmp(&b.pixels[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                both += 1;
                i += 1;
                j += 1;
            }
        }
    }
    both as f32 / (a.pixels.len() + b.pixels.len() - both).max(1) as f32
}
