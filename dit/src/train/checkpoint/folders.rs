//! The folder of checkpoints: names, the `latest` pointer, cleaning and pruning.

use super::disk::Disk;
use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// File that names the checkpoint to go on from.
const LATEST: &str = "latest";

/// Ending of what is not complete.
const PARTIAL: &str = ".partial";

/// Longest pointer that is read, bytes.
const MAX_POINTER: u64 = 256;

/// Which checkpoints stay when a newer one is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// So many of the newest, at least 2.
    pub last: usize,
    /// Those whose step is a multiple of this; 0 for none.
    pub every: u64,
    /// The one of this step.
    pub best: Option<u64>,
}

/// The name of a step's checkpoint.
pub(super) fn name_of(step: u64) -> String {
    format!("step-{step:08}")
}

/// The step that a name stands for.
fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (name_of(step) == name).then_some(step)
}

/// The same name for what is not complete yet.
pub(super) fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(PARTIAL);
    path.with_file_name(name)
}

/// Steps of all complete checkpoints, rising. A folder that does not exist holds none.
pub(super) fn steps(folder: &Path) -> Result<Vec<u64>> {
    let mut steps: Vec<u64> = names(folder)?.iter().filter_map(|name| step_of(name)).collect();
    steps.sort_unstable();
    Ok(steps)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| Error::io(folder, source))?,
    };
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.map_err(|source| Error::io(folder, source))?;
        Ok(entry.file_name().into_string().ok())
    };
    entries.filter_map(|entry| name(entry).transpose()).collect()
}

/// Step of the checkpoint to go on from: the one that `latest` names, or the newest where the
/// pointer is missing, unreadable or names none that is there.
pub(super) fn latest(folder: &Path) -> Result<Option<u64>> {
    let steps = steps(folder)?;
    let named = pointer(folder)?.filter(|step| steps.binary_search(step).is_ok());
    Ok(named.or(steps.last().copied()))
}

fn pointer(folder: &Path) -> Result<Option<u64>> {
    let path = folder.join(LATEST);
    let mut name = Vec::new();
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|source| Error::io(&path, source))?,
    };
    file.take(MAX_POINTER).read_to_end(&mut name).map_err(|source| Error::io(&path, source))?;
    Ok(std::str::from_utf8(&name).ok().and_then(|name| step_of(name.trim_end())))
}

/// Makes `latest` name a step, in one rename.
pub(super) fn point(folder: &Path, step: u64, disk: &Disk<'_>) -> Result<()> {
    let path = folder.join(LATEST);
    let new = partial(&path);
    disk.write(&new, format!("{}\n", name_of(step)).as_bytes())?;
    disk.rename(&new, &path)?;
    disk.sync_folder(folder)
}

/// Removes everything that an interrupted save or removal left.
pub(in crate::train) fn remove_partial(folder: &Path) -> Result<()> {
    let mut leftovers = names(folder)?.into_iter().filter(|name| name.ends_with(PARTIAL));
    leftovers.try_for_each(|name| Disk::PLAIN.remove(&folder.join(name)))
}

/// Removes checkpoints up to the latest that nothing keeps; returns their steps. Later ones, which
/// lie ahead after someone pointed `latest` back, and the latest itself always stay.
pub(super) fn prune(folder: &Path, retention: Retention) -> Result<Vec<u64>> {
    assert!(retention.last >= 2, "{retention:?} would leave nothing to fall back on");
    let Some(latest) = latest(folder)? else { return Ok(Vec::new()) };
    let mut past = steps(folder)?;
    past.retain(|&step| step <= latest);
    let old = past.len().saturating_sub(retention.last);
    let is_kept = |step: u64| {
        Some(step) == retention.best || retention.every > 0 && step.is_multiple_of(retention.every)
    };
    let unwanted: Vec<u64> = past[..old].iter().copied().filter(|&step| !is_kept(step)).collect();
    for &step in &unwanted {
        let path = folder.join(name_of(step));
        let leaving = partial(&path);
        // A half removed folder must not bear the name of a complete one.
        Disk::PLAIN.rename(&path, &leaving)?;
        Disk::PLAIN.remove(&leaving)?;
    }
    Ok(unwanted)
}
