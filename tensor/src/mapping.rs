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

    /// Asks the system to read a stretch that will be wanted soon, without waiting for it. What lies
    /// outside the file is left out.
    pub fn prefetch(&self, start: usize, length: usize) {
        #[cfg(unix)]
        {
            let end = start.saturating_add(length).min(self.bytes.len());
            if start < end {
                // A system that refuses reads it later, which costs time only.
                let _ = self.bytes.advise_range(memmap2::Advice::WillNeed, start, end - start);
            }
        }
        #[cfg(not(unix))]
        let _ = (start, length);
    }

    /// Gives the memory of a stretch back to the system, whole pages only. The bytes stay readable:
    /// they come from the file again when they are next asked for. What a program streams through
    /// once stays small in memory this way.
    pub fn release(&self, start: usize, length: usize) {
        #[cfg(unix)]
        {
            let page = 1usize << 16;
            let end = start.saturating_add(length).min(self.bytes.len()) / page * page;
            let start = start.next_multiple_of(page);
            if start < end {
                // SAFETY: the mapping is read-only, so no page has changes that could be lost, and
                // a page that is read later is fetched from the file with the same values. A system
                // that refuses keeps the pages, which costs memory only.
                let _ = unsafe {
                    self.bytes.unchecked_advise_range(
                        memmap2::UncheckedAdvice::DontNeed,
                        start,
                        end - start,
                    )
                };
            }
        }
    }
}
