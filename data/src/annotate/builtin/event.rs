//! What happens between two frames, as far as it can be measured.

use super::colour::{Colour, Colours};
use super::exposure::Exposure;
use super::measure::{CAMERA_MOVES, Camera, Measured};
use super::parts::{Part, matches, overlap};
use super::place::Direction;
use crate::sample::BoundaryKind;
use crate::sample::motion::Similarity;

/// One thing that happens. Parts are given by their index in the lists of the analysis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A new shot.
    Scene { kind: Scene, colour: Colour },
    /// The camera moves.
    Camera { motion: Similarity, is_compensated: bool },
    /// Something has come.
    Add { next: usize },
    /// Something has gone.
    Remove { current: usize },
    /// Something is elsewhere; `ratio` is its new area by the old one.
    Move { current: usize, next: usize, shift: (f32, f32), ratio: f32 },
    /// Something is larger or smaller where it is.
    Resize { current: usize, next: usize, ratio: f32 },
    /// Something has another colour.
    Recolour { current: usize, next: usize },
    /// Something changes where it is, and no more can be said.
    Alter { current: usize, next: usize },
    /// The light of the whole picture changes.
    Light(Light),
}

/// How a scene gives way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// The video has a boundary there.
    Boundary(BoundaryKind),
    /// The pictures have nothing in common.
    Unrelated,
}

/// A change of the whole picture's light; levels are means over the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Light {
    /// Change of luma, grey levels.
    pub(crate) brightness: f32,
    /// Contrast, new by old.
    pub(crate) contrast: f32,
    /// Change of R, G and B beside the luma, grey levels.
    pub(crate) tint: [f32; 3],
}

/// A shift counts as a move above this, picture widths...
const MOVED: f32 = 0.02;
/// ...and above this share of the thing's own size.
const MOVED_OWN: f32 = 0.15;
/// An area counts as changed beyond this factor.
pub(crate) const RESIZED: f32 = 1.35;
/// Colours count as changed when their histograms overlap by less.
const RECOLOURED: f32 = 0.45;
/// A recolouring stays in its place by this much.
const IN_PLACE: f32 = 0.5;
/// Importance of a change of which no more can be said than that it is one.
pub(crate) const VAGUE: f32 = 0.5;
/// Brightness counts from here, grey levels.
pub(crate) const BRIGHTER: f32 = 8.0;
/// Contrast counts beyond this factor.
pub(crate) const CONTRASTED: f32 = 1.2;
/// Tint counts from here, grey levels of the strongest channel.
pub(crate) const TINTED: f32 = 7.0;

impl Event {
    /// The word in records.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Scene { kind: Scene::Boundary(kind), .. } => kind.name(),
            Self::Scene { kind: Scene::Unrelated, .. } => "scene_change",
            Self::Camera { .. } => "camera",
            Self::Add { .. } => "add",
            Self::Remove { .. } => "remove",
            Self::Move { .. } => "move",
            Self::Resize { ratio, .. } if *ratio > 1.0 => "grow",
            Self::Resize { .. } => "shrink",
            Self::Recolour { .. } => "recolor",
            Self::Alter { .. } => "alter",
            Self::Light(_) => "light",
        }
    }

    /// The part of the current frame that takes part.
    pub(crate) fn current(&self) -> Option<usize> {
        match *self {
            Self::Remove { current }
            | Self::Move { current, .. }
            | Self::Resize { current, .. }
            | Self::Recolour { current, .. }
            | Self::Alter { current, .. } => Some(current),
            Self::Scene { .. } | Self::Camera { .. } | Self::Add { .. } | Self::Light(_) => None,
        }
    }

    /// The part of the next frame that takes part.
    pub(crate) fn next(&self) -> Option<usize> {
        match *self {
            Self::Add { next }
            | Self::Move { next, .. }
            | Self::Resize { next, .. }
            | Self::Recolour { next, .. }
            | Self::Alter { next, .. } => Some(next),
            Self::Scene { .. } | Self::Camera { .. } | Self::Remove { .. } | Self::Light(_) => None,
        }
    }
}

impl Event {
    /// How much a part's event matters: by the part, and by how much there is to say. 0 for what
    /// happens to no part.
    pub(crate) fn importance(&self, current: &[Part], next: &[Part]) -> f32 {
        let weight = |list: &[Part], at: Option<usize>| at.map_or(0.0, |at| list[at].weight);
        let heavier = weight(current, self.current()).max(weight(next, self.next()));
        if matches!(self, Self::Alter { .. }) { VAGUE * heavier } else { heavier }
    }
}

impl Light {
    /// The change of light of a pair.
    pub(crate) fn of(pair: &Measured, light: &Exposure) -> Self {
        let mean = |c: usize| {
            let plane = &pair.current[c].data;
            plane.iter().sum::<f32>() / plane.len().max(1) as f32
        };
        let change = [0, 1, 2].map(|c| (light.gain[c] - 1.0) * mean(c) + light.offset[c]);
        let brightness = 0.299 * change[0] + 0.587 * change[1] + 0.114 * change[2];
        Self {
            brightness,
            contrast: light.gain.iter().sum::<f32>() / 3.0,
            tint: change.map(|v| v - brightness),
        }
    }

