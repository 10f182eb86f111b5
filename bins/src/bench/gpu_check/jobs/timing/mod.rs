//! How long work takes on the device: products, attention, rows, the optimizer, a training step, an
//! edit.

mod clock;
mod models;
mod pieces;

use super::{Bed, Wrong};
use crate::bench::gpu_check::protocol::Told;
use clock::Clock;
use serde::{Deserialize, Serialize};

pub(in crate::bench::gpu_check) use super::Kind;

/// What is timed. The scripts of the peer read the same words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::bench::gpu_check) enum Work {
    /// A copy of so many bytes within the device's memory.
    Copy { bytes: usize },
    /// `c = op(a) op(b)`, `[m, k]` by `[k, n]`.
    Product { layout: Layout, dtype: Kind, m: usize, n: usize, k: usize },
    /// Attention of `length` tokens in `frames` equal frames, each of which sees itself and those
    /// before it.
    Attention { dtype: Kind, heads: usize, dim: usize, length: usize, frames: usize, back: bool },
    /// A kernel that goes over rows of features once.
    Rows { what: Rows, dtype: Kind, rows: usize, cols: usize },
    /// One step of the optimizer on f32 weights.
    AdamW { tensors: usize, elements: usize },
    /// A training step of a preset, of so many blocks, or of as many as fit.
    Step { preset: String, layers: Option<usize>, dtype: Kind, is_block_causal: bool },
    /// An edit of so many turns and denoising steps.
    Edit { preset: String, layers: Option<usize>, dtype: Kind, turns: usize, steps: usize },
}

/// Which operands of a product are turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::bench::gpu_check) enum Layout {
    Nn,
    Nt,
    Tn,
}

/// Kernels over rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::bench::gpu_check) enum Rows {
    RmsNorm,
    RmsNormBackward,
    Modulated,
    GateResidual,
    Swiglu,
}

impl Layout {
    pub(in crate::bench::gpu_check) fn name(self) -> &'static str {
        match self {
            Self::Nn => "nn",
            Self::Nt => "nt",
            Self::Tn => "tn",
        }
    }
}

impl Rows {
    pub(in crate::bench::gpu_check) fn name(self) -> &'static str {
        match self {
            Self::RmsNorm => "rms_norm",
            Self::RmsNormBackward => "rms_norm backward",
            Self::Modulated => "rms_norm modulated",
            Self::GateResidual => "gate_residual",
            Self::Swiglu => "swiglu",
        }
    }
}

impl Work {
    /// What a row of the record calls it.
    pub(in crate::bench::gpu_check) fn name(&self) -> String {
        match self {
            Self::Copy { bytes } => format!("copy {} MiB", bytes >> 20),
            Self::Product { layout, dtype, m, n, k } => {
                format!("product {} {} {m} x {n} x {k}", layout.name(), dtype.name())
            }
            Self::Attention { dtype, heads, dim, length, frames, back } => {
                let mask = if *frames == 1 { "full" } else { "block-causal" };
                let pass = if *back { "backward" } else { "forward" };
                format!("attention {pass} {mask} {} {heads} x {dim}, {length}", dtype.name())
            }
            Self::Rows { what, dtype, rows, cols } => {
                format!("{} {} {rows} x {cols}", what.name(), dtype.name())
            }
            Self::AdamW { tensors, elements } => format!("adamw {tensors} x {elements}"),
            Self::Step { preset, layers, dtype, is_block_causal } => {
                let mask = if *is_block_causal { "block-causal" } else { "full" };
                let layers = layers.map_or(String::new(), |layers| format!(" {layers} layers"));
                format!("step {preset}{layers} {mask} {}", dtype.name())
            }
            Self::Edit { preset, layers, dtype, turns, steps } => {
                let layers = layers.map_or(String::new(), |layers| format!(" {layers} layers"));
                let dtype = dtype.name();
                format!("edit {preset}{layers} {dtype}, {turns} turns of {steps} steps")
            }
        }
    }
}

/// Times a piece of work. With `is_single` it is done a few times and not captured, for profilers.
pub(super) fn run(bed: &Bed<'_>, work: &Work, is_single: bool) -> Result<Told, Wrong> {
    let place = bed.place()?;
    // What earlier work kept counts as free memory, and is given to whoever asks for it.
    bed.device.trim_memory()?;
    let clock = Clock::new(&place, is_single);
    let told = match work {
        Work::Copy { bytes } => pieces::copy(&clock, *bytes),
        Work::Product { layout, dtype, m, n, k } => {
            pieces::product(&clock, *layout, *dtype, [*m, *n, *k])
        }
        Work::Attention { dtype, heads, dim, length, frames, back } => {
            let sizes =
                pieces::Heads { heads: *heads, dim: *dim, length: *length, frames: *frames };
            pieces::attention(&clock, *dtype, sizes, *back)
        }
        Work::Rows { what, dtype, rows, cols } => {
            pieces::rows(&clock, *what, *dtype, [*rows, *cols])
        }
        Work::AdamW { tensors, elements } => pieces::adamw(&clock, *tensors, *elements),
        Work::Step { preset, layers, dtype, is_block_causal } => {
            models::step(&clock, preset, *layers, *dtype, *is_block_causal)
        }
        Work::Edit { preset, layers, dtype, turns, steps } => {
            models::edit(&clock, preset, *layers, *dtype, [*turns, *steps])
        }
    }?;
    bed.device.trim_memory()?;
    Ok(told)
}
