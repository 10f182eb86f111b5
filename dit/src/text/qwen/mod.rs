//! The text encoder of the 3B model: the first generation of Qwen (VINCIE 3B specification, section 3).

mod merge;
mod split;
mod tokenizer;

#[cfg(test)]
pub(crate) mod tests;

pub use tokenizer::{MAX_TOKENS, Tokenizer};
