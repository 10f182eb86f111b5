//! `[run]`: how long, how much at a time, and what is kept.

use super::problem::{Problem, require, require_seed};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use vincie_tensor::DType;

/// Steps of a run without a budget.
const DEFAULT_STEPS: u64 = 10_000;

/// Most sessions of a micro-step, and most micro-steps of a step.
const MAX_BATCH: usize = 1 << 20;

/// Most steps, and most steps between two events.
const MAX_STEPS: u64 = 1 << 40;

/// Longest run, minutes: a year.
const MAX_MINUTES: f64 = 366.0 * 24.0 * 60.0;

/// How long, how much at a time, and what is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSection {
    /// Folder of the run: checkpoints, metrics, TensorBoard events; relative to where the program
    /// is started. Default: "run".
    pub output: PathBuf,
    /// Optimizer steps; not together with `minutes`. Default: 10000.
    pub steps: Option<u64>,
    /// Minutes of training in place of a number of steps; the learning rate then follows the clock.
    /// Default: none.
    pub minutes: Option<f64>,
    /// Sessions of a micro-step: what is in memory at once. Default: 8.
    pub batch: usize,
    /// Micro-steps whose gradients are added up for one optimizer step. Default: 1.
    pub accumulate: usize,
    /// Seed of the initial weights, noise, times and dropped context. Default: 0.
    pub seed: u64,
    /// Type that weights and activations are stored in; sums, norms, the loss and the optimizer are
    /// f32 in any case, and bf16 weights have f32 masters. Default:
    /// "f32".
    pub dtype: NumberType,
    /// Whether each block is computed again for its gradient, which saves memory for time. Default:
    /// false.
    pub recompute_blocks: bool,
    /// Steps between two checkpoints; 0 saves at the end only. Default: 500.
    pub checkpoint_every: u64,
    /// Newest checkpoints that are kept, at least 2. Default: 3.
    pub keep_last: usize,
    /// Checkpoints whose step is a multiple of this are kept for good; 0 keeps none. Default: 0.
    pub keep_every: u64,
    /// Steps between two evaluations on the held-out sessions; 0 never evaluates. Default: 500.
    pub evaluate_every: u64,
    /// Sessions of an evaluation. Default: 64.
    pub evaluate_sessions: usize,
    /// Whether every result is checked for values that are not finite, which is slower and names
    /// the first. Default: false.
    pub check_finite: bool,
    /// Steps between two lines of progress. Default: 10.
    pub log_every: u64,
    /// Weights to start from: a checkpoint's folder, a folder of a released model, or a file of weights
    /// (safetensors, .pth). Default: none.
    pub init: Option<PathBuf>,
}

/// Type that weights and activations are stored in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberType {
    /// IEEE single precision.
    #[default]
    F32,
    /// bfloat16.
    Bf16,
}

impl NumberType {
    /// The one of tensors of that type.
    pub fn of(dtype: DType) -> Self {
        if dtype == DType::BF16 { Self::Bf16 } else { Self::F32 }
    }

    /// The tensors' type.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// What ends a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// A number of optimizer steps.
    Steps(u64),
    /// Minutes of training.
    Minutes(f64),
}

impl Default for RunSection {
    fn default() -> Self {
        Self {
            output: PathBuf::from("run"),
            steps: Some(DEFAULT_STEPS),
            minutes: None,
            batch: 8,
            accumulate: 1,
            seed: 0,
            dtype: NumberType::F32,
            recompute_blocks: false,
            checkpoint_every: 500,
            keep_last: 3,
            keep_every: 0,
            evaluate_every: 500,
            evaluate_sessions: 64,
            check_finite: false,
            log_every: 10,
            init: None,
        }
    }
}

impl RunSection {
    /// What ends the run.
    pub fn budget(&self) -> Budget {
        match (self.minutes, self.steps) {
            (Some(minutes), _) => Budget::Minutes(minutes),
            (None, steps) => Budget::Steps(steps.unwrap_or(DEFAULT_STEPS)),
        }
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.output.as_os_str().is_empty() {
            return Err(Problem::new("run.output", "is empty; name the folder of the run"));
        }
        if let (Some(steps), Some(minutes)) = (self.steps, self.minutes) {
            let what = format!("is {minutes:?} beside run.steps = {steps}; keep one of them");
            return Err(Problem::new("run.minutes", what));
        }
        if let Some(steps) = self.steps {
            require(
                (1..=MAX_STEPS).contains(&steps),
                "run.steps",
                steps,
                "1 or more, at most 2^40",
            )?;
        }
        if let Some(minutes) = self.minutes {
            let is_time = minutes > 0.0 && minutes <= MAX_MINUTES;
            require(is_time, "run.minutes", minutes, "more than 0, at most a year")?;
        }
        let counts = 1..=MAX_BATCH;
        require(counts.contains(&self.batch), "run.batch", self.batch, "1 or more, at most 2^20")?;
        let accumulate = self.accumulate;
        require(
            counts.contains(&accumulate),
            "run.accumulate",
            accumulate,
            "1 or more, at most 2^20",
        )?;
        require_seed("run.seed", self.seed)?;
        for (key, steps) in [
            ("run.checkpoint_every", self.checkpoint_every),
            ("run.keep_every", self.keep_every),
            ("run.evaluate_every", self.evaluate_every),
            ("run.log_every", self.log_every),
        ] {
            require(steps <= MAX_STEPS, key, steps, "at most 2^40")?;
        }
        require(self.log_every > 0, "run.log_every", self.log_every, "1 or more")?;
        let keep = self.keep_last;
        require(
            keep >= 2,
            "run.keep_last",
            keep,
            "2 or more, so that one damaged checkpoint is not the end",
        )?;
        let (every, checkpoint) = (self.keep_every, self.checkpoint_every);
        let is_multiple = every == 0 || (checkpoint > 0 && every.is_multiple_of(checkpoint));
        let expected = format!("0, or a multiple of run.checkpoint_every ({checkpoint})");
        require(is_multiple, "run.keep_every", every, &expected)?;
        let is_evaluated = self.evaluate_every == 0 || self.evaluate_sessions > 0;
        require(
            is_evaluated,
            "run.evaluate_sessions",
            self.evaluate_sessions,
            "1 or more; to evaluate never, set run.evaluate_every = 0",
        )
    }
}
