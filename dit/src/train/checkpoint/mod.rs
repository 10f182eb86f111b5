//! Checkpoints: everything a run needs to go on as if it had never stopped, in one folder.
//!
//! ```text
//! step-00001000/model.safetensors      weights, in the type that they are trained in
//!               ema.safetensors        their averages, f32, under the same names
//!               optimizer.safetensors  first.*, second.* moments and master.* weights, f32
//!               config.toml            the whole configuration
//!               state.json             step, data position, seed; length and CRC-32C of each file
//!               ...                    further files of the caller
//! ```
//!
//! A checkpoint is written to `step-N.partial`, synced, renamed, and then named by `latest`, itself
//! replaced by a rename. Invariant: at every instant `latest` names a complete checkpoint once
//! there has been one, so a process or machine may stop anywhere.

mod disk;
mod folders;
mod save;
mod start;
mod state;
mod tensors;
#[cfg(test)]
mod tests;

pub use folders::Retention;
pub(super) use folders::remove_partial;
pub use save::Snapshot;
pub use start::{Started, initialise};
pub use state::{BestEvaluation, Progress};

use super::RunDirectory;
use super::config::TrainConfig;
use super::directory;
use crate::weights::Checkpoint as Weights;
use crate::{Error, Result};
use disk::Disk;
use folders::name_of;
use state::State;
use std::fs;
use std::path::{Path, PathBuf};
use vincie_autograd::Parameters;
use vincie_autograd::optimizer::{AdamW, Ema};
use vincie_tensor::Tensor;

/// The weights.
pub const MODEL: &str = "model.safetensors";

/// Their averages.
pub const EMA: &str = "ema.safetensors";

/// The optimizer's state.
pub const OPTIMIZER: &str = "optimizer.safetensors";

/// The configuration.
pub const CONFIG: &str = "config.toml";

/// A complete checkpoint whose files are as they were written.
///
/// Holding one does not promise that they stay so: pruning by a training process may remove them.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: State,
}

/// Where a run goes on from.
#[derive(Debug)]
pub struct Resume {
    /// The newest checkpoint without damage; `None` where the run has none at all.
    pub checkpoint: Option<Checkpoint>,
    /// What is wrong with newer ones, newest first.
    pub passed_over: Vec<Error>,
}

impl Checkpoint {
    /// Writes the checkpoint of a step and makes `latest` name it; returns its folder. A step that
    /// `latest` names already is left as it is. On an `Err`, the checkpoint that `latest` named
    /// before is still there and still named, and training may go on.
    pub fn save(run: &RunDirectory, snapshot: &Snapshot<'_>) -> Result<PathBuf> {
        save::save(run, snapshot, &Disk::PLAIN)
    }

    /// Removes checkpoints that nothing keeps; returns their steps. The latest always stays.
    pub fn prune(run: &RunDirectory, retention: Retention) -> Result<Vec<u64>> {
        folders::prune(&run.checkpoints(), retention)
    }

    /// Opens a checkpoint's folder and checks every file of it. `Err` names the first damaged file.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let state = State::read(&path)?;
        for (name, record) in &state.files {
            record.check(&path.join(name))?;
        }
        Ok(Self { path, state })
    }

    /// Opens the latest checkpoint of the run in folder `run`; `None` where it has none.
    pub fn latest(run: &Path) -> Result<Option<Self>> {
        let folder = directory::checkpoints(run);
        folders::latest(&folder)?.map(|step| Self::load(folder.join(name_of(step)))).transpose()
    }

    /// Finds where to go on: the latest checkpoint or, where that is damaged, the newest one before
    /// it, which `latest` names from then on. `Err` when there are checkpoints and all are damaged:
    /// to start anew is then for the user to say.
    pub fn resume(run: &RunDirectory) -> Result<Resume> {
        let folder = run.checkpoints();
        let mut passed_over = Vec::new();
        let Some(latest) = folders::latest(&folder)? else {
            return Ok(Resume { checkpoint: None, passed_over });
        };
        let steps = folders::steps(&folder)?;
        for &step in steps.iter().rev().filter(|&&step| step <= latest) {
            match Self::load(folder.join(name_of(step))) {
                Ok(checkpoint) => {
                    if !passed_over.is_empty() {
                        folders::point(&folder, step, &Disk::PLAIN)?;
                    }
                    return Ok(Resume { checkpoint: Some(checkpoint), passed_over });
                }
                Err(error) => passed_over.push(error),
            }
        }
        let first = passed_over.first().map(Error::to_string).unwrap_or_default();
        let what =
            format!("none of {} checkpoints is whole; the newest: {first}", passed_over.len());
        Err(Error::format(&folder, what))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the run stood.
    pub fn progress(&self) -> &Progress {
        &self.state.progress
    }

    /// Version of the program that wrote it.
    pub fn version(&self) -> &str {
        &self.state.version
    }

    /// What the run was told.
    pub fn config(&self) -> Result<TrainConfig> {
        TrainConfig::read(&self.path.join(CONFIG), &[])
    }

    /// Contents of a further file; `None` where none of that name was saved.
    pub fn extra(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if !self.state.files.contains_key(name) {
            return Ok(None);
        }
        let path = self.path.join(name);
        fs::read(&path).map(Some).map_err(|source| Error::io(&path, source))
    }

    /// The weights to use: the averages where there are any.
    pub fn weights(&self) -> Result<Weights> {
        let name = if self.state.files.contains_key(EMA) { EMA } else { MODEL };
        Weights::open(&self.path.join(name))
    }

    /// Gives weights, averages and optimizer the values they had, bit for bit. `Err` is one table
    /// of what is missing, unexpected, or of another shape or type, and nothing has changed then.
    /// Averages that are not asked for are passed over.
    pub fn restore(
        &self,
        parameters: &mut Parameters,
        ema: Option<&mut Ema>,
        optimizer: &mut AdamW,
    ) -> Result<()> {
        if ema.is_some() && !self.state.files.contains_key(EMA) {
            let what = format!("holds no {EMA}; start anew from its weights with run.init");
            return Err(Error::format(&self.path, what));
        }
        let open = |name: &str| Weights::open(&self.path.join(name));
        let (model, averages, moments) = (
            (open(MODEL)?, tensors::of_parameters(parameters)),
            ema.is_some()
                .then(|| Ok::<_, Error>((open(EMA)?, tensors::of_averages(parameters))))
                .transpose()?,
            (open(OPTIMIZER)?, tensors::of_optimizer(parameters, optimizer)),
        );
        for (file, expected) in [&model, &moments].into_iter().chain(&averages) {
            tensors::check(file, expected, false)?;
        }
        let values = tensors::read(&model.0, &model.1)?;
        let averages =
            averages.map(|(file, expected)| tensors::read(&file, &expected)).transpose()?;
        let moments = tensors::read(&moments.0, &moments.1)?;
        let (first, second, masters) = tensors::split_optimizer(moments, optimizer);
        optimizer.restore(self.state.optimizer_steps, first, second, masters)?;
        if let (Some(ema), Some(averages)) = (ema, averages) {
            ema.restore(averages)?;
        }
        assign(parameters, values);
        Ok(())
    }
}

/// Replaces all values, in the order of the parameters.
fn assign(parameters: &mut Parameters, values: Vec<Tensor>) {
    let ids: Vec<_> = parameters.iter().map(|(id, ..)| id).collect();
    assert_eq!(ids.len(), values.len(), "one value for each parameter");
    for (id, value) in ids.into_iter().zip(values) {
        *parameters.value_mut(id) = value;
    }
}
