//! Instructions to tokens.

mod words;

pub use words::{Special, Vocabulary};
