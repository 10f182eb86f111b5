//! A folder of shards as one data set: its summary, its files, and indexes for shards without.

use super::index::{ShardEntry, ShardIndex};
use super::{ShardReader, Statistics, publish};
use crate::decode::sha256_hex;
use crate::{Error, Limits, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the summary in a data set's folder.
pub const DATASET_FILE: &str = "dataset.json";

/// Version of the summary's layout.
const FORMAT: u32 = 1;

/// Largest summary that is read, bytes.
const MAX_SUMMARY_BYTES: u64 = 256 << 20;

/// What `dataset.json` holds. It is written last, so it lists only shards that are whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Layout version.
    pub format: u32,
    /// Program and version that wrote the summary.
    pub writer: String,
    /// Counts over all sessions.
    pub statistics: Statistics,
    /// Shards by name.
    pub shards: Vec<DatasetShard>,
}

/// One shard of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetShard {
    /// File name.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Sessions in it.
    pub sessions: u64,
}

/// An index that was made from the shard itself.
#[derive(Debug)]
pub struct IndexedShard {
    /// The index, as it was written beside the shard.
    pub index: ShardIndex,
    /// Sessions that are left out because they cannot be used, one error each.
    pub skipped: Vec<Error>,
}

impl Dataset {
    /// Reads the summary of a folder, `None` when it has none.
    pub fn read(folder: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = folder.as_ref().join(DATASET_FILE);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&path, error)),
        };
        if length > MAX_SUMMARY_BYTES {
            let what = format!("summary of {length} bytes; the limit is {MAX_SUMMARY_BYTES}");
            return Err(Error::limit(&path, what));
        }
        let json = fs::read(&path).map_err(|error| Error::io(&path, error))?;
        let dataset: Self = serde_json::from_slice(&json)
            .map_err(|error| Error::format(&path, format!("not readable: {error}")))?;
        if dataset.format != FORMAT {
            let what = format!("has format {}; this build reads format {FORMAT}", dataset.format);
            return Err(Error::format(&path, what));
        }
        Ok(Some(dataset))
    }

    /// A summary without shards.
    pub(crate) fn empty() -> Self {
        Self {
            format: FORMAT,
            writer: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
            statistics: Statistics::default(),
            shards: Vec::new(),
        }
    }

    /// Adds a shard under its file name.
    pub(crate) fn add(&mut self, shard: &Path, index: &ShardIndex) {
        let file = shard.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.statistics.add(&index.statistics);
        self.shards.push(DatasetShard {
            file,
            bytes: index.bytes,
            sessions: index.sessions.len() as u64,
        });
    }

    /// Publishes the summary in its folder, shards by name.
    pub(crate) fn write(&mut self, folder: &Path) -> Result<()> {
        self.shards.sort_by(|a, b| a.file.cmp(&b.file));
        let mut json = serde_json::to_vec_pretty(self)
            .expect("a summary has string and number keys, as JSON needs");
        json.push(b'\n');
        publish::file(&folder.join(DATASET_FILE), &json)
    }
}

/// The shards that a path stands for, by name: the `.tar` files of a folder, or the file itself.
/// `Err` when the folder's summary lists a shard that is not there.
pub fn list_shards(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let path = path.as_ref();
    if !path.is_dir() {
        fs::metadata(path).map_err(|error| Error::io(path, error))?;
        return Ok(vec![path.to_owned()]);
    }
    let mut shards = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| Error::io(path, error))? {
        let file = entry.map_err(|error| Error::io(path, error))?.path();
        let is_hidden =
            file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && file.extension().is_some_and(|extension| extension == "tar") {
            shards.push(file);
        }
    }
    shards.sort();
    if let Some(dataset) = Dataset::read(path)? {
        let is_there = |file: &str| {
            shards.binary_search_by(|shard| shard.as_path().cmp(&path.join(file))).is_ok()
        };
        if let Some(missing) = dataset.shards.iter().find(|shard| !is_there(&shard.file)) {
            let what = format!("{DATASET_FILE} lists {}, which is not there", missing.file);
            return Err(Error::format(path, what));
        }
    }
    Ok(shards)
}

/// Reads a whole shard and writes the index that belongs beside it, with hashes. For shards that
/// came from elsewhere or lost their index. A cut or damaged shard is refused.
pub fn index_shard(shard: impl AsRef<Path>, limits: &Limits) -> Result<IndexedShard> {
    let shard = shard.as_ref();
    let file = fs::File::open(shard).map_err(|error| Error::io(shard, error))?;
    let mut reader = ShardReader::from_reader(shard, file, limits)?;
    let mut skipped = reader.problems();
    if reader.is_stopped() {
        return Err(skipped.pop().expect("a stopped shard has a problem"));
    }
    let mut statistics = Statistics::default();
    let mut sessions = Vec::with_capacity(reader.entries().len());
    for index in 0..reader.entries().len() {
        match reader.unpack(index) {
            Ok(unpacked) => {
                let entry = &reader.entries()[index];
                statistics.add(&Statistics::of(&unpacked.session, entry.size));
                sessions.push(ShardEntry {
                    sha256: Some(sha256_hex(reader.last_bytes())),
                    source: Some(unpacked.session.source.name),
                    ..entry.clone()
                });
            }
            Err(refusal) => skipped.push(refusal.error),
        }
    }
    let index = ShardIndex::new(reader.length(), statistics, sessions);
    index.write(shard)?;
    Ok(IndexedShard { index, skipped })
}
