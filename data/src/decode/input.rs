//! A file or a byte vector that is read at given positions, with its length known.

use crate::{Error, Result};
use std::{
    fs::File,
    io::{BufReader, Cursor, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// Bytes of a video, wherever they lie.
pub(super) struct Input {
    reader: BufReader<Box<dyn ReadSeek>>,
    position: u64,
    length: u64,
    name: PathBuf,
}

impl Input {
    /// A file on disk.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
        Ok(Self::new(Box::new(file), length, path))
    }

    /// Bytes in memory; `name` is what errors call them.
    pub(super) fn from_bytes(bytes: Vec<u8>, name: &Path) -> Self {
        let length = bytes.len() as u64;
        Self::new(Box::new(Cursor::new(bytes)), length, name)
    }

    fn new(reader: Box<dyn ReadSeek>, length: u64, name: &Path) -> Self {
        let reader = BufReader::with_capacity(1 << 16, reader);
        Self { reader, position: 0, length, name: name.to_owned() }
    }

    /// Length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// What errors call the source.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// A format error in this source.
    pub(super) fn format(&self, what: impl Into<String>) -> Error {
        Error::format(&self.name, what)
    }

    /// Reads bytes from `position` until `buffer` is full or the source ends; returns how many.
    pub(super) fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        if position >= self.length {
            return Ok(0);
        }
        let io = |e| Error::io(&self.name, e);
        if position != self.position {
            let forward = position.checked_sub(self.position).and_then(|n| i64::try_from(n).ok());
            match forward {
                Some(distance) => self.reader.seek_relative(distance).map_err(io)?,
                None => self.reader.seek(SeekFrom::Start(position)).map(|_| ()).map_err(io)?,
            }
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io(e)),
            }
        }
        self.position = position + filled as u64;
        Ok(filled)
    }

    /// The `N` bytes at `position`, or `None` where the source ends before them.
    pub(super) fn array_at<const N: usize>(&mut self, position: u64) -> Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        let count = self.read_at(position, &mut bytes)?;
        Ok((count == N).then_some(bytes))
    }

    /// The `length` bytes at `position`, or `None` where the source ends before them; nothing is
    /// allocated in that case.
    pub(super) fn vec_at(&mut self, position: u64, length: usize) -> Result<Option<Vec<u8>>> {
        let end = position.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        let count = self.read_at(position, &mut bytes)?;
        Ok((count == length).then_some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_may_go_back_and_past_the_end() {
        let mut input = Input::from_bytes((0..100).collect(), Path::new("bytes"));
        assert_eq!(input.array_at(40).unwrap(), Some([40, 41]));
        assert_eq!(input.array_at(90).unwrap(), Some([90]));
        assert_eq!(input.vec_at(3, 4).unwrap(), Some(vec![3, 4, 5, 6]));
        assert_eq!(input.array_at::<4>(97).unwrap(), None);
        assert_eq!(input.array_at(0).unwrap(), Some([0]));
        assert_eq!(input.vec_at(1000, 1).unwrap(), None);
        assert_eq!(input.vec_at(u64::MAX, usize::MAX).unwrap(), None);
        assert_eq!(input.array_at::<1>(u64::MAX - 1).unwrap(), None);
        assert_eq!(input.array_at(99).unwrap(), Some([99]));
    }
}
