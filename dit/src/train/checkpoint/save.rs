//! Writing a checkpoint and publishing it.

use super::disk::Disk;
use super::folders::{self, name_of, partial};
use super::state::{self, FileRecord, Progress, State};
use super::{CONFIG, EMA, MODEL, OPTIMIZER, tensors};
use crate::train::RunDirectory;
use crate::train::config::TrainConfig;
use crate::{Error, Result, weights};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vincie_autograd::Parameters;
use vincie_autograd::optimizer::{AdamW, Ema};
use vincie_tensor::Tensor;

/// What a checkpoint is made of.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'s> {
    /// Where the run stands.
    pub progress: &'s Progress,
    /// What it was told.
    pub config: &'s TrainConfig,
    /// The weights, written in the type they have.
    pub parameters: &'s Parameters,
    /// Their averages, where they are kept.
    pub ema: Option<&'s Ema>,
    /// Moments and masters.
    pub optimizer: &'s AdamW,
    /// Further files, names and contents: a vocabulary, the network's configuration.
    pub extra: &'s [(&'s str, &'s [u8])],
}

/// Writes the checkpoint of a step and makes `latest` name it; returns its folder. A step that
/// `latest` names already is left as it is. On an `Err`, the checkpoint that `latest` named before
/// is still there and still named, and the next save may be tried as if nothing had happened.
pub(super) fn save(
    run: &RunDirectory,
    snapshot: &Snapshot<'_>,
    disk: &Disk<'_>,
) -> Result<PathBuf> {
    check_names(snapshot.extra)?;
    let (folder, step) = (run.checkpoints(), snapshot.progress.step);
    let path = folder.join(name_of(step));
    let is_there = path.exists();
    if is_there && folders::latest(&folder)? == Some(step) {
        return Ok(path);
    }
    let new = partial(&path);
    disk.remove(&new)?;
    let published = write(&new, snapshot, disk).and_then(|()| {
        // A complete checkpoint that `latest` does not name: a save was interrupted just before, or
        // the run was taken back to an earlier step.
        let replaced = partial(&folder.join(format!("{}.replaced", name_of(step))));
        if is_there {
            disk.remove(&replaced)?;
            disk.rename(&path, &replaced)?;
        }
        disk.rename(&new, &path)?;
        disk.sync_folder(&folder)?;
        folders::point(&folder, step, disk)?;
        if is_there { disk.remove(&replaced) } else { Ok(()) }
    });
    published.map(|()| path).inspect_err(|_| {
        // The error at hand says more than a failed clean-up would; the next start cleans up, too.
        let _ = disk.remove(&new);
    })
}

/// Writes all files, and `state.json`, which says what they are, last.
fn write(folder: &Path, snapshot: &Snapshot<'_>, disk: &Disk<'_>) -> Result<()> {
    let Snapshot { progress, config, parameters, ema, optimizer, extra } = *snapshot;
    disk.create_folder(folder)?;
    let mut files = BTreeMap::new();
    let mut record = |name: &str| -> Result<()> {
        files.insert(name.to_owned(), FileRecord::of(&folder.join(name))?);
        Ok(())
    };
    let names = || parameters.iter().map(|(_, name, _)| name.to_owned());
    let mut tensors = |name: &str, tensors: Vec<(String, &Tensor)>| -> Result<()> {
        let path = folder.join(name);
        disk.run(&path, || weights::save(&path, tensors))?;
        record(name)
    };
    tensors(MODEL, parameters.iter().map(|(_, name, t)| (name.to_owned(), t)).collect())?;
    if let Some(ema) = ema {
        tensors(EMA, names().zip(ema.values()).collect())?;
    }
    tensors(OPTIMIZER, tensors::optimizer_tensors(parameters, optimizer))?;
    let config = config.to_toml()?;
    for &(name, bytes) in [(CONFIG, config.as_bytes())].iter().chain(extra) {
        disk.write(&folder.join(name), bytes)?;
        record(name)?;
    }
    let state = State::new(progress.clone(), optimizer.steps(), files)?;
    disk.write(&folder.join(state::FILE), &state.to_json())?;
    disk.sync_folder(folder)
}

/// `Err` on names that are no plain file names, or are taken.
fn check_names(extra: &[(&str, &[u8])]) -> Result<()> {
    let reserved = [MODEL, EMA, OPTIMIZER, CONFIG, state::FILE];
    for (i, (name, _)) in extra.iter().enumerate() {
        let is_plain = Path::new(name).file_name().is_some_and(|plain| plain == *name);
        let is_taken = reserved.contains(name) || extra[..i].iter().any(|(other, _)| other == name);
        if !is_plain || is_taken {
            return Err(Error::invalid(format!(
                "checkpoint: no further file can be called {name:?}; expected a file name that is \
                none of {}",
                reserved.join(", ")
            )));
        }
    }
    Ok(())
}
