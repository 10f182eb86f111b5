//! Reading a shard: by index, or by scanning where there is none that fits.

use super::index::{ShardEntry, ShardIndex};
use super::member::Stop;
use super::scan::{Scan, scan};
use super::unpack::{Reason, Refusal, Unpacked, unpack};
use crate::decode::sha256_hex;
use crate::session::Session;
use crate::{Error, Limits, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A shard whose sessions can be read in any order.
///
/// Holding a reader does not promise that the sessions decode: only headers, or only the index,
/// were looked at. Each session is checked when it is read, against its hash where one is known.
#[derive(Debug)]
pub struct ShardReader<R = File> {
    path: PathBuf,
    reader: R,
    length: u64,
    entries: Vec<ShardEntry>,
    limits: Limits,
    is_indexed: bool,
    index_problem: Option<String>,
    refused: Vec<String>,
    more_refused: u64,
    stop: Option<Stop>,
    ignored: u64,
    buffer: Vec<u8>,
}

impl ShardReader<File> {
    /// Opens a shard. Its sidecar index is used when it fits; otherwise the headers are read, and
    /// [`ShardReader::index_problem`] says why.
    pub fn open(path: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        let length = file.metadata().map_err(|error| Error::io(path, error))?.len();
        match ShardIndex::read(path, length) {
            Ok(Some(index)) => {
                let scan = Scan { entries: index.sessions, ..Scan::default() };
                Ok(Self { is_indexed: true, ..Self::over(path, file, length, scan, limits) })
            }
            Ok(None) => {
                let problem = Some("there is no index".to_owned());
                Ok(Self { index_problem: problem, ..Self::from_reader(path, file, limits)? })
            }
            Err(error) => {
                let problem = Some(error.to_string());
                Ok(Self { index_problem: problem, ..Self::from_reader(path, file, limits)? })
            }
        }
    }
}

impl<R: Read + Seek> ShardReader<R> {
    /// A shard from any bytes that can be read and sought, without an index; `path` only names
    /// it in errors.
    pub fn from_reader(path: impl AsRef<Path>, mut reader: R, limits: &Limits) -> Result<Self> {
        let path = path.as_ref();
        let length = reader.seek(SeekFrom::End(0)).map_err(|error| Error::io(path, error))?;
        let mut scan = scan(&mut reader, length);
        let tail = scan.tail.take();
        let mut reader = Self::over(path, reader, length, scan, limits);
        // Only its record can say whether the session before a cut has all its files.
        if let Some(entry) = tail {
            reader.entries.push(entry);
            if reader.unpack(reader.entries.len() - 1).is_err() {
                reader.entries.pop();
            }
        }
        Ok(reader)
    }

    /// Where each session stands, in file order.
    pub fn entries(&self) -> &[ShardEntry] {
        &self.entries
    }

    /// Why the sidecar index is not in use, `None` when it is (or none was asked for).
    pub fn index_problem(&self) -> Option<&str> {
        self.index_problem.as_deref()
    }

    /// Members passed over so far because they are no part of a session. With an index in use
    /// only those beside sessions that were read.
    pub fn ignored_members(&self) -> u64 {
        self.ignored
    }

    /// What the shard as a whole is refused for: bad member names, repeated keys, and last the
    /// place where it is cut or damaged. Empty with an index in use.
    pub fn problems(&self) -> Vec<Error> {
        let more = (self.more_refused > 0)
            .then(|| format!("{} more members or sessions were refused", self.more_refused));
        let stop = self.stop.as_ref().map(|stop| {
            format!("{}; {} sessions before it are whole", stop.what, self.entries.len())
        });
        let lines = self.refused.iter().cloned().chain(more).chain(stop);
        lines.map(|what| Error::format(&self.path, what)).collect()
    }

    /// Reads session `index` of [`ShardReader::entries`].
    pub fn read(&mut self, index: usize) -> Result<Session> {
        let unpacked = self.unpack(index).map_err(|refusal| refusal.error)?;
        self.ignored += if self.is_indexed { unpacked.ignored } else { 0 };
        Ok(unpacked.session)
    }

    /// Reads the session of a key.
    pub fn read_key(&mut self, key: &str) -> Result<Session> {
        let found = self.entries.iter().position(|entry| entry.key == key);
        let index =
            found.ok_or_else(|| Error::format(&self.path, format!("no session {key:?}")))?;
        self.read(index)
    }

    /// Every session in file order, then [`ShardReader::problems`]. A session that cannot be used
    /// is an `Err` and does not end the iteration.
    pub fn into_sessions(mut self) -> impl Iterator<Item = Result<Session>> {
        let mut index = 0;
        let mut problems = self.problems().into_iter();
        std::iter::from_fn(move || {
            if index == self.entries.len() {
                return problems.next().map(Err);
            }
            index += 1;
            Some(self.read(index - 1))
        })
    }

    /// Whether the file is cut or damaged, so that sessions may lie behind what was found.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// Whether the file ends too early.
    pub(crate) fn is_cut(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.is_cut)
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads the bytes of session `index` and decodes them.
    pub(crate) fn unpack(&mut self, index: usize) -> Result<Unpacked, Refusal> {
        let entry = &self.entries[index];
        read_span(&mut self.reader, &self.path, entry.offset, entry.size, &mut self.buffer)?;
        check_hash(&self.buffer, entry, &self.path)?;
        unpack(&self.buffer, &entry.key, &self.limits, &self.path)
    }

    /// The bytes that the last call of [`ShardReader::unpack`] read.
    pub(crate) fn last_bytes(&self) -> &[u8] {
        &self.buffer
    }

    fn over(path: &Path, reader: R, length: u64, scan: Scan, limits: &Limits) -> Self {
        Self {
            path: path.to_owned(),
            reader,
            length,
            entries: scan.entries,
            limits: *limits,
            is_indexed: false,
            index_problem: None,
            refused: scan.refused,
            more_refused: scan.more_refused,
            stop: scan.stop,
            ignored: scan.ignored,
            buffer: Vec::new(),
        }
    }
}

/// Reads `size` bytes at `offset`. The size was checked against the limit and the file when the
/// entry was made; a file that has shrunk since is a [`Reason::Cut`].
pub(crate) fn read_span(
    reader: &mut (impl Read + Seek),
    path: &Path,
    offset: u64,
    size: u64,
    buffer: &mut Vec<u8>,
) -> Result<(), Refusal> {
    buffer.clear();
    let read = reader
        .seek(SeekFrom::Start(offset))
        .and_then(|_| reader.take(size).read_to_end(buffer))
        .map_err(|error| Refusal { reason: Reason::Read, error: Error::io(path, error) })?;
    if read as u64 != size {
        let what = format!("cut: {read} of {size} bytes at byte {offset}");
        return Err(Refusal { reason: Reason::Cut, error: Error::format(path, what) });
    }
    Ok(())
}

fn check_hash(bytes: &[u8], entry: &ShardEntry, path: &Path) -> Result<(), Refusal> {
    let Some(wanted) = &entry.sha256 else { return Ok(()) };
    let found = sha256_hex(bytes);
    if found == *wanted {
        return Ok(());
    }
    let what = format!(
        "session {}: its bytes hash to {found}, the index says {wanted}; one of both was changed",
        entry.key
    );
    Err(Refusal { reason: Reason::Damaged, error: Error::format(path, what) })
}
