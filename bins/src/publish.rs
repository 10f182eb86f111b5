//! Files and folders that appear under their name only when they are whole.

use crate::failure::Failure;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Marks a folder that somebody is filling, by the lock they hold on it.
const LOCK_FILE: &str = ".lock";

/// How long to wait for another run to let go: one that was killed a moment ago takes some time
/// to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes a whole file. One that exists is replaced in one step; after a failure it is untouched
/// and nothing is left behind.
pub(crate) fn file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let partial = temporary(path)?;
    let write = || {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|error| {
        // The first error says more than a failed clean-up would.
        let _ = fs::remove_file(&partial);
        at(path, &error)
    })
}

/// A folder that is being filled under a temporary name beside its own. Dropped without
/// [`Folder::publish`], it goes away with everything in it; what a killed run leaves is removed by
/// the next one.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    partial: PathBuf,
    // Held for its lock, which ends with it.
    _lock: File,
}

impl Folder {
    /// Begins a folder. `Err` when its name is taken or another run is filling it.
    pub(crate) fn begin(path: &Path) -> Result<Self, Failure> {
        let partial = temporary(path)?;
        // A link that leads nowhere takes the name too.
        if fs::symlink_metadata(path).is_ok() {
            return Err(Failure::new(format!(
                "{}: exists already; name a folder that does not exist",
                path.display()
            )));
        }
        if partial.exists() {
            remove_leftover(&partial)?;
        }
        let create = || {
            if let Some(parent) = partial.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::create_dir(&partial)?;
            let lock = File::create(partial.join(LOCK_FILE))?;
            // A file system without locks cannot tell two runs apart; everything else holds there.
            let _ = lock.try_lock();
            Ok(lock)
        };
        let lock = create().map_err(|error| at(path, &error))?;
        Ok(Self { path: path.to_owned(), partial, _lock: lock })
    }

    /// Where to write until the folder is whole.
    pub(crate) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the folder its name.
    pub(crate) fn publish(self) -> Result<(), Failure> {
        let publish = || {
            fs::remove_file(self.partial.join(LOCK_FILE))?;
            File::open(&self.partial)?.sync_all()?;
            // Renaming would replace an empty folder that appeared meanwhile.
            if self.path.exists() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(&self.partial, &self.path)
        };
        publish().map_err(|error| at(&self.path, &error))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // After publishing there is nothing under this name; other failures cannot be reported
        // from here, and the next run removes the rest.
        let _ = fs::remove_dir_all(&self.partial);
    }
}

fn remove_leftover(partial: &Path) -> Result<(), Failure> {
    let is_held = || {
        File::open(partial.join(LOCK_FILE))
            .is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    };
    let start = Instant::now();
    while is_held() && start.elapsed() < PATIENCE {
        thread::sleep(PATIENCE / 50);
    }
    if is_held() {
        return Err(Failure::new(format!(
            "{}: another run is filling this folder; wait for it or name another",
            partial.display()
        )));
    }
    fs::remove_dir_all(partial).map_err(|error| at(partial, &error))
}

/// The name until the file or folder is whole: hidden, in the same folder.
fn temporary(path: &Path) -> Result<PathBuf, Failure> {
    let name = path.file_name().ok_or_else(|| {
        Failure::new(format!("{}: is not the name of a new file or folder", path.display()))
    })?;
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    Ok(path.with_file_name(partial))
}

fn at(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("vincie-bin-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary folder can be made");
        path
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder can be read");
        let name = |e: io::Result<fs::DirEntry>| e.expect("has a name").file_name();
        let mut names: Vec<_> = entries.map(|e| name(e).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_replaced_whole_or_not_at_all() {
        let folder = scratch("file");
        let path = folder.join("a.html");
        file(&path, b"one").expect("a file can be written");
        file(&path, b"two").expect("a file can be replaced");
        assert_eq!(fs::read(&path).expect("is there"), b"two");
        assert!(file(&folder.join("none/a.html"), b"x").is_err());
        assert!(file(Path::new("/"), b"x").is_err());
        assert_eq!(names(&folder), ["a.html"]);
        fs::remove_dir_all(&folder).expect("can be removed");
    }

    #[test]
    fn folders_appear_when_they_are_published() {
        let folder = scratch("folder");
        let path = folder.join("out");
        let begun = Folder::begin(&path).expect("the name is free");
        fs::write(begun.partial().join("a"), b"x").expect("can be written");
        assert!(Folder::begin(&path).is_err(), "a second run is refused");
        assert_eq!(names(&folder), [".out.partial"]);
        begun.publish().expect("can be renamed");
        assert_eq!((names(&folder), names(&path)), (vec!["out".to_owned()], vec!["a".to_owned()]));
        assert!(Folder::begin(&path).is_err(), "the name is taken");

        let other = folder.join("other");
        drop(Folder::begin(&other).expect("the name is free"));
        fs::create_dir(folder.join(".other.partial")).expect("what a killed run leaves");
        drop(Folder::begin(&other).expect("leftovers are no obstacle"));
        assert_eq!(names(&folder), ["out"]);
        fs::remove_dir_all(&folder).expect("can be removed");
    }
}
