//! Writing sessions into a folder of shards that is never seen half-written.

use super::dataset::{DATASET_FILE, Dataset, index_shard, list_shards};
use super::index::{ShardEntry, ShardIndex};
use super::pack::{FrameFormat, PackedSession};
use super::{MAX_SHARD_SESSIONS, Statistics, publish};
use crate::session::{Session, check_key};
use crate::{Error, Limits, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The two zero blocks that close an archive.
const END_MARKER: [u8; 1024] = [0; 1024];

/// Shards of a name are numbered with six digits.
const MAX_SHARDS: usize = 1_000_000;

/// Most sessions that [`ShardWriter::write_all`] holds at once, to encode them on all cores.
const MAX_BATCH: usize = 64;

/// What to do with shards that are in the folder already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExistingShards {
    /// Refuse the folder.
    #[default]
    Refuse,
    /// Keep them, number on behind them, and refuse keys that they hold.
    Add,
}

/// How a data set is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterConfig {
    /// Shards are called `{name}-000000.tar` and so on; letters, digits, `-` and `_`.
    pub name: String,
    /// How frames are stored.
    pub frames: FrameFormat,
    /// Most sessions in a shard.
    pub max_sessions: usize,
    /// Most bytes of sessions in a shard; a larger session has a shard of its own.
    pub max_bytes: u64,
    /// What to do with shards that are there.
    pub existing: ExistingShards,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            name: "shard".to_owned(),
            frames: FrameFormat::default(),
            max_sessions: 10_000,
            max_bytes: 1 << 30,
            existing: ExistingShards::Refuse,
        }
    }
}

/// Writes sessions to shards in the order given.
///
/// A shard appears under its name when it is whole; the summary appears at
/// [`ShardWriter::finish`]. A writer that is dropped or killed before leaves the shards that were
/// whole, and at most one hidden `.partial` file that the next writer removes. The folder is
/// locked meanwhile: a second writer is refused.
#[derive(Debug)]
pub struct ShardWriter {
    folder: PathBuf,
    config: WriterConfig,
    dataset: Dataset,
    keys: HashSet<u128>,
    number: usize,
    open: Option<OpenShard>,
    has_failed: bool,
    // Held for its lock, which ends with it.
    _lock: File,
}

/// The shard that is being written.
#[derive(Debug)]
struct OpenShard {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    bytes: u64,
    entries: Vec<ShardEntry>,
    statistics: Statistics,
}

impl ShardWriter {
    /// Opens a folder for writing and makes it if needed.
    pub fn create(folder: impl AsRef<Path>, config: WriterConfig) -> Result<Self> {
        let folder = folder.as_ref().to_owned();
        check_config(&config)?;
        fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
        let lock = lock(&folder)?;
        let shards = list_shards(&folder)?;
        let has_summary = folder.join(DATASET_FILE).exists();
        if config.existing == ExistingShards::Refuse && (!shards.is_empty() || has_summary) {
            return Err(Error::Unsupported(format!(
                "{}: holds a data set of {} shards; name an empty folder, or ask to add to it",
                folder.display(),
                shards.len()
            )));
        }
        remove_leftovers(&folder)?;
        let mut writer = Self {
            folder,
            config,
            dataset: Dataset::empty(),
            keys: HashSet::new(),
            number: 0,
            open: None,
            has_failed: false,
            _lock: lock,
        };
        for shard in &shards {
            writer.take_existing(shard)?;
        }
        Ok(writer)
    }

    /// Encodes and writes a session. After an input/output error the writer refuses more.
    pub fn write(&mut self, session: &Session) -> Result<()> {
        self.append(PackedSession::new(session, self.config.frames)?)
    }

    /// Writes a session that was encoded elsewhere, for instance on several threads.
    pub fn append(&mut self, session: PackedSession) -> Result<()> {
        if self.has_failed {
            return Err(Error::Unsupported(format!(
                "{}: writing failed before; start again with a new writer",
                self.folder.display()
            )));
        }
        let mut entry = session.entry;
        let key = key_hash(&entry.key);
        if self.keys.contains(&key) {
            let what = format!("session {} is in the data set already", entry.key);
            return Err(Error::format(&self.folder, what));
        }
        // Until the session is in, an early return means that the shard on disk is not as known.
        self.has_failed = true;
        let is_full = self.open.as_ref().is_some_and(|open| {
            open.entries.len() >= self.config.max_sessions
                || open.bytes + entry.size > self.config.max_bytes
        });
        if is_full {
            self.publish()?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.start_shard()?,
        };
        entry.offset = open.bytes;
        let written = open.file.write_all(&session.bytes);
        open.bytes += entry.size;
        open.entries.push(entry);
        open.statistics.add(&session.statistics);
        let partial = self.open.insert(open).partial.clone();
        written.map_err(|error| Error::io(partial, error))?;
        self.keys.insert(key);
        self.has_failed = false;
        Ok(())
    }

