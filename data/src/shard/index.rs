//! The sidecar `{shard}.index.json`: where each session stands in its shard, and its hash.

use super::member::BLOCK;
use super::{MAX_SESSION_BYTES, MAX_SHARD_SESSIONS, Statistics, publish};
use crate::session::check_key;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Version of the index's layout.
const FORMAT: u32 = 1;

/// Largest index that is read, bytes.
const MAX_INDEX_BYTES: u64 = 512 << 20;

/// One session of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// The session's key.
    pub key: String,
    /// First byte of its first header in the shard; a multiple of 512.
    pub offset: u64,
    /// Bytes from there to the end of its last file's padding; a multiple of 512.
    pub size: u64,
    /// SHA-256 of those bytes, hexadecimal; unknown when only headers were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The name of the session's source; unknown when only headers were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What the sidecar of one shard holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardIndex {
    /// Layout version.
    pub format: u32,
    /// Bytes of the whole shard: another length means that the index is of another shard.
    pub bytes: u64,
    /// Counts over the sessions.
    pub statistics: Statistics,
    /// Sessions in file order.
    pub sessions: Vec<ShardEntry>,
}

impl ShardIndex {
    /// An index of this build's layout.
    pub(crate) fn new(bytes: u64, statistics: Statistics, sessions: Vec<ShardEntry>) -> Self {
        Self { format: FORMAT, bytes, statistics, sessions }
    }

    /// The sidecar's path: `train-000000.index.json` for `train-000000.tar`.
    pub fn path_of(shard: &Path) -> PathBuf {
        shard.with_extension("index.json")
    }

    /// Reads the sidecar of a shard of `bytes` bytes, `None` when there is none. `Err` when it
    /// cannot be read or does not fit the shard.
    pub fn read(shard: &Path, bytes: u64) -> Result<Option<Self>> {
        let path = Self::path_of(shard);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&path, error)),
        };
        if length > MAX_INDEX_BYTES {
            let what = format!("index of {length} bytes; the limit is {MAX_INDEX_BYTES}");
            return Err(Error::limit(&path, what));
        }
        let json = fs::read(&path).map_err(|error| Error::io(&path, error))?;
        let index = Self::parse(&json).and_then(|index| index.check(bytes).map(|()| index));
        index.map(Some).map_err(|what| Error::format(&path, what))
    }

    /// Reads an index from JSON; whether it fits a shard is [`ShardIndex::check`].
    pub fn parse(json: &[u8]) -> std::result::Result<Self, String> {
        let index: Self = serde_json::from_slice(json)
            .map_err(|error| format!("index is not readable: {error}"))?;
        if index.format != FORMAT {
            return Err(format!(
                "index has format {}; this build reads format {FORMAT}",
                index.format
            ));
        }
        Ok(index)
    }

    /// `Err` with one line unless the entries can be those of a shard of `bytes` bytes: in order,
    /// apart, on tar's blocks, inside the file, with unique keys.
    pub fn check(&self, bytes: u64) -> std::result::Result<(), String> {
        if self.bytes != bytes {
            return Err(format!(
                "index is of a shard of {} bytes, the shard has {bytes}",
                self.bytes
            ));
        }
        if self.sessions.len() > MAX_SHARD_SESSIONS {
            return Err(format!(
                "index of {} sessions; the limit is {MAX_SHARD_SESSIONS}",
                self.sessions.len()
            ));
        }
        let mut keys = HashSet::with_capacity(self.sessions.len());
        let mut end = 0;
        for entry in &self.sessions {
            check_key(&entry.key)?;
            let is_aligned = entry.offset.is_multiple_of(BLOCK) && entry.size.is_multiple_of(BLOCK);
            let entry_end = entry.offset.checked_add(entry.size);
            let is_inside = entry_end.is_some_and(|end| end <= bytes);
            let is_sized = (1..=MAX_SESSION_BYTES).contains(&entry.size);
            if !is_aligned || !is_inside || !is_sized || entry.offset < end {
                return Err(format!(
                    "index puts session {} at byte {} with {} bytes, which cannot be",
                    entry.key, entry.offset, entry.size
                ));
            }
            if !keys.insert(entry.key.as_str()) {
                return Err(format!("index has session {} twice", entry.key));
            }
            end = entry.offset + entry.size;
        }
        Ok(())
    }

    /// Publishes the index beside its shard.
    pub(crate) fn write(&self, shard: &Path) -> Result<()> {
        let mut json =
            serde_json::to_vec(self).expect("an index has string and number keys, as JSON needs");
        json.push(b'\n');
        publish::file(&Self::path_of(shard), &json)
    }
}
