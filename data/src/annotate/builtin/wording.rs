//! From events to an imperative English sentence. Which of several wordings is taken depends on a
//! seed and on nothing else. Nouns stay neutral: what a thing is cannot be measured.

use super::event::{BRIGHTER, CameraMove, Event, Light, RESIZED, Scene, camera_move};
use super::parts::Part;
use super::place::{Direction, place};
use super::templates::*;
use crate::sample::BoundaryKind;

/// Most words of an instruction.
pub const MOST_WORDS: usize = 30;

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
        let strongest = events.iter().map(|e| e.importance(current, next)).fold(0.0, f32::max);
        let mut text = String::new();
        let mut told = 0;
        for (salt, event) in events.iter().enumerate() {
            let is_part = event.current().or(event.next()).is_some();
            if is_part && event.importance(current, next) < MINOR * strongest {
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
            let names = if light.tint[channel] > 0.0 { PRIMARIES } else { OPPOSITES };
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
/// Parts of less than this share of the highest importance are not told.
const MINOR: f32 = 0.2;

/// Replaces the amount and the space that an empty one leaves.
fn fill_amount(text: &str, amount: &str) -> String {
    let filled = text.replace("{amount}", amount);
    filled.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn article(thing: &str) -> &'static str {
    ARTICLES[usize::from(thing.starts_with(['a', 'e', 'i', 'o', 'u']))]
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

#[cfg(test)]
mod tests {
    use super::super::bitmap::Bitmap;
    use super::super::parts::parts;
    use super::*;
    use crate::sample::motion::Similarity;
    use crate::sample::plane::Plane;
    use proptest::prelude::*;

    /// One part of the given colour and bounds.
    fn part(colour: [u8; 3], bounds: [usize; 4]) -> Part {
        let [left, top, right, bottom] = bounds;
        let is_in =
            |i: usize| (left..right).contains(&(i % 64)) && (top..bottom).contains(&(i / 64));
        let picture = colour.map(|v| Plane::filled(64, 36, f32::from(v)));
        let difference = Plane::filled(64, 36, 50.0);
        let set = Bitmap::of(64, 36, is_in);
        parts(&set, &picture, &difference, &Similarity::IDENTITY).remove(0)
    }

    #[test]
    fn sentences_read_as_intended() {
        let red = part([220, 20, 20], [0, 0, 10, 10]);
        let blue = part([20, 30, 220], [50, 24, 64, 36]);
        let (current, next) = ([red], [blue]);
        let seeded = |seed| Wording::new(seed, "key", 0);
        let one = |event: Event, seed: u64| seeded(seed).sentence(&[event], &current, &next).0;
        let nounless = |text: &str| {
            NOUNS.iter().fold(text.to_owned(), |text, noun| text.replace(noun, "thing"))
        };
        // Whatever the seed picks is one of the sentences that a template stands for.
        let expected = [
            "Remove the red thing at the upper left.",
            "Erase the red thing at the upper left.",
            "Take away the red thing at the upper left.",
            "Delete the red thing at the upper left.",
        ];
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let text = nounless(&one(Event::Remove { current: 0 }, seed));
            assert!(expected.contains(&text.as_str()), "{text}");
            seen.insert(text);
        }
        assert_eq!(seen.len(), expected.len(), "every wording is used");
        let both = [Event::Add { next: 0 }, Event::Remove { current: 0 }];
        let (text, told) = seeded(3).sentence(&both, &current, &next);
        assert_eq!(told, 2);
        assert!(text.contains(", and ") && text.contains("blue") && text.contains("red"), "{text}");
        assert!(text.contains("at the lower right"), "{text}");
    }

    #[test]
    fn articles_follow_the_sound() {
        assert_eq!(article("orange region"), "an");
        assert_eq!(article("small orange region"), "a");
    }

    #[test]
    fn the_vocabulary_is_sorted_small_and_free_of_placeholders() {
        let words = vocabulary();
        assert!(words.is_sorted() && words.len() > 80 && words.len() < 200, "{}", words.len());
        assert!(words.iter().all(|w| w.chars().all(|c| c.is_ascii_lowercase())), "{words:?}");
        for absent in ["thing", "amount", "direction", "turns"] {
            assert!(!words.iter().any(|w| w == absent), "{absent} is a placeholder");
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let kinds = prop_oneof![
            Just(BoundaryKind::Cut),
            Just(BoundaryKind::Dissolve),
            Just(BoundaryKind::Fade)
        ];
        let scene = prop_oneof![Just(Scene::Unrelated), kinds.prop_map(Scene::Boundary)];
        let motion = (0.5f32..2.0, -0.5f32..0.5, -0.6f32..0.6, -0.6f32..0.6)
            .prop_map(|(a, b, x, y)| Similarity { a, b, x, y });
        let light = (-60f32..60.0, 0.5f32..2.0, proptest::array::uniform3(-20f32..20.0))
            .prop_map(|(brightness, contrast, tint)| Light { brightness, contrast, tint });
        prop_oneof![
            scene.prop_map(|kind| Event::Scene {
                kind,
                colour: part([9, 200, 30], [0, 0, 9, 9]).colours.first
            }),
            (motion, any::<bool>())
                .prop_map(|(motion, is_compensated)| Event::Camera { motion, is_compensated }),
            Just(Event::Add { next: 0 }),
            Just(Event::Remove { current: 0 }),
            (-0.5f32..0.5, -0.5f32..0.5, 0.3f32..3.0).prop_map(|(x, y, ratio)| Event::Move {
                current: 0,
                next: 0,
                shift: (x, y),
                ratio
            }),
            (0.3f32..3.0).prop_map(|ratio| Event::Resize { current: 0, next: 0, ratio }),
            Just(Event::Recolour { current: 0, next: 0 }),
            Just(Event::Alter { current: 0, next: 0 }),
            light.prop_map(Event::Light),
        ]
    }

    proptest! {
        #[test]
        fn every_sentence_is_in_the_vocabulary_and_short(
            events in proptest::collection::vec(any_event(), 0..6),
            seed in any::<u64>(),
            index in 0usize..19,
            colours in proptest::array::uniform6(any::<u8>()),
            corner in (0usize..50, 0usize..30),
            size in (1usize..14, 1usize..6),
        ) {
            let known: std::collections::BTreeSet<String> = vocabulary().into_iter().collect();
            let [a, b, c, d, e, f] = colours;
            let bounds = [corner.0, corner.1, corner.0 + size.0, corner.1 + size.1];
            let current = [part([a, b, c], bounds)];
            let next = [part([d, e, f], [2, 3, 40, 33])];
            let wording = Wording::new(seed, "some-key", index);
            let (text, told) = wording.sentence(&events, &current, &next);
            prop_assert!(told <= MOST_CLAUSES && told <= events.len());
            prop_assert!(told > 0 || events.is_empty());
            prop_assert!(text.split_whitespace().count() <= MOST_WORDS, "{}", text);
            prop_assert!(text.ends_with('.') && text.starts_with(|c: char| c.is_uppercase()));
            prop_assert!(!text.contains(['{', '}']) && !text.contains("  "), "{}", text);
            let phrase = wording.phrase(&current[0]);
            for word in words(&text).chain(words(&phrase)) {
                prop_assert!(known.contains(&word), "{} in {}", word, text);
            }
        }
    }
}
