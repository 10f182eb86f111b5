//! Instructions and descriptions in templated English. Whatever an instruction says of a sprite
//! names exactly one sprite of the scene that it is said in.

use super::edit::{Edit, Way};
use super::random::Draws;
use super::scene::{Background, Colour, Ground, Light, Pattern, Scene, Shape, Size, Sprite};
use std::collections::BTreeSet;

const ADD: [&str; 3] = ["add {thing} {place}", "put {thing} {place}", "draw {thing} {place}"];
const REMOVE: [&str; 3] = ["remove {it}", "take {it} away", "delete {it}"];
const REPLACE: [&str; 2] = ["replace {it} with {thing}", "swap {it} for {thing}"];
const RECOLOUR: [&str; 3] =
    ["make {it} {color}", "paint {it} {color}", "change the color of {it} to {color}"];
const RESHAPE: [&str; 3] =
    ["turn {it} into {thing}", "change the shape of {it} to {thing}", "make {it} {thing}"];
const ENLARGE: [&str; 3] = ["make {it} larger", "enlarge {it}", "let {it} grow"];
const SHRINK: [&str; 3] = ["make {it} smaller", "shrink {it}", "let {it} become small"];
const MOVE_TO: [&str; 3] = ["move {it} {place}", "bring {it} {place}", "send {it} {place}"];
const MOVE_BY: [&str; 3] =
    ["move {it} one step {way}", "shift {it} one step {way}", "push {it} one step {way}"];
const BACKGROUND: [&str; 3] = [
    "make the background {ground}",
    "change the background to {ground}",
    "replace the background with {ground}",
];
const DARKER: [&str; 3] = ["make the scene darker", "dim the light", "turn the light down"];
const BRIGHTER: [&str; 3] = ["make the scene brighter", "raise the light", "turn the light up"];
const PAN: [&str; 3] =
    ["pan the camera {way}", "move the camera {way}", "point the camera further {way}"];
const ZOOM_OUT: [&str; 3] = ["zoom out", "move the camera back", "show more of the scene"];
const ZOOM_IN: [&str; 3] = ["zoom in", "move the camera closer", "show less of the scene"];
const JOIN: [&str; 2] = ["{one} and {other}", "{one}, then {other}"];

/// Names of the nine places by row and column, without their article.
const PLACES: [[&str; 3]; 3] = [
    ["top left corner", "top edge", "top right corner"],
    ["left edge", "center", "right edge"],
    ["bottom left corner", "bottom edge", "bottom right corner"],
];

/// The instruction for edits of a scene.
pub(super) fn instruction(scene: &Scene, edits: &[Edit], draws: &mut Draws) -> String {
    let texts: Vec<String> = edits.iter().map(|edit| one(scene, edit, draws)).collect();
    match texts.as_slice() {
        [one, other] => fill(draws.one_of(&JOIN), &[("{one}", one), ("{other}", other)]),
        [one] => one.clone(),
        _ => unreachable!("a turn has one edit or two, not {}", texts.len()),
    }
}

fn one(scene: &Scene, edit: &Edit, draws: &mut Draws) -> String {
    let it = edit.target().map(|number| reference(scene, number, draws)).unwrap_or_default();
    let it = ("{it}", it.as_str());
    match *edit {
        Edit::Enter(sprite) => {
            let thing = with_article(&full_name(&sprite));
            let place = at_place(scene.place(&sprite));
            fill(draws.one_of(&ADD), &[("{thing}", &thing), ("{place}", &place)])
        }
        Edit::Leave(_) => fill(draws.one_of(&REMOVE), &[it]),
        Edit::Replace(_, shape, colour) => {
            let thing = with_article(&format!("{} {}", colour.name(), shape.name()));
            fill(draws.one_of(&REPLACE), &[it, ("{thing}", &thing)])
        }
        Edit::Recolour(_, colour) => {
            fill(draws.one_of(&RECOLOUR), &[it, ("{color}", colour.name())])
        }
        Edit::Reshape(_, shape) => {
            fill(draws.one_of(&RESHAPE), &[it, ("{thing}", &with_article(shape.name()))])
        }
        Edit::Resize(_, Size::Large) => fill(draws.one_of(&ENLARGE), &[it]),
        Edit::Resize(_, Size::Small) => fill(draws.one_of(&SHRINK), &[it]),
        Edit::Move(_, Way::To(place)) => {
            let place = format!("to the {}", place_name(place));
            fill(draws.one_of(&MOVE_TO), &[it, ("{place}", &place)])
        }
        Edit::Move(_, Way::Step(step)) => {
            fill(draws.one_of(&MOVE_BY), &[it, ("{way}", direction(step))])
        }
        Edit::Background(background) => {
            fill(draws.one_of(&BACKGROUND), &[("{ground}", &ground(background))])
        }
        Edit::Light(Light::Dim) => draws.one_of(&DARKER).to_owned(),
        Edit::Light(Light::Full) => draws.one_of(&BRIGHTER).to_owned(),
        Edit::Pan(step) => fill(draws.one_of(&PAN), &[("{way}", direction(step))]),
        Edit::Zoom(true) => draws.one_of(&ZOOM_OUT).to_owned(),
        Edit::Zoom(false) => draws.one_of(&ZOOM_IN).to_owned(),
    }
}

