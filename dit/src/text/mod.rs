//! Instructions to features: the seam that makes the small models and the released ones one code.
//!
//! A [`TextEncoder`] answers prompts with features, each prompt on its own. [`Words`] reads them from
//! the table that a small model trained.

mod base64;
mod encoder;
mod file;
pub mod qwen;
pub mod t5;
mod words;

pub use encoder::{Fingerprint, Progress, TextEncoder};
pub use words::{Special, Vocabulary, Words};
