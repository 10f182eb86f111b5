//! Rows of edits, as MagicBrush has them: a JSONL file with one edit a line, pictures beside it. (The
//! Parquet files that it is published in hold the same rows; `edit_rows` reads them.)
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
use crate::decode::{decode_image, decode_mask, read_image, read_mask};
use crate::{Error, Image, Limits, Mask, Result};
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
pub(super) struct Row {
    pub(super) img_id: String,
    pub(super) turn_index: u32,
    pub(super) source_img: Picture,
    #[serde(default)]
    pub(super) mask_img: Option<Picture>,
    pub(super) instruction: String,
    pub(super) target_img: Picture,
}

/// A picture of a row.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "PathBuf")]
pub(super) enum Picture {
    /// In a file, by its path from the list's folder.
    File(PathBuf),
    /// In the row itself: the bytes of a PNG or JPEG file.
    Bytes(Vec<u8>),
}

impl From<PathBuf> for Picture {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl Picture {
    /// Pixels; `list` is the file that the row is from.
    fn image(&self, list: &Path, limits: &Limits) -> Result<Image> {
        match self {
            Self::File(path) => read_image(folder_of(list).join(path), limits),
            Self::Bytes(bytes) => decode_image(bytes, list, limits),
        }
    }

    fn mask(&self, list: &Path, limits: &Limits) -> Result<Mask> {
        match self {
            Self::File(path) => read_mask(folder_of(list).join(path), limits),
            Self::Bytes(bytes) => decode_mask(bytes, list, limits),
        }
    }

    /// Bytes that it takes in memory.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::File(_) => 0,
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

fn folder_of(list: &Path) -> &Path {
    list.parent().unwrap_or(Path::new(""))
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
}

/// Rows of consecutive turns as a session; `list` is the file that they are from.
pub(super) fn conversation(list: &Path, rows: &[Row], config: &ImportConfig) -> Result<Session> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(Error::format(list, "a conversation without turns"));
    };
    let limits = &config.limits;
    let named = |error: Error| {
        let what = format!("img_id {:?}: {error}", first.img_id);
        if rows.iter().any(|row| row.target_img.held() > 0) {
            Error::format(list, what)
        } else {
            error
        }
    };
    let picture = |picture: &Picture| picture.image(list, limits).map_err(named);
    let mut images = vec![picture(&first.source_img)?];
    for row in rows {
        images.push(picture(&row.target_img)?);
    }
    let mask = |row: &Row| {
        let mask = row.mask_img.as_ref().map(|mask| mask.mask(list, limits).map_err(named));
        Ok([mask.transpose()?, None])
    };
    let masks = rows.iter().map(mask).collect::<Result<Vec<_>>>()?;
    let turns = match (first.turn_index, last.turn_index) {
        (1, _) => String::new(),
        (from, _) => format!("-from{from}"),
    };
    let source =
        Source { name: first.img_id.clone(), sampling: "import".to_owned(), ..Source::default() };
    let instructions = rows.iter().map(|row| row.instruction.clone()).collect();
    let key = format!("{}{turns}", plain(&first.img_id));
    let record = SessionRecord::imported(key, instructions, None, source)
        .map_err(|what| Error::format(list, format!("img_id {:?}: {what}", first.img_id)))?;
    assemble(record, images, masks, config)
}

/// A name as a part of a key, which has no dots or slashes: its other letters, at most 64.
pub(super) fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.chars().map(|c| if is_plain(c) { c } else { '_' }).take(64).collect()
}

/// Runs of consecutive turns, each no longer than a session may be.
pub(super) fn conversations(turns: BTreeMap<u32, Row>) -> Vec<Vec<Row>> {
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
        Some(self.items.next()?.and_then(|rows| conversation(&self.path, &rows, &self.config)))
    }
}