    /// Writes every session of an iterator, encoding on all cores; the result does not depend on
    /// their number. Sessions that cannot be had or written go to `on_bad` and are left out;
    /// only an error of the output ends it.
    pub fn write_all(
        &mut self,
        sessions: impl IntoIterator<Item = Result<Session>>,
        mut on_bad: impl FnMut(Error),
    ) -> Result<()> {
        let mut sessions = sessions.into_iter();
        let frames = self.config.frames;
        let size = (2 * rayon::current_num_threads()).min(MAX_BATCH);
        loop {
            let batch: Vec<_> = sessions.by_ref().take(size).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let packed: Vec<_> = batch
                .into_par_iter()
                .map(|session| PackedSession::new(&session?, frames))
                .collect();
            for session in packed {
                match session.and_then(|session| self.append(session)) {
                    Ok(()) => {}
                    Err(error) if self.has_failed => return Err(error),
                    Err(error) => on_bad(error),
                }
            }
        }
    }

    /// Publishes the last shard and then the summary, which it returns.
    pub fn finish(mut self) -> Result<Dataset> {
        if self.has_failed {
            return Err(Error::Unsupported(format!(
                "{}: writing failed before, so there is no summary",
                self.folder.display()
            )));
        }
        self.publish()?;
        self.dataset.write(&self.folder)?;
        Ok(self.dataset.clone())
    }

    fn start_shard(&mut self) -> Result<OpenShard> {
        if self.number >= MAX_SHARDS {
            let what = format!("shard number {}; the limit is {MAX_SHARDS} shards", self.number);
            return Err(Error::limit(&self.folder, what));
        }
        let path = self.folder.join(format!("{}-{:06}.tar", self.config.name, self.number));
        self.number += 1;
        let partial = publish::temporary(&path);
        let file = File::create(&partial).map_err(|error| Error::io(&partial, error))?;
        Ok(OpenShard {
            path,
            partial,
            file,
            bytes: 0,
            entries: Vec::new(),
            statistics: Statistics::default(),
        })
    }

    /// Gives the open shard its name, then writes its index: a shard without an index can be read,
    /// an index without a shard could not.
    fn publish(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.file
            .write_all(&END_MARKER)
            .and_then(|()| open.file.sync_all())
            .map_err(|error| Error::io(&open.partial, error))?;
        publish::rename(&open.partial, &open.path)?;
        let open = self.open.take().expect("the shard was open above");
        let bytes = open.bytes + END_MARKER.len() as u64;
        let index = ShardIndex::new(bytes, open.statistics, open.entries);
        index.write(&open.path)?;
        self.dataset.add(&open.path, &index);
        Ok(())
    }

    fn take_existing(&mut self, shard: &Path) -> Result<()> {
        let length = fs::metadata(shard).map_err(|error| Error::io(shard, error))?.len();
        let index = match ShardIndex::read(shard, length) {
            Ok(Some(index)) => index,
            _ => index_shard(shard, &Limits::default())?.index,
        };
        self.keys.extend(index.sessions.iter().map(|entry| key_hash(&entry.key)));
        self.dataset.add(shard, &index);
        let number = shard
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.strip_prefix(&self.config.name)?.strip_prefix('-'))
            .and_then(|digits| digits.parse::<usize>().ok());
        if let Some(number) = number {
            self.number = self.number.max(number.saturating_add(1));
        }
        Ok(())
    }
}

impl Drop for ShardWriter {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            // Nothing can be reported from here; the next writer would remove it too.
            let _ = fs::remove_file(&open.partial);
        }
    }
}

fn check_config(config: &WriterConfig) -> Result<()> {
    check_key(&config.name)
        .map_err(|what| Error::Unsupported(format!("name of shards: {what}")))?;
    if !(1..=MAX_SHARD_SESSIONS).contains(&config.max_sessions) || config.max_bytes == 0 {
        return Err(Error::Unsupported(format!(
            "{} sessions and {} bytes a shard; it holds 1 to {MAX_SHARD_SESSIONS} sessions and at \
             least 1 byte",
            config.max_sessions, config.max_bytes
        )));
    }
    if let FrameFormat::Jpeg { quality } = config.frames
        && !(1..=100).contains(&quality)
    {
        return Err(Error::Unsupported(format!("JPEG quality {quality}; it is 1 to 100")));
    }
    Ok(())
}

/// Locks the folder until the file is dropped or the process ends.
fn lock(folder: &Path) -> Result<File> {
    let file = File::open(folder).map_err(|error| Error::io(folder, error))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::Unsupported(format!(
            "{}: another writer is at work in this folder; wait for it or name another",
            folder.display()
        ))),
        // A file system without locks cannot tell; everything else still holds there.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Removes what a killed writer left. The lock is held, so nobody is writing it.
fn remove_leftovers(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| Error::io(folder, error))? {
        let path = entry.map_err(|error| Error::io(folder, error))?.path();
        let is_leftover =
            path.file_name().and_then(|name| name.to_str()).is_some_and(publish::is_temporary);
        if is_leftover && path.is_file() {
            fs::remove_file(&path).map_err(|error| Error::io(&path, error))?;
        }
    }
    Ok(())
}

/// Sixteen bytes stand for a key, so that ten million keys fit in memory.
fn key_hash(key: &str) -> u128 {
    let digest = Sha256::digest(key.as_bytes());
    digest[..16].iter().fold(0, |hash, &byte| hash << 8 | u128::from(byte))
}
