//! Video in, sessions out: decoding, sampling, annotation, the session record, shards and the
//! loader. This crate deals in images, masks and text; it knows nothing of tensors.
#![forbid(unsafe_code)]

pub mod annotate;
pub mod benchmark;
pub mod decode;
mod error;
mod image;
pub mod loader;
pub mod parquet;
pub mod sample;
pub mod session;
pub mod shard;
pub mod sprites;

pub use error::{Error, Result};
pub use image::{Image, Limits, Mask};
