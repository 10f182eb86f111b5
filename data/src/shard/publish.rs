//! Files and folders that appear under their name only when they are whole.
//!
//! The temporary name is `.{name}.partial` in the same folder. A process that is killed leaves at
//! most that; the next attempt at the same name replaces it.

use crate::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The name a file or folder has until it is whole.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}

/// Whether a file name is one that [`temporary`] makes.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".partial")
}

/// Writes a whole file and publishes it. An existing file is replaced in one step.
pub(crate) fn file(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = temporary(path);
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    let written = write().map_err(|error| Error::io(&partial, error));
    written.and_then(|()| rename(&partial, path)).inspect_err(|_| {
        // The error at hand says more than a failed clean-up would.
        let _ = fs::remove_file(&partial);
    })
}

/// Lets `fill` write into a temporary folder and publishes it as `path`, which must not exist.
pub(crate) fn folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.file_name().is_none() {
        return Err(Error::format(path, "is not the name of a new folder"));
    }
    if path.exists() {
        return Err(Error::format(path, "exists already; name a folder that does not exist"));
    }
    let partial = temporary(path);
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|error| Error::io(&partial, error))?;
    }
    fs::create_dir_all(&partial).map_err(|error| Error::io(&partial, error))?;
    fill(&partial).and_then(|()| rename(&partial, path)).inspect_err(|_| {
        let _ = fs::remove_dir_all(&partial);
    })
}

/// Renames and makes the new name durable.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io(to, error))?;
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = File::open(parent).map_err(|error| Error::io(parent, error))?;
    folder.sync_all().map_err(|error| Error::io(parent, error))
}
