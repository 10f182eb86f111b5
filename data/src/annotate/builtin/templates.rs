//! Every word of the builtin describer: sentence templates and the tables that fill them, with
//! the vocabulary that they span. `{...}` marks what is filled in.

use super::colour::{Name, TONES};
use super::place::{Direction, PLACES};
use std::collections::BTreeSet;

/// Neutral nouns.
pub(super) const NOUNS: [&str; 3] = ["region", "area", "shape"];
/// Sizes and shapes.
pub(super) const SMALL: &str = "small";
pub(super) const LARGE: &str = "large";
pub(super) const TALL: &str = "tall";
pub(super) const WIDE: &str = "wide";

/// A thing comes.
pub(super) const ADD: [&str; 4] = [
    "add {a} {thing} {place}",
    "put {a} {thing} {place}",
    "let {a} {thing} appear {place}",
    "insert {a} {thing} {place}",
];
/// A thing goes.
pub(super) const REMOVE: [&str; 4] = [
    "remove the {thing} {place}",
    "erase the {thing} {place}",
    "take away the {thing} {place}",
    "delete the {thing} {place}",
];
/// A thing goes from one place to another.
pub(super) const MOVE: [&str; 3] = [
    "move the {thing} {place} {amount} {direction}",
    "shift the {thing} {place} {amount} {direction}",
    "bring the {thing} {place} {amount} {direction}",
];
pub(super) const AND_GROW: [&str; 2] = [" and make it larger", " and enlarge it"];
pub(super) const AND_SHRINK: [&str; 2] = [" and make it smaller", " and shrink it"];
/// A thing changes its size.
pub(super) const GROW: [&str; 3] = [
    "enlarge the {thing} {place}",
    "make the {thing} {place} larger",
    "let the {thing} {place} grow",
];
pub(super) const SHRINK: [&str; 3] = [
    "shrink the {thing} {place}",
    "make the {thing} {place} smaller",
    "reduce the size of the {thing} {place}",
];
/// A thing changes its color.
pub(super) const RECOLOUR: [&str; 3] = [
    "change the color of the {thing} {place} to {color}",
    "turn the {thing} {place} {color}",
    "make the {thing} {place} {color}",
];
/// A thing changes and no more can be said.
pub(super) const ALTER: [&str; 3] = [
    "alter the {thing} {place}",
    "change the look of the {thing} {place}",
    "modify the {thing} {place}",
];
/// Amounts.
pub(super) const SLIGHTLY: [&str; 2] = ["slightly", "a little"];
pub(super) const FAR: [&str; 2] = ["far", "a long way"];
/// The light changes.
pub(super) const BRIGHTEN: [&str; 3] = [
    "brighten the whole picture {amount}",
    "make the whole picture {amount} brighter",
    "lighten the whole image {amount}",
];
pub(super) const DARKEN: [&str; 3] = [
    "darken the whole picture {amount}",
    "make the whole picture {amount} darker",
    "dim the whole image {amount}",
];
pub(super) const MORE_CONTRAST: [&str; 2] =
    ["increase the contrast of the whole picture", "give the whole picture more contrast"];
pub(super) const LESS_CONTRAST: [&str; 2] =
    ["lower the contrast of the whole picture", "give the whole picture less contrast"];
pub(super) const TINT: [&str; 2] =
    ["tint the whole picture {color}", "shift the colors of the whole picture towards {color}"];
/// The camera moves.
pub(super) const PAN: [&str; 3] = [
    "pan the camera {amount} {direction}",
    "move the camera {amount} {direction}",
    "shift the view {amount} {direction}",
];
pub(super) const ZOOM_IN: [&str; 3] =
    ["zoom in {amount}", "zoom the camera in {amount}", "zoom {amount} into the scene"];
pub(super) const ZOOM_OUT: [&str; 3] =
    ["zoom out {amount}", "zoom the camera out {amount}", "zoom {amount} out of the scene"];
pub(super) const FORWARD: [&str; 3] = [
    "move the camera forward {amount}",
    "move the view forward {amount}",
    "advance the camera {amount}",
];
pub(super) const BACKWARD: [&str; 3] = [
    "move the camera backward {amount}",
    "move the view backward {amount}",
    "pull the camera back {amount}",
];
pub(super) const TURN: [&str; 2] =
    ["rotate the picture {amount} {turn}", "turn the picture {amount} {turn}"];
pub(super) const TURNS: [&str; 2] = ["clockwise", "counterclockwise"];
/// The scene changes.
pub(super) const SCENE: [&str; 2] =
    ["{cut} to a different, mostly {color} scene", "{cut} to another scene that is mostly {color}"];
pub(super) const CUTS: [&str; 4] = ["cut", "dissolve", "fade", "switch"];
/// Nothing changes.
pub(super) const KEEP: [&str; 2] = ["keep the picture as it is", "leave the picture unchanged"];
/// Between clauses.
pub(super) const JOIN: &str = ", and ";
/// Colors of a picture with too much red, green or blue...
pub(super) const PRIMARIES: [&str; 3] = ["red", "green", "blue"];
/// ...and of one with too little of it.
pub(super) const OPPOSITES: [&str; 3] = ["cyan", "purple", "yellow"];
/// Words before a thing.
pub(super) const ARTICLES: [&str; 2] = ["a", "an"];

/// The words of a text as the vocabulary counts them: runs of letters and digits, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase)
}

/// Every word that the builtin describer can write, sorted, each once, as `words` splits them.
pub fn vocabulary() -> Vec<String> {
    let tables: [&[&str]; 34] = [
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
        &TONES,
        &PLACES,
        &OPPOSITES,
        &ARTICLES,
        &PRIMARIES,
    ];
    let directions = Direction::all().map(Direction::words);
    let colours = Name::ALL.map(Name::word);
    let mut found = BTreeSet::new();
    for text in tables.into_iter().flatten().chain(&directions).chain(&colours) {
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
