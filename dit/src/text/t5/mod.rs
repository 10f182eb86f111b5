//! The text encoder of the 7B model: the encoder half of Flan-UL2, a T5 (VINCIE 7B page, section 3).

mod tokenizer;

pub use tokenizer::Tokenizer;

/// Most tokens of a prompt, its end token included.
pub const MAX_TOKENS: usize = 150;
