//! Weights on disk.

mod assign;
mod safetensors;

pub use assign::{Mismatch, Mismatches, assign};
pub use safetensors::{Checkpoint, save};
