//! From events to an imperative English sentence. Every word stands in a table here or beside the
//! colours and places, so the vocabulary is known; which of several wordings is taken depends on
//! a seed and on nothing else. Nouns stay neutral: what a thing is cannot be measured.

use super::colour::{NAMES, TONES};
use super::event::{BRIGHTER, CameraMove, Event, Light, RESIZED, Scene, camera_move};
use super::parts::Part;
use super::place::{Direction, PLACES, place};
use crate::sample::BoundaryKind;
use std::collections::BTreeSet;

/// Most words of an instruction.
pub const MOST_WORDS: usize = 30;

const NOUNS: [&str; 3] = ["region", "area", "shape"];
const SMALL: &str = "small";
const LARGE: &str = "large";
const TALL: &str = "tall";
const WIDE: &str = "wide";

const ADD: [&str; 4] = [
    "add {a} {thing} {place}",
    "put {a} {thing} {place}",
    "let {a} {thing} appear {place}",
    "insert {a} {thing} {place}",
];
const REMOVE: [&str; 4] = [
    "remove the {thing} {place}",
    "erase the {thing} {place}",
    "take away the {thing} {place}",
    "delete the {thing} {place}",
];
const MOVE: [&str; 3] = [
    "move the {thing} {place} {amount} {direction}",
    "shift the {thing} {place} {amount} {direction}",
    "bring the {thing} {place} {amount} {direction}",
];
const AND_GROW: [&str; 2] = [" and make it larger", " and enlarge it"];
const AND_SHRINK: [&str; 2] = [" and make it smaller", " and shrink it"];
const GROW: [&str; 3] = [
    "enlarge the {thing} {place}",
    "make the {thing} {place} larger",
    "let the {thing} {place} grow",
];
const SHRINK: [&str; 3] = [
    "shrink the {thing} {place}",
    "make the {thing} {place} smaller",
    "reduce the size of the {thing} {place}",
];
const RECOLOUR: [&str; 3] = [
    "change the color of the {thing} {place} to {color}",
    "turn the {thing} {place} {color}",
    "make the {thing} {place} {color}",
];
const ALTER: [&str; 3] = [
    "alter the {thing} {place}",
    "change the look of the {thing} {place}",
    "modify the {thing} {place}",
];
const SLIGHTLY: [&str; 2] = ["slightly", "a little"];
const FAR: [&str; 2] = ["far", "a long way"];
const BRIGHTEN: [&str; 3] = [
    "brighten the whole picture {amount}",
    "make the whole picture {amount} brighter",
    "lighten the whole image {amount}",
];
const DARKEN: [&str; 3] = [
    "darken the whole picture {amount}",
    "make the whole picture {amount} darker",
    "dim the whole image {amount}",
];
const MORE_CONTRAST: [&str; 2] =
    ["increase the contrast of the whole picture", "give the whole picture more contrast"];
const LESS_CONTRAST: [&str; 2] =
    ["lower the contrast of the whole picture", "give the whole picture less contrast"];
const TINT: [&str; 2] =
    ["tint the whole picture {color}", "shift the colors of the whole picture towards {color}"];
const PAN: [&str; 3] = [
    "pan the camera {amount} {direction}",
    "move the camera {amount} {direction}",
    "shift the view {amount} {direction}",
];
const ZOOM_IN: [&str; 3] =
    ["zoom in {amount}", "zoom the camera in {amount}", "zoom {amount} into the scene"];
const ZOOM_OUT: [&str; 3] =
    ["zoom out {amount}", "zoom the camera out {amount}", "zoom {amount} out of the scene"];
const FORWARD: [&str; 3] = [
    "move the camera forward {amount}",
    "move the view forward {amount}",
    "advance the camera {amount}",
];
const BACKWARD: [&str; 3] = [
    "move the camera backward {amount}",
    "move the view backward {amount}",
    "pull the camera back {amount}",
];
const TURN: [&str; 2] = ["rotate the picture {amount} {turn}", "turn the picture {amount} {turn}"];
const TURNS: [&str; 2] = ["clockwise", "counterclockwise"];
const SCENE: [&str; 2] =
    ["{cut} to a different, mostly {color} scene", "{cut} to another scene that is mostly {color}"];
const CUTS: [&str; 4] = ["cut", "dissolve", "fade", "switch"];
const KEEP: [&str; 2] = ["keep the picture as it is", "leave the picture unchanged"];
const JOIN: &str = ", and ";

/// Deterministic choice between wordings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wording {
    seed: u64,
}

impl Wording {
    /// Choices for one transition: the run's seed, the session and the transition's number.
    pub(crate) fn new(seed: u64, key: &str, index: usize) -> Self {
        let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in key.bytes().chain((index as u64).to_le_bytes()) {
            state = mixed(state ^ u64::from(byte));
        }
        Self { seed: state }
    }

