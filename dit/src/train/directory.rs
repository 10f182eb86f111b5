//! The folder of a training run: who may write to it, and where what lies.
//!
//! ```text
//! RUN/lock                      held while a process trains here
//! RUN/metrics.jsonl             one object a step
//! RUN/tensorboard/              one event file a start
//! RUN/checkpoints/latest        name of the checkpoint to go on from
//! RUN/checkpoints/step-00001000 one checkpoint, complete
//! RUN/checkpoints/*.partial     what an interrupted save left; removed at the next start
//! ```

use super::checkpoint;
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of a run, held for writing. Only one process, and only one value in it, can hold it;
/// reading needs no hold.
#[derive(Debug)]
pub struct RunDirectory {
    root: PathBuf,
    /// Locked while this lives. The system lets go of it however the process ends.
    lock: File,
}

impl RunDirectory {
    /// Makes the folder where it is missing, takes hold of it, and removes what an interrupted save
    /// left. `Err` when another process trains here.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let folder = checkpoints(&root);
        fs::create_dir_all(&folder).map_err(|source| Error::io(&folder, source))?;
        let path = root.join("lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = opened.map_err(|source| Error::io(&path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what =
                    "another process trains here; give each run a folder of its own (run.output)";
                return Err(Error::format(&root, what));
            }
            // A file system without locks is no reason not to train.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(Error::io(&path, source)),
        }
        checkpoint::remove_partial(&folder)?;
        // Checkpoints are only as durable as the names of the folders they are in.
        for named in [Some(root.as_path()), root.parent()].into_iter().flatten() {
            let named = if named.as_os_str().is_empty() { Path::new(".") } else { named };
            let synced = File::open(named).and_then(|folder| folder.sync_all());
            synced.map_err(|source| Error::io(named, source))?;
        }
        Ok(Self { root, lock })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        checkpoints(&self.root)
    }

    /// The metrics file.
    pub fn metrics(&self) -> PathBuf {
        metrics(&self.root)
    }

    /// The folder of TensorBoard's event files.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // Closing is not enough: a program that is just being started shares the open file for a
        // moment.
        let _ = self.lock.unlock();
    }
}

/// The folder of checkpoints of the run at `root`.
pub(super) fn checkpoints(root: &Path) -> PathBuf {
    root.join("checkpoints")
}

/// The metrics file of the run at `root`.
pub fn metrics(root: &Path) -> PathBuf {
    root.join("metrics.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::scratch::Scratch;

    #[test]
    fn is_held_by_one() {
        let scratch = Scratch::new("held");
        let run = RunDirectory::open(scratch.path().join("run")).expect("nobody holds it");
        let second = RunDirectory::open(run.root()).expect_err("it is held").to_string();
        assert!(
            second.ends_with(
                "run: another process trains here; give each run a folder of its own (run.output)"
            ),
            "{second}"
        );
        let root = run.root().to_owned();
        drop(run);
        assert!(RunDirectory::open(root).is_ok());
    }

    #[test]
    fn starts_without_leftovers_and_without_a_parent_that_is_a_file() {
        let scratch = Scratch::new("leftovers");
        let folder = checkpoints(scratch.path());
        fs::create_dir_all(folder.join("step-00000001.partial/deep")).expect("the folder is new");
        fs::create_dir_all(folder.join("step-00000001")).expect("the folder is new");
        fs::write(folder.join("latest.partial"), "step-0").expect("the folder is writable");
        fs::write(folder.join("notes.txt"), "mine").expect("the folder is writable");
        RunDirectory::open(scratch.path()).expect("leftovers can be removed");
        let mut left: Vec<_> = fs::read_dir(&folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("it can be listed").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["notes.txt", "step-00000001"]);
        let below_a_file = folder.join("notes.txt/run");
        let error =
            RunDirectory::open(below_a_file).expect_err("a file has no folders").to_string();
        assert!(
            error.contains("notes.txt/run/checkpoints: ") && error.lines().count() == 1,
            "{error}"
        );
    }
}
