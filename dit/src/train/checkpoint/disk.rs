//! The operations on the disk that publishing a checkpoint consists of, one at a time, so that
//! tests can stop before any of them.

use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Runs operations one after another.
pub(super) struct Disk<'h> {
    /// Asked before each operation with the path it writes; an `Err` is what the operation gives.
    before: &'h dyn Fn(&Path) -> io::Result<()>,
}

impl Disk<'static> {
    /// Operations that nobody stops.
    pub(super) const PLAIN: Self = Self { before: &|_| Ok(()) };
}

impl<'h> Disk<'h> {
    /// Operations that `before` may stop.
    #[cfg(test)]
    pub(super) fn watched(before: &'h dyn Fn(&Path) -> io::Result<()>) -> Self {
        Self { before }
    }

    /// Any operation that writes `path`.
    pub(super) fn run<T>(&self, path: &Path, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        (self.before)(path).map_err(|source| Error::io(path, source))?;
        operation()
    }

    fn io<T>(&self, path: &Path, operation: impl FnOnce() -> io::Result<T>) -> Result<T> {
        self.run(path, || operation().map_err(|source| Error::io(path, source)))
    }

    /// Makes a folder.
    pub(super) fn create_folder(&self, path: &Path) -> Result<()> {
        self.io(path, || fs::create_dir(path))
    }

    /// Writes a whole file to the disk, not just to the system's memory.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.io(path, || {
            let mut file = File::create(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        })
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync_folder(&self, path: &Path) -> Result<()> {
        self.io(path, || File::open(path)?.sync_all())
    }

    /// Renames, replacing a file of that name.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.io(to, || fs::rename(from, to))
    }

    /// Removes a file or folder with all it holds, where there is one.
    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        self.io(path, || {
            let removed = match fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(path),
                Ok(_) => fs::remove_file(path),
                Err(error) => Err(error),
            };
            removed.or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })
        })
    }
}
