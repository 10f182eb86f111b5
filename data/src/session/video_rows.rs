//! VINCIE-10M's sessions as they are published: rows of Parquet files with the frames of a video and one
//! annotation a transition.
//!
//! Column `image` is a list of encoded pictures in time order (or of structures with `bytes`); `ann_v0` is
//! JSON text, a list with one entry a transition whose `text` holds a `summary_change`, the instruction.
//! What else `text` holds is kept as the transition's facts. There are no masks.

use super::edit_rows::{needed, text};
use super::edits::plain;
use super::folder::assemble;
use super::{ImportConfig, MAX_RECORD_BYTES, Session, SessionRecord, Source};
use crate::decode::decode_image;
use crate::parquet::{Cell, Parquet, Rows, Value};
use crate::{Error, Result};
use serde_json::Value as Json;
use std::path::PathBuf;
use std::sync::Arc;

/// The sessions of some files, a row each. A row that cannot be used is an `Err`, and the next call goes on
/// behind it.
pub(super) struct VideoRows {
    config: ImportConfig,
    files: std::vec::IntoIter<PathBuf>,
    open: Option<(Arc<Parquet>, Rows)>,
    /// Rows of the open file that have been read.
    row: u64,
}

impl VideoRows {
    /// Whether a file has the columns of such sessions.
    pub(super) fn are_in(parquet: &Parquet) -> bool {
        parquet.column("image", "bytes").is_some() && parquet.column("ann_v0", "ann_v0").is_some()
    }

    pub(super) fn open(files: Vec<PathBuf>, config: &ImportConfig) -> Self {
        Self { config: *config, files: files.into_iter(), open: None, row: 0 }
    }

    fn open_next(&mut self, file: &PathBuf) -> Result<()> {
        let parquet = Arc::new(Parquet::open(file)?);
        let columns = [needed(&parquet, "image", "bytes")?, needed(&parquet, "ann_v0", "ann_v0")?];
        let rows = parquet.rows(&columns);
        (self.open, self.row) = (Some((parquet, rows)), 0);
        Ok(())
    }
}

impl Iterator for VideoRows {
    type Item = Result<Session>;

    fn next(&mut self) -> Option<Result<Session>> {
        loop {
            if let Some((parquet, rows)) = &mut self.open {
                if let Some(cells) = rows.next() {
                    self.row += 1;
                    let session = cells.and_then(|cells| {
                        session(parquet, self.row, &cells, &self.config).map_err(|what| {
                            Error::format(parquet.path(), format!("row {}: {what}", self.row))
                        })
                    });
                    return Some(session);
                }
                self.open = None;
            }
            let file = self.files.next()?;
            if let Err(error) = self.open_next(&file) {
                return Some(Err(error));
            }
        }
    }
}

/// A row as a session; the error says what of it is not as it should be.
fn session(
    parquet: &Parquet,
    row: u64,
    cells: &[Cell],
    config: &ImportConfig,
) -> Result<Session, String> {
    let [pictures, annotation] = cells else { return Err("has no image and ann_v0".to_owned()) };
    let annotation = text(parquet, "ann_v0", annotation).map_err(|_| "has no ann_v0".to_owned())?;
    if annotation.len() > MAX_RECORD_BYTES {
        return Err(format!(
            "ann_v0 of {} bytes; the limit is {MAX_RECORD_BYTES}",
            annotation.len()
        ));
    }
    let changes = changes(&annotation)?;
    let stem = parquet.path().file_stem().and_then(|stem| stem.to_str()).unwrap_or("rows");
    let name = plain(stem);
    let source =
        Source { name: stem.to_owned(), sampling: "import".to_owned(), ..Source::default() };
    let (instructions, facts): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    let mut record =
        SessionRecord::imported(format!("{name}-{row:08}"), instructions, None, source)?;
    if pictures.len() != record.frames.len() {
        let (has, needs) = (pictures.len(), record.frames.len());
        return Err(format!("has {has} pictures; its annotations are of {needs}"));
    }
    for (transition, facts) in record.transitions.iter_mut().zip(facts) {
        transition.facts = facts;
    }
    let mut images = Vec::with_capacity(pictures.len());
    for (index, picture) in pictures.iter().enumerate() {
        let Some(Value::Bytes(bytes)) = picture else {
            return Err(format!("picture {index} is not there"));
        };
        let image = decode_image(bytes, format!("picture {index}"), &config.limits);
        images.push(image.map_err(|error| error.to_string())?);
    }
    let masks = vec![[None, None]; record.transitions.len()];
    assemble(record, images, masks, config).map_err(|error| error.to_string())
}

/// The instruction of every transition, and what else is said of it.
fn changes(annotation: &str) -> Result<Vec<(String, Json)>, String> {
    let entries: Vec<Json> = serde_json::from_str(annotation)
        .map_err(|error| format!("ann_v0 is not a list in JSON: {error}"))?;
    let mut changes = Vec::with_capacity(entries.len());
    for (index, mut entry) in entries.into_iter().enumerate() {
        let text = entry.get_mut("text").and_then(Json::as_object_mut);
        let summary = text.and_then(|text| {
            let summary = text.remove("summary_change")?.as_str()?.trim().to_owned();
            Some((summary, Json::Object(std::mem::take(text))))
        });
        let Some((instruction, facts)) = summary.filter(|(text, _)| !text.is_empty()) else {
            return Err(format!("transition {index} has no text.summary_change"));
        };
        let is_empty = facts.as_object().is_some_and(serde_json::Map::is_empty);
        changes.push((instruction, if is_empty { Json::Null } else { facts }));
    }
    Ok(changes)
}
