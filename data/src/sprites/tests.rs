//! The world keeps its rules, and what it says is true.

use super::*;
use std::collections::BTreeSet;

fn world() -> World {
    World::new(7, Purpose::Train)
}

#[test]
fn episodes_are_a_function_of_seed_purpose_and_number() {
    let session = world().session(3);
    assert_eq!(session, world().session(3));
    session.validate().expect("a generated session keeps the rules");
    let others = [
        World::new(8, Purpose::Train).session(3),
        World::new(7, Purpose::HeldOut).session(3),
        World::new(7, Purpose::Benchmark).session(3),
        world().session(4),
    ];
    for other in others {
        assert_ne!(other.key, session.key);
        assert_ne!(other.frames, session.frames);
    }
}

/// Literal values: a change of the generator changes every benchmark and every run's data.
#[test]
fn the_first_episode_never_changes() {
    let episode = world().episode(0);
    let said: Vec<&str> = episode.turns.iter().map(|turn| turn.instruction.as_str()).collect();
    assert_eq!(
        describe(&episode.first),
        "a small green square at the left edge on a striped teal background"
    );
    assert_eq!(
        said,
        [
            "replace the background with striped grey",
            "draw a small yellow square at the bottom edge",
            "show more of the scene",
            "make the scene darker",
            "paint the yellow square red",
        ]
    );
}

/// What [`World::check`] lets through never runs out of edits, however long an episode is.
#[test]
fn any_weights_that_pass_the_check_give_whole_episodes() {
    let mut checked = 0;
    for category in Category::ALL {
        let mut weights = [0; 12];
        weights[category as usize] = 1;
        let world = World { weights, turns: MAX_FRAMES - 1, ..world() };
        if world.check().is_ok() {
            checked += 1;
            (0..200).for_each(|number| assert_eq!(world.episode(number).turns.len(), world.turns));
        }
    }
    assert_eq!(checked, 7);
}

#[test]
fn every_scene_is_valid_and_every_turn_is_visible() {
    let mut seen = [0; 12];
    for number in 0..400 {
        let episode = world().episode(number);
        for (turn, step) in episode.turns.iter().enumerate() {
            let before = episode.scene(turn);
            assert!(before.is_valid() && step.edited.scene.is_valid(), "episode {number}");
            seen[step.category as usize] += 1;
            let pictures = [before, &step.edited.scene].map(|scene| render(scene, 32));
            let changed = pictures[0]
                .rgb
                .chunks(3)
                .zip(pictures[1].rgb.chunks(3))
                .filter(|(a, b)| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) > 10))
                .count();
            assert!(
                changed >= 4,
                "episode {number}: {} changes {changed} pixels",
                step.instruction
            );
        }
    }
    let total: u32 = Category::WEIGHTS.iter().sum();
    for (category, count) in Category::ALL.into_iter().zip(seen) {
        let expected = 2000 * Category::WEIGHTS[category as usize] / total;
        let is_near = (expected / 2..=2 * expected).contains(&count);
        assert!(is_near, "{}: {count} of 2000, expected about {expected}", category.name());
    }
}

