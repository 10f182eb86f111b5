//! The page of a benchmark's results.

use super::rollout::Outcome;
use super::sprites::{Answer, categories, turns};
use crate::failure::Failure;
use crate::report::{Figure, Page, Picture};
use std::path::Path;
use vincie_data::sprites::{Episode, render};

/// Sessions that are shown.
const SHOWN: usize = 40;

/// Writes `report.html`: tables, then the first sessions turn by turn.
pub(super) fn write(
    answer: &Answer,
    sessions: &[(Episode, Outcome, bool)],
    folder: &Path,
) -> Result<(), Failure> {
    let settings = &answer.settings;
    let chain = match settings.chain.as_slice() {
        [] => "none".to_owned(),
        steps => steps.join(", "),
    };
    let mut page = Page::new("Five turns in the synthetic world")
        .paragraph(
            "Every picture is the model's, made from its own earlier outputs and all instructions so \
             far; beside it stands the truth. A turn passes when both scores are above 6 of 10; the first \
             failure ends a session, and success is counted over all sessions.",
        )
        .facts([
            ("model", settings.model.clone()),
            ("training steps", settings.model_steps.to_string()),
            ("parameters", settings.parameters.to_string()),
            ("sessions", answer.tally.sessions.to_string()),
            ("benchmark seed", settings.seed.to_string()),
            ("denoising steps", settings.steps.to_string()),
            ("guidance", settings.cfg.to_string()),
            ("shift", settings.shift.to_string()),
            ("masks first", chain),
        ])
        .section("By turn")
        .table(&turns(&answer.tally))
        .section("By kind of edit")
        .paragraph("Over the turns that were judged.")
        .table(&categories(&answer.tally))
        .section("Sessions");
    for (episode, outcome, _) in sessions.iter().take(SHOWN) {
        page = page.image_strip(&strip(episode, outcome, settings.size)?);
    }
    page.write(&folder.join("report.html"))
}

/// The source, and every judged turn beside its truth.
fn strip(episode: &Episode, outcome: &Outcome, side: usize) -> Result<Vec<Figure>, Failure> {
    let source = Picture::new(&render(&episode.first, side), "source")?;
    let caption = format!("session {}", outcome.number);
    let mut figures = vec![Figure { pictures: vec![source], caption, note: String::new() }];
    for (i, picture) in outcome.pictures.iter().enumerate() {
        let (turn, scores) = (&episode.turns[i], &outcome.scores[i]);
        let verdict = if scores.passes() { "passes" } else { "fails" };
        let mut note = format!(
            "{verdict}: prompt {:.1}, consistency {:.1}",
            scores.prompt_following, scores.consistency
        );
        if !scores.passes() {
            note = format!("{note}; {}", outcome.notes[i]);
        }
        figures.push(Figure {
            pictures: vec![
                Picture::new(picture, "made")?,
                Picture::new(&render(&turn.edited.scene, side), "truth")?,
            ],
            caption: turn.instruction.clone(),
            note,
        });
    }
    Ok(figures)
}
