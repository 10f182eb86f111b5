//! Unigram tokenizers of the T5 family (VINCIE 7B page, section 3.1), read from `tokenizer.json`,
//! whose pipeline is taken as written, or from a sentencepiece model.

mod added;
mod charsmap;
mod json;
mod normalizer;
mod pattern;
mod spiece;
mod split;
mod unigram;

#[cfg(test)]
pub(crate) mod tests;

use crate::text::file;
use crate::{Error, Result};
use added::{AddedTokens, Part};
use normalizer::Normalizer;
use std::path::Path;
use unigram::Unigram;

/// Most bytes of a tokenizer's file.
const MAX_FILE: u64 = 256 << 20;

/// Texts to numbers of pieces.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// Looked for in the text as it is.
    added: AddedTokens,
    pipeline: Pipeline,
    model: Unigram,
    /// What stands before and behind every text.
    before: Vec<u32>,
    after: Vec<u32>,
}

/// From text to what the model cuts.
#[derive(Clone, Debug)]
enum Pipeline {
    Fast { normalizer: Normalizer, added: AddedTokens, splitter: split::Splitter },
    SentencePiece(spiece::Normalization),
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, or any other file as a sentencepiece model.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = file::read(path, MAX_FILE)?;
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let read = if is_json { Self::from_json(&bytes) } else { Self::from_sentencepiece(&bytes) };
        read.map_err(|what| Error::format(path, what))
    }

    /// Reads the bytes of a `tokenizer.json`. `Err` is one line that names what is not known in it.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        json::parse(bytes)
    }

    /// Reads the bytes of a sentencepiece model; `Err` is one line.
    pub fn from_sentencepiece(bytes: &[u8]) -> Result<Self, String> {
        spiece::parse(bytes)
    }

    /// One more than the largest token.
    pub fn len(&self) -> usize {
        let ids = self.added.iter().map(|added| added.id).chain(self.after.iter().copied());
        let ids = ids.chain(self.before.iter().copied());
        ids.max().map_or(0, |id| id as usize + 1).max(self.model.len())
    }

    /// Whether there is no token; never true, as the unknown one is always there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of a whole text, with what stands before and behind it. Special strings in the text
    /// become their tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.prompt(text, usize::MAX)
    }

    /// Tokens of a prompt cut so that they are at most `limit` with what stands before and behind it.
    pub fn prompt(&self, text: &str, limit: usize) -> Result<Vec<u32>> {
        file::check_prompt(text)?;
        let mut tokens = self.before.clone();
        for part in self.added.cut(text) {
            match part {
                Part::Token(token) => tokens.push(token),
                Part::Text { text, start } => self.plain(text, start == 0, &mut tokens),
            }
        }
        tokens.truncate(limit.saturating_sub(self.after.len()).max(self.before.len()));
        tokens.extend(&self.after);
        Ok(tokens)
    }

    /// Tokens of a stretch without special strings.
    fn plain(&self, text: &str, is_first: bool, tokens: &mut Vec<u32>) {
        match &self.pipeline {
            Pipeline::Fast { normalizer, added, splitter } => {
                let text = normalizer.apply(text);
                for part in added.cut(&text) {
                    match part {
                        Part::Token(token) => tokens.push(token),
                        Part::Text { text, start } => {
                            let is_first = is_first && start == 0;
                            let whole = split::Piece { text: text.to_owned(), is_first };
                            for piece in splitter.apply(vec![whole]) {
                                self.model.encode(&piece.text, tokens);
                            }
                        }
                    }
                }
            }
            Pipeline::SentencePiece(normalization) => {
                let text = normalization.apply(&self.model, text);
                self.model.encode(&text, tokens);
            }
        }
    }
}