    /// Whether the light changes enough to be told.
    pub(crate) fn is_notable(&self) -> bool {
        self.brightness.abs() >= BRIGHTER || self.is_contrast() || self.is_tint()
    }

    /// Whether the contrast changes enough to be told.
    pub(crate) fn is_contrast(&self) -> bool {
        self.contrast > CONTRASTED || self.contrast < 1.0 / CONTRASTED
    }

    /// Whether the tint changes enough to be told.
    pub(crate) fn is_tint(&self) -> bool {
        self.tint.iter().any(|t| t.abs() >= TINTED)
    }
}

/// The events of a pair within one scene, not yet in order.
pub(crate) fn events(
    pair: &Measured,
    current: &[Part],
    next: &[Part],
    light: &Light,
) -> Vec<Event> {
    let mut found = Vec::new();
    match pair.camera {
        Camera::Compensated(motion) => found.push(Event::Camera { motion, is_compensated: true }),
        Camera::Travels(motion) => found.push(Event::Camera { motion, is_compensated: false }),
        Camera::Still | Camera::Unknown => {}
    }
    let matched = matches(current, next);
    found.extend(matched.iter().map(|&(i, j)| changed(i, j, &current[i], &next[j])));
    let is_left = |i: &usize| matched.iter().all(|m| m.0 != *i);
    found.extend((0..current.len()).filter(is_left).map(|current| Event::Remove { current }));
    let is_left = |j: &usize| matched.iter().all(|m| m.1 != *j);
    found.extend((0..next.len()).filter(is_left).map(|next| Event::Add { next }));
    found.extend(light.is_notable().then_some(Event::Light(*light)));
    found
}

/// Puts events in the order in which they are told: the scene and the camera, then the parts by
/// importance, then the light.
pub(crate) fn sort(events: &mut [Event], current: &[Part], next: &[Part]) {
    let rank = |event: &Event| match event {
        Event::Scene { .. } | Event::Camera { .. } => 0,
        Event::Add { .. }
        | Event::Remove { .. }
        | Event::Move { .. }
        | Event::Resize { .. }
        | Event::Recolour { .. }
        | Event::Alter { .. } => 1,
        Event::Light(_) => 2,
    };
    events.sort_by(|a, b| {
        let importance = |event: &Event| event.importance(current, next);
        rank(a).cmp(&rank(b)).then(importance(b).total_cmp(&importance(a)))
    });
}

/// What happens to a part that both frames show.
fn changed(i: usize, j: usize, a: &Part, b: &Part) -> Event {
    let shift = (b.anchor.0 - a.anchor.0, b.anchor.1 - a.anchor.1);
    let distance = shift.0.hypot(shift.1);
    let ratio = b.share / a.share;
    // Areas are shares of the picture and lengths are shares of its width; close enough here.
    let own = a.share.max(b.share).sqrt();
    let place = overlap(&a.component, &b.component);
    if place >= IN_PLACE
        && a.colours.overlap(&b.colours) < RECOLOURED
        && !a.colours.first.has_name_of(b.colours.first)
    {
        Event::Recolour { current: i, next: j }
    } else if distance > MOVED && distance > MOVED_OWN * own {
        Event::Move { current: i, next: j, shift, ratio }
    } else if !(1.0 / RESIZED..=RESIZED).contains(&ratio) {
        Event::Resize { current: i, next: j, ratio }
    } else {
        Event::Alter { current: i, next: j }
    }
}

/// What the camera does, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CameraMove {
    /// The view moves over the scene.
    Pan(Direction, f32),
    /// The scene grows or shrinks; above 1 it grows.
    Zoom(f32),
    /// The scene turns; positive turns it clockwise.
    Turn(f32),
}

/// The strongest move of a camera motion: the one whose parameter displaces the corners most.
pub(crate) fn camera_move(motion: &Similarity) -> CameraMove {
    let pan = motion.x.hypot(motion.y);
    let zoom = 0.5 * (motion.zoom() - 1.0).abs();
    let turn = 0.5 * motion.rotation_degrees().to_radians().abs();
    if pan.max(zoom).max(turn) < 0.2 * CAMERA_MOVES {
        return CameraMove::Zoom(motion.zoom());
    }
    if zoom >= pan && zoom >= turn {
        CameraMove::Zoom(motion.zoom())
    } else if pan >= turn {
        // When the scene goes left the view goes right.
        CameraMove::Pan(Direction::of(-motion.x, -motion.y), pan)
    } else {
        CameraMove::Turn(motion.rotation_degrees())
    }
}

/// The colour that most of a scene has.
pub(crate) fn scene_colour(picture: &[crate::sample::plane::Plane; 3]) -> Colour {
    let all: Vec<usize> = (0..picture[0].data.len()).collect();
    Colours::of(picture, &all).first
}
