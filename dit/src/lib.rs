//! The diffusion transformer, its tasks, training and editing.
//!
//! [`model::Transformer`] is the network of the VINCIE specification; a [`layout::Layout`] says which
//! tokens it sees, where they stand and which of them see each other, so that full attention, the
//! block-causal order with clean and noisy copies, and cached inference are one code.
#![forbid(unsafe_code)]

pub mod codec;
pub mod config;
pub mod diffusion;
mod error;
pub mod layout;
pub mod model;
pub mod network;
pub mod patch;
pub mod released;
pub mod rotary;
pub mod session;
pub mod tasks;
pub mod text;
pub mod train;
pub mod verify;
pub mod weights;

pub use error::{Error, Result};
