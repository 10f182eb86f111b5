//! All that is measured of one pair: made once, read by describer, grounder and segmenter.

use super::background::Background;
use super::bitmap::Bitmap;
use super::config::BuiltinConfig;
use super::event::{Event, Light, Scene, events, scene_colour, sort};
use super::measure::{Camera, Measured};
use super::parts::{Part, parts};
use super::pieces::refine;
use super::refine::mask;
use super::regions::Regions;
use super::wording::Wording;
use crate::Mask;
use crate::annotate::seams::{Pair, Scope, Side};
use crate::sample::motion::Similarity;

/// A measured pair with its regions, parts and events.
pub(crate) struct Analysis {
    pub(crate) measured: Measured,
    pub(crate) regions: Regions,
    pub(crate) current: Vec<Part>,
    pub(crate) next: Vec<Part>,
    pub(crate) light: Light,
    /// What happens, the most important first.
    pub(crate) events: Vec<Event>,
    pub(crate) scope: Scope,
    /// Phrases of the parts, current and next.
    pub(crate) phrases: [Vec<String>; 2],
    pub(crate) instruction: String,
    /// Events that the instruction tells.
    pub(crate) told: usize,
    /// Refined masks of the whole regions, made when first asked for.
    masks: [Option<Mask>; 2],
}

impl Analysis {
    /// Measures a pair.
    pub(crate) fn of(
        pair: &Pair<'_>,
        background: Option<&Background>,
        config: &BuiltinConfig,
    ) -> Self {
        let (current_image, next_image) = (&pair.current.image, &pair.next.image);
        let side = config.analysis_side;
        let measured =
            Measured::of(current_image, next_image, pair.context.camera, background, side);
        let regions = Regions::of(&measured, &config.regions);
        let light = Light::of(&measured, &measured.light);
        let list = |set: &Bitmap, planes, motion: &Similarity| {
            parts(set, planes, &regions.difference, motion)
        };
        let mut current = list(&regions.current, &measured.current, &Similarity::IDENTITY);
        let mut next = list(&regions.next, &measured.next, &measured.undone);
        let scene = match (pair.context.boundary, measured.camera) {
            (Some(boundary), _) => Some(Scene::Boundary(boundary.kind)),
            (None, Camera::Unknown) => Some(Scene::Unrelated),
            _ => None,
        };
        let (events, scope) = if let Some(kind) = scene {
            // The next frame's own colours: it is not on the current frame's grid here.
            let colour = scene_colour(&measured.next);
            (vec![Event::Scene { kind, colour }], Scope::Global)
        } else {
            if let Camera::Travels(_) = measured.camera {
                // What moves beside the camera cannot be told from what the camera moves.
                current.clear();
                next.clear();
            }
            let mut events = events(&measured, &current, &next, &light);
            refine(&mut events, &mut current, &mut next, &measured, &regions);
            sort(&mut events, &current, &next);
            let scope = if !current.is_empty() || !next.is_empty() {
                Scope::Parts
            } else if events.is_empty() {
                Scope::Unchanged
            } else {
                Scope::Global
            };
            (events, scope)
        };
        if scope != Scope::Parts {
            current.clear();
            next.clear();
        }
        let wording = Wording::new(pair.seed, pair.key, pair.index);
        let (instruction, told) = wording.sentence(&events, &current, &next);
        let phrase = |part: &Part| wording.phrase(part);
        let phrases = [current.iter().map(phrase).collect(), next.iter().map(phrase).collect()];
        Self {
            measured,
            regions,
            current,
            next,
            light,
            events,
            scope,
            phrases,
            instruction,
            told,
            masks: [None, None],
        }
    }

    /// The parts on one side.
    pub(crate) fn parts(&self, side: Side) -> &[Part] {
        match side {
            Side::Current => &self.current,
            Side::Next => &self.next,
        }
    }

    /// The phrases of the parts on one side.
    pub(crate) fn phrases(&self, side: Side) -> &[String] {
        &self.phrases[side as usize]
    }

    /// The refined mask of everything that changes on one side, frame size.
    pub(crate) fn region_mask(&mut self, pair: &Pair<'_>, side: Side) -> &Mask {
        let (region, motion) = match side {
            Side::Current => (&self.regions.current, Similarity::IDENTITY),
            Side::Next => (&self.regions.next, self.measured.undone),
        };
        let frame = &pair.frame(side).image;
        self.masks[side as usize].get_or_insert_with(|| mask(region, frame, &motion))
    }

    /// The pixels of the whole mask that belong to one part.
    pub(crate) fn part_mask(&mut self, pair: &Pair<'_>, side: Side, part: usize) -> Mask {
        let (width, height) = (self.regions.current.width, self.regions.current.height);
        let mut set = Bitmap::empty(width, height);
        set.insert(&self.parts(side)[part].component.pixels);
        // Refinement moves an edge by a few pixels at most.
        let near = set.dilated(4);
        let motion = match side {
            Side::Current => Similarity::IDENTITY,
            Side::Next => self.measured.undone.inverse(),
        };
        let whole = self.region_mask(pair, side);
        let mut data = whole.data.clone();
        for (at, value) in data.iter_mut().enumerate().filter(|(_, v)| **v > 0) {
            let (x, y) = (at % whole.width, at / whole.width);
            let (x, y) =
                ((x as f32 + 0.5) / whole.width as f32, (y as f32 + 0.5) / whole.height as f32);
            let aspect = height as f32 / width as f32;
            let (u, v) = motion.apply(x - 0.5, (y - 0.5) * aspect);
            let (x, y) = ((u + 0.5) * width as f32, (v / aspect + 0.5) * height as f32);
            let col = (x.max(0.0) as usize).min(width - 1);
            let row = (y.max(0.0) as usize).min(height - 1);
            if !near.data[row * width + col] {
                *value = 0;
            }
        }
        Mask::new(whole.width, whole.height, data)
    }
}
