//! Rows of edits, as MagicBrush has them: a JSONL file with one edit a line, pictures beside it.
//!
//! ```text
//! {"img_id": "327180", "turn_index": 1, "source_img": "327180-input.png", "mask_img": "327180-mask1.png",
//!  "instruction": "let the cat wear a hat", "target_img": "327180-output1.png"}
//! ```
//!
//! Rows of one `img_id` are a conversation in the order of `turn_index`: the source of each is the target of
//! the one before. Where a turn is missing, the rows behind it are a session of their own. The mask, white
//! where the edit may change the picture, is what of the current frame changes.

use super::folder::assemble;
use super::{ImportConfig, MAX_FRAMES, MAX_RECORD_BYTES, Session, SessionRecord, Source};
use crate::decode::{read_image, read_mask};
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Largest list, bytes: the rows are held in memory, their pictures are not.
const MAX_BYTES: u64 = 1 << 30;

/// One edit. Other columns are passed over.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    img_id: String,
    turn_index: u32,
    source_img: PathBuf,
    #[serde(default)]
    mask_img: Option<PathBuf>,
    instruction: String,
    target_img: PathBuf,
}

/// The sessions of a list of edits, by `img_id`.
#[derive(Debug)]
pub(super) struct Edits {
    path: PathBuf,
    config: ImportConfig,
    /// Rows that cannot be used come first, as errors; then sessions of consecutive turns.
    items: std::vec::IntoIter<Result<Vec<Row>>>,
}

impl Edits {
    /// Whether a list holds edits: its first line that is not empty names an `img_id`.
    pub(super) fn are_in(path: &Path) -> Result<bool> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        let mut start = BufReader::new(file).take(MAX_RECORD_BYTES as u64);
        let mut line = Vec::new();
        while line.trim_ascii().is_empty() {
            line.clear();
            let read =
                start.read_until(b'\n', &mut line).map_err(|error| Error::io(path, error))?;
            if read == 0 {
                return Ok(false);
            }
        }
        let value = serde_json::from_slice::<serde_json::Value>(&line);
        Ok(value.is_ok_and(|value| value.get("img_id").is_some()))
    }

    pub(super) fn open(path: &Path, config: &ImportConfig) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        let bytes = file.metadata().map_err(|error| Error::io(path, error))?.len();
        if bytes > MAX_BYTES {
            return Err(Error::limit(path, format!("{bytes} bytes; the limit is {MAX_BYTES}")));
        }
        let mut items = Vec::new();
        let mut by_image: BTreeMap<String, BTreeMap<u32, Row>> = BTreeMap::new();
        for (number, line) in (1..).zip(BufReader::new(file).split(b'\n')) {
            let line = line.map_err(|error| Error::io(path, error))?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            let refuse = |what: String| Error::format(path, format!("line {number}: {what}"));
            let row: Row = match serde_json::from_slice(&line) {
                Ok(row) => row,
                Err(error) => {
                    items.push(Err(refuse(error.to_string())));
                    continue;
                }
            };
            let turns = by_image.entry(row.img_id.clone()).or_default();
            match turns.entry(row.turn_index) {
                Entry::Vacant(turn) => {
                    turn.insert(row);
                }
                Entry::Occupied(turn) => {
                    let what = format!("turn {} of {:?} is there twice", turn.key(), row.img_id);
                    items.push(Err(refuse(what)));
                }
            }
        }
        for turns in by_image.into_values() {
            items.extend(conversations(turns).into_iter().map(Ok));
        }
        Ok(Self { path: path.to_owned(), config: *config, items: items.into_iter() })
    }

    fn session(&self, rows: &[Row]) -> Result<Session> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Err(Error::format(&self.path, "a conversation without turns"));
        };
        let base = self.path.parent().unwrap_or(Path::new(""));
        let limits = &self.config.limits;
        let picture = |path: &Path| read_image(base.join(path), limits);
        let mut images = vec![picture(&first.source_img)?];
        for row in rows {
            images.push(picture(&row.target_img)?);
        }
        let mask = |row: &Row| {
            let mask = row.mask_img.as_ref().map(|path| read_mask(base.join(path), limits));
            Ok([mask.transpose()?, None])
        };
        let masks = rows.iter().map(mask).collect::<Result<Vec<_>>>()?;
        let turns = match (first.turn_index, last.turn_index) {
            (1, _) => String::new(),
            (from, _) => format!("-from{from}"),
        };
        // A key has no dots or slashes; an id that has them keeps its other letters.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let plain: String =
            first.img_id.chars().map(|c| if is_plain(c) { c } else { '_' }).take(64).collect();
        let source = Source {
            name: first.img_id.clone(),
            sampling: "import".to_owned(),
            ..Source::default()
        };
        let instructions = rows.iter().map(|row| row.instruction.clone()).collect();
        let record = SessionRecord::imported(format!("{plain}{turns}"), instructions, None, source)
            .map_err(|what| {
                Error::format(&self.path, format!("img_id {:?}: {what}", first.img_id))
            })?;
        assemble(record, images, masks, &self.config)
    }
}

/// Runs of consecutive turns, each no longer than a session may be.
fn conversations(turns: BTreeMap<u32, Row>) -> Vec<Vec<Row>> {
    let mut all: Vec<Vec<Row>> = Vec::new();
    for (turn, row) in turns {
        let follows = |run: &&mut Vec<Row>| {
            run.len() + 1 < MAX_FRAMES
                && run.last().is_some_and(|last| last.turn_index.checked_add(1) == Some(turn))
        };
        match all.last_mut().filter(follows) {
            Some(run) => run.push(row),
            None => all.push(vec![row]),
        }
    }
    all
}

impl Iterator for Edits {
    type Item = Result<Session>;

    fn next(&mut self) -> Option<Result<Session>> {
        Some(self.items.next()?.and_then(|rows| self.session(&rows)))
    }
}