/// Each word of an instruction that may name a sprite fits one sprite only.
#[test]
fn references_name_one_sprite() {
    let mut checked = 0;
    for number in 0..300 {
        let episode = world().episode(number);
        for (turn, step) in episode.turns.iter().enumerate() {
            let scene = episode.scene(turn);
            for target in step.edits.iter().filter_map(Edit::target) {
                let sprite = &scene.sprites[target];
                let names = |s: &Sprite| {
                    let (shape, colour) = (s.shape.name(), s.colour.name());
                    [
                        format!("the {colour} {shape}"),
                        format!("the {} {colour} {shape}", s.size.name()),
                        format!("the {shape}"),
                        format!("the {colour} one"),
                    ]
                };
                let is_said = |name: &String| step.instruction.contains(name.as_str());
                let by_place = step.instruction.contains("the sprite ");
                assert!(by_place || names(sprite).iter().any(is_said), "{}", step.instruction);
                if step.edits.len() == 1 && !by_place {
                    let others = scene.sprites.iter().enumerate().filter(|(i, _)| *i != target);
                    for (_, other) in others {
                        let wrong = names(other).iter().any(is_said);
                        assert!(!wrong, "{}: {}", describe(scene), step.instruction);
                    }
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 500, "{checked}");
}

#[test]
fn all_words_are_in_the_vocabulary() {
    let vocabulary = vocabulary();
    let mut said = BTreeSet::new();
    for number in 0..3000 {
        let episode = world().episode(number);
        for text in episode.turns.iter().map(|turn| turn.instruction.clone()) {
            said.extend(text.split_whitespace().map(|word| word.trim_matches(',').to_owned()));
        }
        for turn in 0..=episode.turns.len() {
            let text = describe(episode.scene(turn));
            said.extend(text.split_whitespace().map(|word| word.trim_matches(',').to_owned()));
        }
    }
    let missing: Vec<_> = said.difference(&vocabulary).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let unused: Vec<_> = vocabulary.difference(&said).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// Outside of the masks of an edit of sprites the two pictures are the same.
#[test]
fn masks_hold_all_that_changes() {
    let mut objects = 0;
    for number in 0..200 {
        let session = world().session(number);
        for (turn, transition) in session.transitions.iter().enumerate() {
            let event = transition.facts["event"].as_str().unwrap_or_default();
            let category = Category::of_name(event).expect("the event is a category");
            let [current, next] = [turn, turn + 1].map(|i| &session.frames[i].image);
            // A new ground shines a little through the edge of a sprite that is not marked.
            let has_ground = transition.instruction.contains("background");
            let least = if has_ground { 110 } else { 0 };
            let is_marked = |mask: &Option<crate::Mask>, x: usize, y: usize| {
                // Smooth edges reach beyond, at a corner by two pixels.
                let near = |mask: &crate::Mask| {
                    let span = |c: usize| c.saturating_sub(2)..(c + 3).min(32);
                    span(y).any(|y| span(x).any(|x| mask.data[y * 32 + x] == 255))
                };
                mask.as_ref().is_some_and(near)
            };
            for y in 0..32 {
                for x in 0..32 {
                    let pair = current.pixel(x, y).into_iter().zip(next.pixel(x, y));
                    if pair.map(|(a, b)| a.abs_diff(b)).max() > Some(least) {
                        let marked = is_marked(&transition.current_mask, x, y)
                            || is_marked(&transition.next_mask, x, y);
                        assert!(marked, "session {number} turn {turn} ({event}) at {x}, {y}");
                    }
                }
            }
            match category {
                Category::Add => assert!(transition.current_mask.is_none()),
                Category::Remove => assert!(transition.next_mask.is_none()),
                Category::Light | Category::Camera => {
                    assert_eq!(transition.next_mask.as_ref().map(crate::Mask::share), Some(1.0));
                }
                _ => {}
            }
            objects += usize::from(category == Category::Add);
        }
    }
    assert!(objects > 50);
}

/// The mean colour of a picture hardly depends on its size: edges are averaged, not sampled.
#[test]
fn pictures_agree_at_all_sizes() {
    for number in 0..40 {
        let episode = world().episode(number);
        let mean = |side: usize| {
            let image = render(&episode.first, side);
            [0, 1, 2].map(|c| {
                let sum: f64 = image.rgb.iter().skip(c).step_by(3).map(|&v| f64::from(v)).sum();
                sum / (side * side) as f64
            })
        };
        let (small, large) = (mean(32), mean(256));
        for (a, b) in small.iter().zip(large) {
            assert!((a - b).abs() < 1.5, "{number}: {small:?} {large:?}");
        }
    }
}

#[test]
fn worlds_out_of_range_are_refused() {
    let refused = |world: World| world.check().expect_err("out of range").to_string();
    assert!(refused(World { turns: 0, ..world() }).contains("1 to 19"));
    assert!(refused(World { side: 8, ..world() }).contains("16 to 1024"));
    let mut weights = [0; 12];
    weights[Category::Remove as usize] = 1;
    assert!(refused(World { weights, ..world() }).contains("recolour"));
    assert!(world().check().is_ok());
}
