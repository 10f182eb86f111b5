//! The judge is strict and just: truth scores full marks and every planted error fails the score it
//! is about.

use super::planted::{Fails, Flaw};
use super::*;
use crate::benchmark::PASS;
use crate::sprites::{Purpose, World};

/// Turns of the benchmark, each with its scene and whether the flaw could be planted.
fn judged(flaw: Flaw, episodes: u64, side: usize) -> Vec<(String, Judgement)> {
    let world = World::new(11, Purpose::HeldOut);
    let mut all = Vec::new();
    for number in 0..episodes {
        let episode = world.episode(number);
        for (i, turn) in episode.turns.iter().enumerate() {
            let before = episode.scene(i);
            if let Some(picture) = flaw.plant(before, turn, side, number) {
                let judgement = judge(before, turn, &picture).expect("the picture is square");
                let what = format!("{number}.{i} {}: {}", turn.category.name(), turn.instruction);
                all.push((what, judgement));
            }
        }
    }
    all
}

/// Share of the judgements of which `failed` holds, with some that do not.
fn share(all: &[(String, Judgement)], failed: impl Fn(&Judgement) -> bool) -> (f64, Vec<String>) {
    let not: Vec<String> =
        all.iter().filter(|(_, j)| !failed(j)).map(|(what, j)| format!("{what} {j:?}")).collect();
    (1.0 - not.len() as f64 / all.len() as f64, not.into_iter().take(3).collect())
}

#[test]
fn the_truth_has_full_marks() {
    for (side, episodes) in [(32, 30), (64, 3)] {
        for (what, judgement) in judged(Flaw::Nothing, episodes, side) {
            let least = judgement.prompt_following.min(judgement.consistency);
            assert!(least >= 9.99, "{what}: {judgement:?}");
        }
    }
}

#[test]
fn planted_errors_fail_the_score_they_are_about() {
    for flaw in Flaw::ALL.into_iter().skip(1) {
        let all = judged(flaw, 25, 32);
        assert!(all.len() >= 15, "{}: {} cases only", flaw.name(), all.len());
        let is_right = |j: &Judgement| {
            let fails = (j.prompt_following <= PASS, j.consistency <= PASS);
            match flaw.fails() {
                Fails::Nothing => fails == (false, false),
                Fails::Prompt => fails.0,
                Fails::Consistency => fails.1,
                Fails::Either => fails.0 || fails.1,
            }
        };
        let (right, wrong) = share(&all, is_right);
        assert!(right == 1.0, "{}: {right} {wrong:#?}", flaw.name());
    }
}

/// What is not asked for keeps its marks when only the asked sprite is wrong.
#[test]
fn errors_are_laid_at_the_right_door() {
    for flaw in [Flaw::Shape, Flaw::Colour, Flaw::Ghost(0.2)] {
        for (what, judgement) in judged(flaw, 20, 32) {
            assert!(judgement.consistency > PASS, "{}, {what}: {judgement:?}", flaw.name());
        }
    }
    for flaw in [Flaw::Shifted(2.5), Flaw::Lost, Flaw::Extra] {
        for (what, judgement) in judged(flaw, 20, 32) {
            assert!(judgement.prompt_following > PASS, "{}, {what}: {judgement:?}", flaw.name());
        }
    }
}

#[test]
fn small_shifts_are_tolerated_and_counted() {
    let lowest = |pixels: f32| {
        let all = judged(Flaw::Shifted(pixels), 15, 32);
        all.iter().map(|(_, j)| j.consistency).fold(10.0, f64::min)
    };
    assert!(lowest(0.5) > PASS, "{}", lowest(0.5));
    assert!(lowest(1.6) <= 5.0, "{}", lowest(1.6));
}

#[test]
fn pictures_that_are_not_square_are_refused() {
    let episode = World::new(1, Purpose::HeldOut).episode(0);
    let refused = judge(&episode.first, &episode.turns[0], &Image::filled(32, 16, [0; 3]));
    assert!(refused.expect_err("not square").to_string().contains("32 x 16"));
}
