//! Weights on disk.

mod assign;
mod safetensors;
#[cfg(test)]
mod tests;

pub use assign::{Mismatch, Mismatches, assign};
pub use safetensors::{Checkpoint, save};