/// A name for one sprite that no other sprite of the scene has: mostly colour and shape, at times
/// one of them alone, the size too, or the place.
fn reference(scene: &Scene, number: usize, draws: &mut Draws) -> String {
    let sprite = &scene.sprites[number];
    let is_alone = |same: &dyn Fn(&Sprite) -> bool| {
        scene.sprites.iter().enumerate().all(|(other, s)| other == number || !same(s))
    };
    match draws.below(10) {
        0 if is_alone(&|other| other.shape == sprite.shape) => {
            format!("the {}", sprite.shape.name())
        }
        1 if is_alone(&|other| other.colour == sprite.colour) => {
            format!("the {} one", sprite.colour.name())
        }
        2 if is_alone(&|other| scene.place(other) == scene.place(sprite)) => {
            format!("the sprite {}", at_place(scene.place(sprite)))
        }
        3 => format!("the {}", full_name(sprite)),
        _ => format!("the {} {}", sprite.colour.name(), sprite.shape.name()),
    }
}

/// A whole scene in one sentence, sprites in reading order.
pub fn describe(scene: &Scene) -> String {
    let mut sprites: Vec<&Sprite> = scene.sprites.iter().collect();
    sprites.sort_by_key(|sprite| {
        let [column, row] = scene.place(sprite);
        (row, column)
    });
    let sprites: Vec<String> = sprites
        .into_iter()
        .map(|sprite| {
            format!("{} {}", with_article(&full_name(sprite)), at_place(scene.place(sprite)))
        })
        .collect();
    let background = match scene.background {
        Background { pattern: Pattern::Gradient, .. } => ground(scene.background),
        other => with_article(&format!("{} background", ground(other))),
    };
    let light = match scene.light {
        Light::Full => "",
        Light::Dim => ", in dim light",
    };
    let view = if scene.camera.is_wide { ", from farther away" } else { "" };
    format!("{} on {background}{light}{view}", sprites.join(", "))
}

/// Every word of instructions and descriptions.
pub fn vocabulary() -> BTreeSet<String> {
    let mut texts: Vec<String> =
        vec!["a the one sprite on background in dim light from farther away at to".to_owned()];
    let templates: [&[&str]; 16] = [
        &ADD,
        &REMOVE,
        &REPLACE,
        &RECOLOUR,
        &RESHAPE,
        &ENLARGE,
        &SHRINK,
        &MOVE_TO,
        &MOVE_BY,
        &BACKGROUND,
        &DARKER,
        &BRIGHTER,
        &PAN,
        &ZOOM_OUT,
        &ZOOM_IN,
        &JOIN,
    ];
    texts.extend(templates.iter().flat_map(|all| all.iter().map(|&text| text.to_owned())));
    texts.extend(PLACES.iter().flatten().map(|&place| place.to_owned()));
    texts.extend(super::edit::DIRECTIONS.map(|step| direction(step).to_owned()));
    texts.extend(Shape::ALL.map(|shape| shape.name().to_owned()));
    texts.extend(Colour::ALL.map(|colour| colour.name().to_owned()));
    texts.extend(Size::ALL.map(|size| size.name().to_owned()));
    texts.extend(Pattern::ALL.map(|pattern| pattern.name().to_owned()));
    texts.extend(Ground::ALL.map(|ground| ground.name().to_owned()));
    texts
        .iter()
        .flat_map(|text| text.split_whitespace())
        .map(|word| word.trim_matches(','))
        .filter(|word| !word.starts_with('{'))
        .map(str::to_owned)
        .collect()
}

fn full_name(sprite: &Sprite) -> String {
    format!("{} {} {}", sprite.size.name(), sprite.colour.name(), sprite.shape.name())
}

fn ground(background: Background) -> String {
    match background.pattern {
        Pattern::Gradient => format!("a {} gradient", background.ground.name()),
        pattern => format!("{} {}", pattern.name(), background.ground.name()),
    }
}

fn place_name([column, row]: [i32; 2]) -> &'static str {
    let at = |i: i32| i.clamp(0, 2) as usize;
    PLACES[at(row)][at(column)]
}

fn at_place(place: [i32; 2]) -> String {
    let name = place_name(place);
    let word = if name.ends_with("edge") { "at" } else { "in" };
    format!("{word} the {name}")
}

fn direction(step: [i32; 2]) -> &'static str {
    match step {
        [-1, _] => "left",
        [1, _] => "right",
        [_, -1] => "up",
        _ => "down",
    }
}

fn with_article(name: &str) -> String {
    format!("a {name}")
}

fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (slot, value)| text.replace(slot, value))
}
