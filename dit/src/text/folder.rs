//! A released text model's folder: a tokenizer's file, weights and their configuration.

use super::{Fingerprint, file};
use crate::weights::Checkpoint;
use crate::{Error, Result};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Most bytes of a configuration.
const MAX_CONFIG: u64 = 1 << 20;

/// Changes when the same files give other features.
const VERSION: &str = "features 1";

/// Endings of files that features depend on.
const ENDINGS: [&str; 7] = ["json", "tiktoken", "model", "safetensors", "bin", "pth", "pt"];

/// What is read of each file for the fingerprint: pieces of this length, evenly spread.
const PIECE: u64 = 1 << 12;
const PIECES: u64 = 64;

/// The folder, of which the tokenizer's file has been found.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) tokenizer: PathBuf,
}

impl Folder {
    /// Finds the first of these files.
    pub(super) fn open(path: &Path, tokenizers: &[&str]) -> Result<Self> {
        let found = tokenizers.iter().map(|name| path.join(name)).find(|path| path.is_file());
        match found {
            Some(tokenizer) => Ok(Self { path: path.to_owned(), tokenizer }),
            None => {
                let what = format!("holds no text model: expected {}", tokenizers.join(" or "));
                Err(Error::format(path, what))
            }
        }
    }

    pub(super) fn weights(&self) -> Result<Checkpoint> {
        Checkpoint::open(&self.path)
    }

    /// `config.json`, or `null` where there is none.
    pub(super) fn config(&self) -> Result<Value> {
        let path = self.path.join("config.json");
        if !path.is_file() {
            return Ok(Value::Null);
        }
        let bytes = file::read(&path, MAX_CONFIG)?;
        serde_json::from_slice(&bytes).map_err(|e| Error::format(&path, e.to_string()))
    }

    /// Stands for the files: their names, lengths, times of change, and pieces of what they hold.
    /// Reading all of them would take as long as encoding a prompt does.
    pub(super) fn fingerprint(&self, kind: &str) -> Result<Fingerprint> {
        let io = |source| Error::io(&self.path, source);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if extension.is_some_and(|extension| ENDINGS.contains(&extension)) && path.is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        let mut parts = vec![VERSION.as_bytes().to_vec(), kind.as_bytes().to_vec()];
        for path in paths {
            parts.push(path.file_name().unwrap_or_default().as_encoded_bytes().to_vec());
            parts.push(pieces(&path).map_err(|source| Error::io(&path, source))?);
        }
        Ok(Fingerprint::of(parts.iter().map(Vec::as_slice)))
    }
}

/// Length, time of change and pieces of a file.
fn pieces(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let length = metadata.len();
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut all =
        [length.to_le_bytes().to_vec(), changed.as_nanos().to_le_bytes().to_vec()].concat();
    let step = length.saturating_sub(PIECE).div_ceil(PIECES - 1).max(PIECE);
    for start in (0..length).step_by(step as usize) {
        file.seek(SeekFrom::Start(start))?;
        file.by_ref().take(PIECE).read_to_end(&mut all)?;
    }
    Ok(all)
}
