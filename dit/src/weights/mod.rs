//! Weights on disk: safetensors and PyTorch files, alone or in shards, mapped and read lazily.

mod assign;
mod checkpoint;
mod convert;
mod entry;
mod fit;
pub mod fresh;
mod index;
pub mod names;
mod pickle;
pub mod release;
mod safetensors;
#[cfg(test)]
mod tests;
mod torch;
pub mod write;
mod zip;

pub use ::safetensors::Dtype;
pub use assign::{Mismatch, Mismatches, Taken, assign, assign_lazily, converted};
pub use checkpoint::{Checkpoint, Form};
pub use convert::{Conversion, Output};
pub use fit::{Fit, fitted};
pub use safetensors::save;
