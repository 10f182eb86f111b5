//! How a benchmark is run: what its numbers depend on beside the model.

use crate::edit::ChainStep;
use crate::failure::Failure;
use crate::number::within;
use crate::publish;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use vincie_dit::diffusion::Guidance;
use vincie_dit::session::{Chain, SamplingConfig, TrainedModel};
use vincie_tensor::DType;

/// Name of the settings in a folder of results.
const FILE: &str = "settings.json";

/// How pictures are sampled.
#[derive(Args, Clone, Debug)]
pub(super) struct Sampling {
    /// Denoising steps of a picture
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,

    /// Guidance: preference for the prompt over no prompt; 1 for none
    #[arg(long, value_name = "SCALE", default_value_t = 1.0, value_parser = within(0.0..=100.0))]
    cfg: f64,

    /// Shift of the sampling times towards noise
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = within(0.01..=100.0))]
    shift: f64,

    /// Seed of the noise
    #[arg(long, value_name = "N", default_value_t = 1)]
    noise_seed: u64,

    /// Masks to predict before each picture
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    chain: Vec<ChainStep>,
}

impl Sampling {
    /// The sampler's configuration for session `number`; sessions have noise of their own.
    pub(super) fn config(&self, number: u64) -> SamplingConfig {
        SamplingConfig {
            steps: self.steps as usize,
            shift: self.shift,
            guidance: Guidance { scale: self.cfg as f32, ..Guidance::default() },
            seed: self.noise_seed.wrapping_mul(1 << 32).wrapping_add(number),
            chain: Chain {
                current: self.chain.contains(&ChainStep::Cs),
                next: self.chain.contains(&ChainStep::Ns),
            },
        }
    }
}

/// Everything that results depend on. Results of other settings are not mixed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// Benchmark.
    pub(super) benchmark: String,
    /// Last part of the model's path.
    pub(super) model: String,
    /// Steps that it was trained for.
    pub(super) model_steps: u64,
    /// Trainable numbers.
    pub(super) parameters: usize,
    /// Picture side, pixels.
    pub(super) size: usize,
    /// Type that numbers are stored in.
    pub(super) dtype: String,
    /// Seed of the benchmark's sessions.
    pub(super) seed: u64,
    /// Denoising steps.
    pub(super) steps: u32,
    /// Guidance.
    pub(super) cfg: f64,
    /// Shift of the sampling times.
    pub(super) shift: f64,
    /// Seed of the noise.
    pub(super) noise_seed: u64,
    /// Masks predicted before each picture.
    pub(super) chain: Vec<String>,
    /// Version of this program.
    pub(super) version: String,
}

impl Settings {
    pub(super) fn new(
        benchmark: &str,
        path: &Path,
        model: &TrainedModel,
        dtype: DType,
        seed: u64,
        sampling: &Sampling,
    ) -> Self {
        let chain = &sampling.chain;
        let steps = [(ChainStep::Cs, "cs"), (ChainStep::Ns, "ns")];
        let chain = steps.iter().filter(|(step, _)| chain.contains(step));
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Self {
            benchmark: benchmark.to_owned(),
            model: name.unwrap_or_default(),
            model_steps: model.steps,
            parameters: model.parameters.count(),
            size: model.size[0],
            dtype: dtype.to_string(),
            seed,
            steps: sampling.steps,
            cfg: sampling.cfg,
            shift: sampling.shift,
            noise_seed: sampling.noise_seed,
            chain: chain.map(|(_, name)| (*name).to_owned()).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Takes a folder for results: a new one, or one that holds results of the same settings.
    pub(super) fn take(&self, folder: &Path) -> Result<(), Failure> {
        let at = |error| Failure::new(format!("{}: {error}", folder.display()));
        let path = folder.join(FILE);
        if folder.exists() {
            let text = fs::read_to_string(&path).map_err(|_| {
                let what = "exists already and holds no results; name a folder that does not exist";
                Failure::new(format!("{}: {what}", folder.display()))
            })?;
            let other: Self = serde_json::from_str(&text)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            if other != *self {
                let what = "holds results of another model or other settings; name another folder";
                return Err(Failure::new(format!("{}: {what}", folder.display())));
            }
            return fs::create_dir_all(folder.join("sessions")).map_err(at);
        }
        fs::create_dir_all(folder.join("sessions")).map_err(at)?;
        let text = serde_json::to_string_pretty(self).map_err(|e| Failure::new(e.to_string()))?;
        publish::file(&path, text.as_bytes())
    }
}
