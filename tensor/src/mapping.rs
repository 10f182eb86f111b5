//! A file mapped into memory, under tensors that are read but never copied.

use std::fs::File;
use std::io;
use std::path::Path;

/// A read-only mapping of a whole file.
///
/// Holding one does not promise that the file stays as it is: a program that shortens it takes the
/// pages away (reading them then ends the process), one that writes to it changes the values seen.
#[derive(Debug)]
pub struct Mapping {
    bytes: memmap2::Mmap,
}

impl Mapping {
    /// Maps the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the mapping is private and read-only, and elements are plain numbers, for which
        // every bit pattern is a value; what happens to a file changed meanwhile is said above.
        let bytes = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self { bytes })
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
