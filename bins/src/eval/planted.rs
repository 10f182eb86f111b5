//! The judge before pictures whose errors are known: one row an error, drawn with its scores.

use crate::console::Console;
use crate::failure::Failure;
use crate::table::{Align, Table};
use std::path::Path;
use vincie_data::Image;
use vincie_data::annotate::{SheetConfig, contact_sheet};
use vincie_data::decode;
use vincie_data::session::{Frame, Session, Source, Transition};
use vincie_data::sprites::judge::planted::Flaw;
use vincie_data::sprites::judge::{Judgement, judge};
use vincie_data::sprites::{Episode, Purpose, World, render};

/// Pictures of a row.
const SHOWN: usize = 6;

/// Episodes that are searched for turns that can have an error.
const EPISODES: u64 = 40;

/// Picture side, pixels.
const SIDE: usize = 32;

/// Draws rows of planted errors and prints how often each failed.
pub(super) fn draw(path: &Path, seed: u64, console: &Console) -> Result<(), Failure> {
    let world = World::new(seed, Purpose::HeldOut);
    let episodes: Vec<Episode> = (0..EPISODES).map(|number| world.episode(number)).collect();
    let mut table = Table::new([
        ("error", Align::Left),
        ("pictures", Align::Right),
        ("prompt following fails", Align::Right),
        ("consistency fails", Align::Right),
    ]);
    let mut rows = Vec::new();
    for flaw in Flaw::ALL {
        let mut shown = Vec::new();
        let (mut count, mut fails) = (0, [0, 0]);
        for (number, episode) in episodes.iter().enumerate() {
            for (i, turn) in episode.turns.iter().enumerate() {
                let Some(picture) = flaw.plant(episode.scene(i), turn, SIDE, number as u64) else {
                    continue;
                };
                let judgement = judge(episode.scene(i), turn, &picture)?;
                count += 1;
                fails[0] += usize::from(judgement.prompt_following <= vincie_data::benchmark::PASS);
                fails[1] += usize::from(judgement.consistency <= vincie_data::benchmark::PASS);
                // One turn of an episode, so that a row shows different scenes.
                if shown.len() < SHOWN && i == shown.len() % episode.turns.len() {
                    let before = render(episode.scene(i), SIDE);
                    shown.push((before, picture, turn.instruction.clone(), judgement));
                }
            }
        }
        table.row([flaw.name(), count.to_string(), fails[0].to_string(), fails[1].to_string()]);
        rows.push(row(&flaw.name(), shown));
    }
    let width = rows.iter().map(|row| row.width).max().unwrap_or(1);
    let mut rgb = Vec::new();
    for row in &rows {
        for line in row.rgb.chunks_exact(3 * row.width) {
            rgb.extend_from_slice(line);
            rgb.resize(rgb.len() + 3 * (width - row.width), 250);
        }
    }
    decode::write_png(path, &Image::new(width, rgb.len() / (3 * width), rgb))?;
    console.line(table)
}

/// One error on several turns: each picture before, then the one that was judged, with its scores.
fn row(name: &str, shown: Vec<(Image, Image, String, Judgement)>) -> Image {
    let text = |instruction: &str| Transition {
        instruction: instruction.to_owned(),
        current_mask: None,
        next_mask: None,
        facts: serde_json::Value::Null,
        provenance: Vec::new(),
    };
    let mut frames = Vec::new();
    let mut transitions = Vec::new();
    for (before, picture, instruction, judgement) in shown {
        let scores = format!(
            "{name}: prompt {:.1}, consistency {:.1}",
            judgement.prompt_following, judgement.consistency
        );
        frames.extend([before, picture].map(|image| Frame { image, time: 0.0 }));
        transitions.extend([text(&instruction), text(&scores)]);
    }
    transitions.pop();
    let session = Session { key: "planted".into(), frames, transitions, source: Source::default() };
    let config = SheetConfig { picture_width: 96, per_row: 2 * SHOWN, ..SheetConfig::default() };
    contact_sheet(&session, &config)
}