    fn pick<'a>(&self, choices: &[&'a str], salt: usize) -> &'a str {
        let drawn = mixed(self.seed ^ mixed(salt as u64 + 1));
        choices[(drawn % choices.len() as u64) as usize]
    }

    /// The noun of this transition, one for all of its parts.
    fn noun(&self) -> &'static str {
        self.pick(&NOUNS, 0)
    }

    /// A part's words without article and place, as `small dark blue region`.
    fn thing(&self, part: &Part) -> String {
        let size = if part.share < 0.01 {
            Some(SMALL)
        } else if part.share > 0.15 {
            Some(LARGE)
        } else if part.slenderness > 1.7 {
            Some(TALL)
        } else if part.slenderness < 1.0 / 1.7 {
            Some(WIDE)
        } else {
            None
        };
        let words = [size.unwrap_or(""), &part.colours.words(), self.noun()].join(" ");
        words.trim_start().to_owned()
    }

    /// The phrase that finds a part again, as `small red region at the top`.
    pub(crate) fn phrase(&self, part: &Part) -> String {
        format!("{} {}", self.thing(part), place(part.centre.0, part.centre.1))
    }

    /// The sentence for the events that matter and fit into `MOST_WORDS`, the first ones first, and
    /// how many of them it tells. At least one is told.
    pub(crate) fn sentence(
        &self,
        events: &[Event],
        current: &[Part],
        next: &[Part],
    ) -> (String, usize) {
        let weight = |event: &Event| {
            let of = |list: &[Part], at: Option<usize>| at.map_or(0.0, |at| list[at].weight());
            of(current, event.current()).max(of(next, event.next()))
        };
        let strongest = events.iter().map(weight).fold(0.0, f32::max);
        let mut text = String::new();
        let mut told = 0;
        for (salt, event) in events.iter().enumerate() {
            let is_part = event.current().or(event.next()).is_some();
            if is_part && weight(event) < MINOR * strongest {
                continue;
            }
            let clause = self.clause(event, current, next, 10 * (salt + 1));
            let longer = if text.is_empty() { clause } else { [text.as_str(), &clause].join(JOIN) };
            let is_full = told == MOST_CLAUSES || longer.split_whitespace().count() > MOST_WORDS;
            if told > 0 && is_full {
                break;
            }
            text = longer;
            told += 1;
        }
        if text.is_empty() {
            text = self.pick(&KEEP, 1).to_owned();
        }
        (finished(&text), told)
    }

    fn clause(&self, event: &Event, current: &[Part], next: &[Part], salt: usize) -> String {
        let part_text = |templates: &[&str], part: &Part| {
            let thing = self.thing(part);
            self.pick(templates, salt)
                .replace("{a}", article(&thing))
                .replace("{thing}", &thing)
                .replace("{place}", place(part.centre.0, part.centre.1))
        };
        match *event {
            Event::Add { next: j } => part_text(&ADD, &next[j]),
            Event::Remove { current: i } => part_text(&REMOVE, &current[i]),
            Event::Move { current: i, shift, ratio, .. } => {
                let moved = part_text(&MOVE, &current[i])
                    .replace("{direction}", Direction::of(shift.0, shift.1).words());
                let moved = self.amount(&moved, shift.0.hypot(shift.1), salt);
                let resized = if ratio > 1.3 * RESIZED {
                    self.pick(&AND_GROW, salt + 1)
                } else if ratio < 1.0 / (1.3 * RESIZED) {
                    self.pick(&AND_SHRINK, salt + 1)
                } else {
                    ""
                };
                moved + resized
            }
            Event::Resize { current: i, ratio, .. } => {
                part_text(if ratio > 1.0 { &GROW } else { &SHRINK }, &current[i])
            }
            Event::Recolour { current: i, next: j } => {
                part_text(&RECOLOUR, &current[i]).replace("{color}", &next[j].colours.first.words())
            }
            Event::Alter { current: i, .. } => part_text(&ALTER, &current[i]),
            Event::Light(light) => self.light(&light, salt),
            Event::Camera { motion, is_compensated } => {
                self.camera(camera_move(&motion), is_compensated, salt)
            }
            Event::Scene { kind, colour } => {
                let cut = match kind {
                    Scene::Boundary(BoundaryKind::Cut) => CUTS[0],
                    Scene::Boundary(BoundaryKind::Dissolve) => CUTS[1],
                    Scene::Boundary(BoundaryKind::Fade) => CUTS[2],
                    Scene::Unrelated => CUTS[3],
                };
                self.pick(&SCENE, salt).replace("{cut}", cut).replace("{color}", &colour.words())
            }
        }
    }

    fn light(&self, light: &Light, salt: usize) -> String {
        if light.brightness.abs() >= BRIGHTER {
            let templates = if light.brightness > 0.0 { &BRIGHTEN } else { &DARKEN };
            let is_slight = light.brightness.abs() < 2.5 * BRIGHTER;
            let amount = if is_slight { self.pick(&SLIGHTLY, salt + 1) } else { "" };
            fill_amount(self.pick(templates, salt), amount)
        } else if light.is_contrast() {
            let templates = if light.contrast > 1.0 { &MORE_CONTRAST } else { &LESS_CONTRAST };
            self.pick(templates, salt).to_owned()
        } else {
            let by_size =
                |a: &usize, b: &usize| light.tint[*a].abs().total_cmp(&light.tint[*b].abs());
            let channel = (0..3).max_by(by_size).unwrap_or(0);
            // Less of one primary is more of the color opposite to it.
            let names =
                if light.tint[channel] > 0.0 { ["red", "green", "blue"] } else { OPPOSITES };
            self.pick(&TINT, salt).replace("{color}", names[channel])
        }
    }

    fn camera(&self, camera: CameraMove, is_compensated: bool, salt: usize) -> String {
        match camera {
            CameraMove::Pan(direction, distance) => {
                let text = self.pick(&PAN, salt).replace("{direction}", direction.words());
                self.amount(&text, distance, salt)
            }
            CameraMove::Zoom(zoom) => {
                // A drive is told from a zoom by the scenery that no single zoom explains.
                let templates = match (zoom > 1.0, is_compensated) {
                    (true, true) => &ZOOM_IN,
                    (false, true) => &ZOOM_OUT,
                    (true, false) => &FORWARD,
                    (false, false) => &BACKWARD,
                };
                self.amount(self.pick(templates, salt), (zoom - 1.0).abs(), salt)
            }
            CameraMove::Turn(degrees) => {
                let turn = if degrees > 0.0 { TURNS[0] } else { TURNS[1] };
                let text = self.pick(&TURN, salt).replace("{turn}", turn);
                self.amount(&text, degrees.abs() / 100.0, salt)
            }
        }
    }

    /// Fills in how far something goes, in picture widths.
    fn amount(&self, text: &str, distance: f32, salt: usize) -> String {
        let amount = if distance < 0.07 {
            self.pick(&SLIGHTLY, salt + 2)
        } else if distance > 0.35 {
            self.pick(&FAR, salt + 2)
        } else {
            ""
        };
        fill_amount(text, amount)
    }
}

