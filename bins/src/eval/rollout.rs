//! One session of the sprites benchmark: the model edits, the judge scores, until a turn fails.

use super::settings::Sampling;
use crate::failure::Failure;
use crate::publish;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use vincie_data::benchmark::TurnScores;
use vincie_data::decode::{encode_png, read_image};
use vincie_data::sprites::{Episode, judge, render};
use vincie_data::{Image, Limits};
use vincie_dit::session::{Editor, TrainedModel};

/// What became of one session.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) number: u64,
    /// One entry for each turn that was judged.
    pub(super) scores: Vec<TurnScores>,
    /// What the judge found wanting in each of them.
    pub(super) notes: Vec<String>,
    /// The model's pictures, one a judged turn.
    pub(super) pictures: Vec<Image>,
}

/// What a session's file holds.
#[derive(Serialize, Deserialize)]
struct Record {
    key: String,
    turns: Vec<TurnRecord>,
}

#[derive(Serialize, Deserialize)]
struct TurnRecord {
    instruction: String,
    #[serde(flatten)]
    scores: TurnScores,
    note: String,
}

/// Lets the model edit the episode's first picture turn by turn.
pub(super) fn run(
    model: &TrainedModel,
    episode: &Episode,
    number: u64,
    sampling: &Sampling,
) -> Result<Outcome, Failure> {
    let size = model.size.map(|side| side / model.codec.factor());
    let mut editor = Editor::new(
        &model.network,
        &model.parameters,
        &model.vocabulary,
        model.codec,
        size,
        sampling.config(number),
    )?;
    editor.show(model.codec.encode(&render(&episode.first, model.size[0]))?)?;
    let mut outcome =
        Outcome { number, scores: Vec::new(), notes: Vec::new(), pictures: Vec::new() };
    for (i, turn) in episode.turns.iter().enumerate() {
        let output = editor.turn(&turn.instruction, |_, _| {})?;
        let picture = model.codec.decode(&output.image)?;
        let judgement = judge::judge(episode.scene(i), turn, &picture)?;
        let scores = TurnScores {
            category: turn.category.name().to_owned(),
            prompt_following: judgement.prompt_following,
            consistency: judgement.consistency,
        };
        let passes = scores.passes();
        outcome.notes.push(judgement.worst().unwrap_or_default());
        outcome.scores.push(scores);
        outcome.pictures.push(picture);
        if !passes {
            break;
        }
    }
    Ok(outcome)
}

/// A session's two files.
fn files(folder: &Path, number: u64) -> [PathBuf; 2] {
    ["json", "png"].map(|kind| folder.join("sessions").join(format!("{number:05}.{kind}")))
}

impl Outcome {
    /// Keeps the outcome: its pictures first, so that a session with scores is whole.
    pub(super) fn write(&self, episode: &Episode, folder: &Path) -> Result<(), Failure> {
        let [json, png] = files(folder, self.number);
        publish::file(&png, &encode_png(&beside(&self.pictures)))?;
        let turns = episode.turns.iter().zip(&self.scores).zip(&self.notes);
        let turns = turns.map(|((turn, scores), note)| TurnRecord {
            instruction: turn.instruction.clone(),
            scores: scores.clone(),
            note: note.clone(),
        });
        let record = Record { key: episode.key.clone(), turns: turns.collect() };
        let text =
            serde_json::to_string_pretty(&record).map_err(|e| Failure::new(e.to_string()))?;
        publish::file(&json, text.as_bytes())
    }

    /// The outcome that an earlier run has kept, if it did.
    pub(super) fn read(
        episode: &Episode,
        number: u64,
        folder: &Path,
    ) -> Result<Option<Self>, Failure> {
        let [json, png] = files(folder, number);
        let Ok(text) = fs::read_to_string(&json) else { return Ok(None) };
        let record: Record = serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("{}: {error}", json.display())))?;
        let said = episode.turns.iter().map(|turn| &turn.instruction);
        let is_same = record.key == episode.key
            && record.turns.iter().zip(said).all(|(turn, said)| turn.instruction == *said);
        let strip = read_image(&png, &Limits::default())?;
        let count = record.turns.len();
        if !is_same || count == 0 || strip.width != count * strip.height {
            let what = "is not of this benchmark's session; remove it, or name another folder";
            return Err(Failure::new(format!("{}: {what}", json.display())));
        }
        let (scores, notes) = record.turns.into_iter().map(|turn| (turn.scores, turn.note)).unzip();
        let pictures = (0..count).map(|i| part(&strip, i)).collect();
        Ok(Some(Self { number, scores, notes, pictures }))
    }
}

/// Square pictures of one size beside each other.
pub(super) fn beside(pictures: &[Image]) -> Image {
    let side = pictures.first().map_or(1, |picture| picture.width);
    let mut strip = Image::filled(side * pictures.len().max(1), side, [0; 3]);
    for (i, picture) in pictures.iter().enumerate() {
        for (y, row) in picture.rgb.chunks_exact(3 * side).enumerate() {
            let at = 3 * (y * strip.width + i * side);
            strip.rgb[at..at + row.len()].copy_from_slice(row);
        }
    }
    strip
}

/// Picture `i` of a strip of squares.
fn part(strip: &Image, i: usize) -> Image {
    let side = strip.height;
    let row = |y: usize| {
        let at = 3 * (y * strip.width + i * side);
        strip.rgb[at..at + 3 * side].iter().copied()
    };
    Image::new(side, side, (0..side).flat_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_come_apart_again() {
        let pictures: Vec<Image> =
            (0..3).map(|i| Image::new(2, 2, (0..12).map(|b| 20 * i + b).collect())).collect();
        let strip = beside(&pictures);
        assert_eq!((strip.width, strip.height), (6, 2));
        assert!((0..3).all(|i| part(&strip, i) == pictures[i]));
    }
}
