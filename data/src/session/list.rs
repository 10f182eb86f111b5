//! A JSONL file that lists sessions over picture files.
//!
//! One session a line; only `frames` and `instructions` are required, paths are relative to the
//! list, and a mask may be `null`:
//!
//! ```text
//! {"key": "park-1", "frames": ["a.jpg", "b.jpg"], "instructions": ["add a kite"],
//!  "current_masks": [null], "next_masks": ["kite.png"], "times": [0, 1.5], "source": "park.mp4"}
//! ```

use super::folder::assemble;
use super::{ImportConfig, MAX_FRAMES, MAX_RECORD_BYTES, Session, SessionRecord, Source};
use crate::decode::{read_image, read_mask};
use crate::{Error, Mask, Result};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The sessions of a list, in file order.
///
/// A line that cannot be used is an `Err` that names it, and the next call goes on behind it.
/// Empty lines are passed over. Without a key a session is called `{file stem}-{line:06}`.
pub struct SessionList {
    path: PathBuf,
    reader: BufReader<File>,
    config: ImportConfig,
    line: u64,
    is_done: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Option<String>,
    frames: Vec<PathBuf>,
    instructions: Vec<String>,
    #[serde(default)]
    current_masks: Vec<Option<PathBuf>>,
    #[serde(default)]
    next_masks: Vec<Option<PathBuf>>,
    times: Option<Vec<f64>>,
    source: Option<String>,
}

impl SessionList {
    /// Opens a list.
    pub fn open(path: impl AsRef<Path>, config: &ImportConfig) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let file = File::open(&path).map_err(|error| Error::io(&path, error))?;
        Ok(Self { path, reader: BufReader::new(file), config: *config, line: 0, is_done: false })
    }

    /// The next line without its end, `None` at the end of the file. A line above the limit is
    /// passed over piece by piece and is an error.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut is_long = false;
        loop {
            let mut piece = Vec::new();
            let read = (&mut self.reader)
                .take(MAX_RECORD_BYTES as u64)
                .read_until(b'\n', &mut piece)
                .map_err(|error| Error::io(&self.path, error))?;
            let has_end = piece.last() == Some(&b'\n');
            if read == 0 && line.is_empty() && !is_long {
                return Ok(None);
            }
            if line.len() + read <= MAX_RECORD_BYTES {
                line.append(&mut piece);
            } else {
                is_long = true;
            }
            if has_end || read == 0 {
                break;
            }
        }
        self.line += 1;
        if is_long {
            let what = format!("line {} is longer than {MAX_RECORD_BYTES} bytes", self.line);
            return Err(Error::limit(&self.path, what));
        }
        Ok(Some(line))
    }

    fn session(&self, line: &[u8]) -> Result<Session> {
        let refuse = |what| Error::format(&self.path, format!("line {}: {what}", self.line));
        let line: Line = serde_json::from_slice(line).map_err(|error| refuse(error.to_string()))?;
        let transitions = line.instructions.len();
        if line.frames.len() > MAX_FRAMES || line.frames.len() != transitions + 1 {
            return Err(refuse(format!(
                "{} frames for {transitions} instructions; there is one frame more, and at most \
                 {MAX_FRAMES}",
                line.frames.len()
            )));
        }
        for (name, masks) in
            [("current_masks", &line.current_masks), ("next_masks", &line.next_masks)]
        {
            if !masks.is_empty() && masks.len() != transitions {
                return Err(refuse(format!(
                    "{} {name} for {transitions} instructions; write null where there is none",
                    masks.len()
                )));
            }
        }
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("session");
        let key = line.key.unwrap_or_else(|| format!("{stem}-{:06}", self.line));
        let source = Source {
            name: line.source.unwrap_or_else(|| stem.to_owned()),
            sampling: "import".to_owned(),
            ..Source::default()
        };
        let record =
            SessionRecord::imported(key, line.instructions, line.times, source).map_err(refuse)?;
        if record.frames.len() != line.frames.len() {
            return Err(refuse(format!(
                "{} times for {} frames",
                record.frames.len(),
                line.frames.len()
            )));
        }
        let limits = &self.config.limits;
        let base = self.path.parent().unwrap_or(Path::new(""));
        let images = line
            .frames
            .iter()
            .map(|path| read_image(base.join(path), limits))
            .collect::<Result<Vec<_>>>()?;
        let mask = |masks: &[Option<PathBuf>], index: usize| -> Result<Option<Mask>> {
            let path = masks.get(index).and_then(Option::as_ref);
            path.map(|path| read_mask(base.join(path), limits)).transpose()
        };
        let masks = (0..transitions)
            .map(|index| Ok([mask(&line.current_masks, index)?, mask(&line.next_masks, index)?]))
            .collect::<Result<Vec<_>>>()?;
        assemble(record, images, masks, &self.config)
    }
}

impl Iterator for SessionList {
    type Item = Result<Session>;

    fn next(&mut self) -> Option<Result<Session>> {
        while !self.is_done {
            match self.next_line() {
                Ok(Some(line)) if line.trim_ascii().is_empty() => {}
                Ok(Some(line)) => return Some(self.session(&line)),
                Ok(None) => self.is_done = true,
                Err(error) => {
                    // A reading error would come again; a long line has been passed over.
                    self.is_done = matches!(error, Error::Io { .. });
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
