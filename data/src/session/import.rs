//! Sessions from whatever a path holds.

use super::edit_rows::EditRows;
use super::edits::Edits;
use super::folder::{is_session_folder, read_folder};
use super::video_rows::VideoRows;
use super::{Session, SessionList};
use crate::parquet::Parquet;
use crate::shard::{ShardReader, list_shards};
use crate::{Error, Limits, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Sessions from any source. An `Err` is one session that could not be had; the iterator goes on
/// behind it where it can.
pub type Sessions = Box<dyn Iterator<Item = Result<Session>> + Send>;

/// How sessions are brought in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportConfig {
    /// What pictures may ask for.
    pub limits: Limits,
    /// Columns and rows that frames and masks are scaled and cut to, each by itself; without,
    /// they stay as they are, and frames of different sizes are refused.
    pub size: Option<[usize; 2]>,
}

impl ImportConfig {
    /// Brings a session to the size asked for.
    pub(super) fn fitted(&self, session: Session) -> Session {
        match self.size {
            Some([width, height]) => session.fit(width, height),
            None => session,
        }
    }

    fn check(&self) -> Result<()> {
        let [width, height] = self.size.unwrap_or([1, 1]);
        self.limits
            .check_size(width, height)
            .map_err(|what| Error::Unsupported(format!("size to bring sessions to: {what}")))
    }
}

/// The sessions of a shard (`.tar`), a folder of shards, a list (`.jsonl`) of sessions or of
/// MagicBrush's edits, a Parquet file or a folder of some with the rows of MagicBrush or VINCIE-10M, a
/// session folder or a folder of session folders (by name), in a fixed order.
pub fn open_sessions(path: impl AsRef<Path>, config: &ImportConfig) -> Result<Sessions> {
    let path = path.as_ref();
    let config = *config;
    config.check()?;
    let has_extension = |wanted: &str| path.extension().is_some_and(|found| found == wanted);
    if path.is_file() && has_extension("jsonl") {
        return Ok(match Edits::are_in(path)? {
            true => Box::new(Edits::open(path, &config)?),
            false => Box::new(SessionList::open(path, &config)?),
        });
    }
    if path.is_file() && has_extension("tar") {
        return Ok(shards(vec![path.to_owned()], config));
    }
    if path.is_file() && has_extension("parquet") {
        return open_tables(&[path.to_owned()], &config);
    }
    if !path.is_dir() {
        fs::metadata(path).map_err(|error| Error::io(path, error))?;
        let what = "not a folder, .tar, .jsonl or .parquet: no sessions can be read";
        return Err(Error::format(path, what));
    }
    if is_session_folder(path) {
        return Ok(Box::new(std::iter::once(read_folder(path, &config))));
    }
    let tars = list_shards(path)?;
    if !tars.is_empty() {
        return Ok(shards(tars, config));
    }
    let (mut folders, mut tables) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).map_err(|error| Error::io(path, error))? {
        let inner = entry.map_err(|error| Error::io(path, error))?.path();
        let is_hidden = inner.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if is_hidden {
            continue;
        }
        if inner.extension().is_some_and(|extension| extension == "parquet") {
            tables.push(inner);
        } else if is_session_folder(&inner) {
            folders.push(inner);
        }
    }
    if !tables.is_empty() {
        tables.sort();
        return open_tables(&tables, &config);
    }
    if folders.is_empty() {
        return Err(Error::format(
            path,
            "no shards (*.tar), no *.parquet and no folders with session.json or instructions.txt",
        ));
    }
    folders.sort();
    Ok(Box::new(folders.into_iter().map(move |folder| read_folder(folder, &config))))
}

/// The rows of Parquet files of one data set, in the order given. The columns of the first say whether
/// they are MagicBrush's, whose conversations may go on in the next file, or VINCIE-10M's.
pub fn open_tables(files: &[PathBuf], config: &ImportConfig) -> Result<Sessions> {
    config.check()?;
    let Some(first) = files.first() else { return Ok(Box::new(std::iter::empty())) };
    let first = Parquet::open(first)?;
    let files = files.to_vec();
    if EditRows::are_in(&first) {
        return Ok(Box::new(EditRows::open(files, config)?));
    }
    if VideoRows::are_in(&first) {
        return Ok(Box::new(VideoRows::open(files, config)));
    }
    let columns: Vec<String> = first.columns().take(20).collect();
    let what = format!(
        "has the columns {}; known are those of MagicBrush (img_id, turn_index, source_img, mask_img, \
         instruction, target_img) and of VINCIE-10M (image, ann_v0)",
        columns.join(", ")
    );
    Err(Error::format(first.path(), what))
}

/// Shards one after the other; one that cannot be opened is one `Err`.
fn shards(paths: Vec<PathBuf>, config: ImportConfig) -> Sessions {
    Box::new(paths.into_iter().flat_map(move |path| -> Sessions {
        match ShardReader::open(path, &config.limits) {
            Ok(reader) => {
                let sessions = reader.into_sessions();
                Box::new(sessions.map(move |session| Ok(config.fitted(session?))))
            }
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }))
}