/// Most events that one sentence tells.
const MOST_CLAUSES: usize = 3;
/// Parts of less than this share of the weightiest part's weight are not told.
const MINOR: f32 = 0.2;
/// Colors of a picture that lacks red, green or blue.
const OPPOSITES: [&str; 3] = ["cyan", "purple", "yellow"];

/// Replaces the amount and the space that an empty one leaves.
fn fill_amount(text: &str, amount: &str) -> String {
    let filled = text.replace("{amount}", amount);
    filled.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn article(thing: &str) -> &'static str {
    if thing.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// A sentence: a capital first letter and a full stop.
fn finished(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str() + "."
    })
}

/// A well-mixed number from another (Steele, Lea and Flood's split-mix).
fn mixed(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The words of a text as the vocabulary counts them: runs of letters and digits, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

/// Every word that the builtin describer can write, sorted, each once, as `words` splits them.
pub fn vocabulary() -> Vec<String> {
    let tables: [&[&str]; 35] = [
        &NOUNS,
        &[SMALL, LARGE, TALL, WIDE],
        &ADD,
        &REMOVE,
        &MOVE,
        &AND_GROW,
        &AND_SHRINK,
        &GROW,
        &SHRINK,
        &RECOLOUR,
        &ALTER,
        &SLIGHTLY,
        &FAR,
        &BRIGHTEN,
        &DARKEN,
        &MORE_CONTRAST,
        &LESS_CONTRAST,
        &TINT,
        &PAN,
        &ZOOM_IN,
        &ZOOM_OUT,
        &FORWARD,
        &BACKWARD,
        &TURN,
        &TURNS,
        &SCENE,
        &CUTS,
        &KEEP,
        &[JOIN],
        &NAMES,
        &TONES,
        &PLACES,
        &OPPOSITES,
        &["a", "an", "and"],
        &["red", "green", "blue"],
    ];
    let directions = Direction::all().map(Direction::words);
    let mut found = BTreeSet::new();
    for text in tables.into_iter().flatten().chain(&directions) {
        // Placeholders are not words.
        let plain: String = text
            .split('{')
            .map(|piece| piece.split_once('}').map_or(piece, |(_, rest)| rest))
            .collect::<Vec<_>>()
            .join(" ");
        found.extend(words(&plain));
    }
    found.into_iter().collect()
}
