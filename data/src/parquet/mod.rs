//! Columns of Parquet files, as data sets of pictures are published in them.
//!
//! Read are text, bytes and whole numbers, at any depth of lists and structures, in pages of either
//! version that are stored as they are or compressed by Snappy, in the encodings that writers of such
//! data sets use (plain and dictionary). What else a file may hold is refused by name. Pages are
//! decoded one at a time, so memory does not grow with a file. Specification:
//! <https://parquet.apache.org/docs/file-format/>.

mod column;
mod footer;
mod page;
mod runs;
mod snappy;
#[cfg(test)]
mod tests;
mod thrift;

pub use column::{Cell, Rows, Value};

use crate::{Error, Result};
use footer::{Footer, Leaf};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// First and last bytes of a file.
const MAGIC: &[u8; 4] = b"PAR1";

/// Largest footer that is read, bytes.
const MAX_FOOTER_BYTES: u64 = 64 << 20;

/// A file whose footer has been read.
#[derive(Debug)]
pub struct Parquet {
    path: PathBuf,
    file: File,
    length: u64,
    footer: Footer,
}

impl Parquet {
    /// Opens a file and reads what it says of its columns.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let file = File::open(&path).map_err(|error| Error::io(&path, error))?;
        let length = file.metadata().map_err(|error| Error::io(&path, error))?.len();
        let mut parquet = Self { path, file, length, footer: Footer::default() };
        let mut tail = [0; 8];
        let Some(behind) = length.checked_sub(12) else {
            return Err(parquet.refuse(format!("{length} bytes are too few for a Parquet file")));
        };
        parquet.read_at(&mut tail, behind + 4)?;
        let mut head = [0; 4];
        parquet.read_at(&mut head, 0)?;
        if &head != MAGIC || &tail[4..] != MAGIC {
            return Err(parquet.refuse("does not begin and end with PAR1: cut, or not Parquet"));
        }
        let size = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
        if size > behind.min(MAX_FOOTER_BYTES) {
            let most = behind.min(MAX_FOOTER_BYTES);
            return Err(parquet.refuse(format!("footer of {size} bytes; at most {most} can be")));
        }
        let mut bytes = vec![0; size as usize];
        parquet.read_at(&mut bytes, length - 8 - size)?;
        parquet.footer = Footer::parse(&bytes).map_err(|what| parquet.refuse(what))?;
        Ok(parquet)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows in the file, as its footer says.
    pub fn len(&self) -> u64 {
        self.footer.groups.iter().map(|group| group.rows).sum()
    }

    /// Whether the file has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the columns that hold values, parts joined by dots: `image.list.element.bytes`.
    pub fn columns(&self) -> impl Iterator<Item = String> {
        self.footer.leaves.iter().map(|leaf| leaf.path.join("."))
    }

    /// The column of values in the field `name` at the top: the only one there, or the one whose last
    /// part is `part`.
    pub fn column(&self, name: &str, part: &str) -> Option<usize> {
        let is_inside = |leaf: &Leaf| leaf.path.first().is_some_and(|first| first == name);
        let mut inside = (0..).zip(&self.footer.leaves).filter(|(_, leaf)| is_inside(leaf));
        let first = inside.next()?;
        match inside.next() {
            None => Some(first.0),
            Some(second) => [first, second]
                .into_iter()
                .chain(inside)
                .find(|(_, leaf)| leaf.path.last().is_some_and(|last| last == part))
                .map(|(index, _)| index),
        }
    }

    /// The rows of some columns (by their index among [`Parquet::columns`]), in file order.
    pub fn rows(self: &Arc<Self>, columns: &[usize]) -> Rows {
        Rows::new(Arc::clone(self), columns)
    }

    /// Fills a buffer from a place in the file.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        self.file.read_exact_at(buffer, at).map_err(|error| Error::io(&self.path, error))
    }

    fn refuse(&self, what: impl Into<String>) -> Error {
        Error::format(&self.path, what)
    }
}
