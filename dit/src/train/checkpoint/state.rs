//! `state.json`: where a run stands beside its tensors, and what each file of the checkpoint must
//! be.

use crate::train::crc::crc32c;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use vincie_data::loader::LoaderPosition;
use vincie_tensor::Mapping;

/// Name of the file.
pub(super) const FILE: &str = "state.json";

/// Version of the checkpoint's layout.
const FORMAT: u32 = 1;

/// Longest file, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Where a run stands beside its tensors. Random numbers need no more than the seed and the step:
/// they have no state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Optimizer steps taken.
    pub step: u64,
    /// Sessions trained on.
    pub samples: u64,
    /// Place in the data; `None` where sessions are made up.
    pub loader: Option<LoaderPosition>,
    /// The run's seed.
    pub seed: u64,
    /// Seconds of training, all starts together.
    pub seconds: f64,
    /// Length of the metrics file, bytes: what comes after belongs to steps that a resumed run
    /// takes again.
    pub metrics_bytes: u64,
    /// The best evaluation so far.
    pub best: Option<BestEvaluation>,
}

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestEvaluation {
    /// After how many steps.
    pub step: u64,
    /// Loss on the held-out sessions.
    pub loss: f64,
}

/// Length and checksum of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRecord {
    bytes: u64,
    /// CRC-32C, hexadecimal.
    crc32c: String,
}

/// All of `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    format: u32,
    /// Version of the program that wrote it.
    pub(super) version: String,
    pub(super) progress: Progress,
    /// Steps of the optimizer, on which its moments' bias correction depends.
    pub(super) optimizer_steps: u64,
    /// Every other file of the checkpoint.
    pub(super) files: BTreeMap<String, FileRecord>,
    /// CRC-32C, hexadecimal, of this object as one line with an empty text here.
    crc32c: String,
}

/// Only what tells layouts apart.
#[derive(Deserialize)]
struct Probe {
    format: u32,
}

impl FileRecord {
    /// Of the file as it is on disk.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let mapping = Mapping::open(path).map_err(|source| Error::io(path, source))?;
        let bytes = mapping.bytes();
        Ok(Self { bytes: bytes.len() as u64, crc32c: format!("{:08x}", crc32c(bytes)) })
    }

    /// `Err` where the file is not as recorded.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        let metadata = path.metadata().map_err(|source| Error::io(path, source))?;
        if metadata.len() != self.bytes {
            let what = format!(
                "damaged: {} bytes long; it was {} when the checkpoint was made",
                metadata.len(),
                self.bytes
            );
            return Err(Error::format(path, what));
        }
        let found = Self::of(path)?;
        if found != *self {
            let what = format!(
                "damaged: CRC-32C is {}; it was {} when the checkpoint was made",
                found.crc32c, self.crc32c
            );
            return Err(Error::format(path, what));
        }
        Ok(())
    }
}

impl State {
    /// `Err` on numbers that JSON cannot hold.
    pub(super) fn new(
        progress: Progress,
        optimizer_steps: u64,
        files: BTreeMap<String, FileRecord>,
    ) -> Result<Self> {
        let loss = progress.best.map_or(0.0, |best| best.loss);
        if !progress.seconds.is_finite() || !loss.is_finite() {
            return Err(Error::invalid(format!(
                "checkpoint: {} seconds of training and a best loss of {loss}; both must be finite",
                progress.seconds
            )));
        }
        let mut state = Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            progress,
            optimizer_steps,
            files,
            crc32c: String::new(),
        };
        state.crc32c = state.checksum();
        Ok(state)
    }

    fn checksum(&self) -> String {
        let open = Self { crc32c: String::new(), ..self.clone() };
        let line = serde_json::to_vec(&open).expect("keys are texts and numbers are finite");
        format!("{:08x}", crc32c(&line))
    }

    /// Indented, for people.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json =
            serde_json::to_vec_pretty(self).expect("keys are texts and numbers are finite");
        json.push(b'\n');
        json
    }

    /// Reads the file of a checkpoint's folder and checks it against its own checksum.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let mut json = Vec::new();
        let file = File::open(&path).map_err(|source| Error::io(&path, source))?;
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut json)
            .map_err(|source| Error::io(&path, source))?;
        if json.len() as u64 > MAX_BYTES {
            return Err(Error::format(&path, format!("damaged: longer than {MAX_BYTES} bytes")));
        }
        Self::parse(&json).map_err(|what| Error::format(&path, what))
    }

    /// The same from the file's bytes.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let damaged = |error| format!("damaged: {error}");
        let probe: Probe = serde_json::from_slice(json).map_err(damaged)?;
        if probe.format != FORMAT {
            return Err(format!("has format {}; this build reads format {FORMAT}", probe.format));
        }
        let state: Self = serde_json::from_slice(json).map_err(damaged)?;
        let found = state.checksum();
        if found != state.crc32c {
            return Err(format!("damaged: its CRC-32C is {found}, not {}", state.crc32c));
        }
        Ok(state)
    }
}
