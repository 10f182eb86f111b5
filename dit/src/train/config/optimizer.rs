//! `[optimizer]`: AdamW, the learning rate over the run, and the averaged weights.

use super::problem::{Problem, require, require_share};
use serde::{Deserialize, Serialize};
use vincie_autograd::optimizer::{AdamWConfig, Decay, Schedule};

/// AdamW, the learning rate over the run, and the averaged weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSection {
    /// Largest learning rate, reached after the warm-up. Default: 0.0003.
    pub rate: f64,
    /// Decay of the first and second moment per step. Default: [0.9, 0.95].
    pub betas: [f64; 2],
    /// Added to the root of the second moment. Default: 1e-8.
    pub epsilon: f64,
    /// Decoupled decay of the weights per step and unit of learning rate; vectors do not decay.
    /// Default: 0.01.
    pub weight_decay: f64,
    /// Global norm that gradients are scaled down to; 0 leaves them. Default: 1.0.
    pub clip_norm: f64,
    /// Steps over which the rate rises from near 0. Default: 100.
    pub warmup: u64,
    /// How the rate falls afterwards. Default: "cosine".
    pub decay: DecayKind,
    /// Share of the run after the warm-up, from its end, over which the rate falls, 0 to 1.
    /// Default: 1.0.
    pub decay_share: f64,
    /// Rate at the end as a share of the largest, 0 to 1. Default: 0.1.
    pub final_share: f64,
    /// Decay of the averaged weights per step; 0 makes them follow the weights at once. Default:
    /// 0.9998.
    pub ema: f64,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecayKind {
    /// It stays.
    Constant,
    /// Along a straight line.
    Linear,
    /// Along half a cosine.
    Cosine,
}

impl Default for OptimizerSection {
    fn default() -> Self {
        Self {
            rate: 3e-4,
            betas: [0.9, 0.95],
            epsilon: 1e-8,
            weight_decay: 0.01,
            clip_norm: 1.0,
            warmup: 100,
            decay: DecayKind::Cosine,
            decay_share: 1.0,
            final_share: 0.1,
            ema: 0.9998,
        }
    }
}

impl OptimizerSection {
    /// The optimizer's constants.
    pub fn adamw(&self) -> AdamWConfig {
        AdamWConfig {
            beta1: self.betas[0] as f32,
            beta2: self.betas[1] as f32,
            epsilon: self.epsilon as f32,
            weight_decay: self.weight_decay as f32,
        }
    }

    /// Largest global norm of a gradient; infinite where nothing is scaled down.
    pub fn largest_norm(&self) -> f32 {
        if self.clip_norm == 0.0 { f32::INFINITY } else { self.clip_norm as f32 }
    }

    /// The learning rate over a run of `total` steps.
    pub fn schedule(&self, total: u64) -> Schedule {
        Schedule {
            peak: self.rate,
            warmup: self.warmup,
            total,
            decay: match self.decay {
                DecayKind::Constant => Decay::Constant,
                DecayKind::Linear => Decay::Linear,
                DecayKind::Cosine => Decay::Cosine,
            },
            decay_share: self.decay_share,
            final_share: self.final_share,
        }
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        // Ranges hold after rounding to f32, in which the optimizer computes.
        let is_decay = |value: f64| value >= 0.0 && (value as f32) < 1.0;
        let is_positive = |value: f64| value.is_finite() && value as f32 > 0.0 && value <= 1e3;
        require(
            is_positive(self.rate),
            "optimizer.rate",
            self.rate,
            "a number above 0, at most 1000",
        )?;
        let are_decays = self.betas.into_iter().all(is_decay);
        require(are_decays, "optimizer.betas", self.betas, "two numbers from 0 to below 1")?;
        require(
            is_positive(self.epsilon),
            "optimizer.epsilon",
            self.epsilon,
            "a number above 0, at most 1000",
        )?;
        for (key, value) in
            [("optimizer.weight_decay", self.weight_decay), ("optimizer.clip_norm", self.clip_norm)]
        {
            require((0.0..=1e9).contains(&value), key, value, "a number of 0 or more")?;
        }
        let share = self.decay_share;
        require_share("optimizer.decay_share", share)?;
        require(
            share > 0.0,
            "optimizer.decay_share",
            share,
            "more than 0; for no decay set decay = \"constant\"",
        )?;
        require_share("optimizer.final_share", self.final_share)?;
        require(is_decay(self.ema), "optimizer.ema", self.ema, "a number from 0 to below 1")
    }
}
