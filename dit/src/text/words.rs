//! The `words` text encoder: a vocabulary of whole words whose embeddings train with the model.

use super::{Fingerprint, Progress, TextEncoder};
use crate::{Error, Result};
use std::collections::HashMap;
use vincie_tensor::ops::{Gather, Op};
use vincie_tensor::{DType, Tensor};

/// Most words a vocabulary may hold.
const MAX_WORDS: usize = 1 << 16;

/// Most tokens of one text; longer texts are cut.
const MAX_TOKENS: usize = 64;

/// Tokens that are no words. They come first in every vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Special {
    /// Any word that the vocabulary lacks.
    Unknown = 0,
    /// Announces a picture.
    Image = 1,
    /// Announces the region of the current picture that will change.
    CurrentMask = 2,
    /// Announces the region of the next picture that has changed.
    NextMask = 3,
}

const SPECIALS: [&str; 4] = ["<unknown>", "<image>", "<current-mask>", "<next-mask>"];

/// Words by number.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    words: Vec<String>,
    by_word: HashMap<String, u32>,
}

impl Vocabulary {
    /// A vocabulary of these words, sorted, without repeats, behind the special tokens.
    pub fn new<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let mut all: Vec<String> = words.into_iter().flat_map(split).collect();
        all.sort();
        all.dedup();
        all.truncate(MAX_WORDS - SPECIALS.len());
        let words = SPECIALS.iter().map(|s| (*s).to_owned()).chain(all).collect();
        Self::from_words(words)
    }

    fn from_words(words: Vec<String>) -> Self {
        let by_word = words.iter().enumerate().map(|(i, word)| (word.clone(), i as u32)).collect();
        Self { words, by_word }
    }

    /// Reads a vocabulary file: one word a line, the special tokens first.
    pub fn parse(text: &str) -> Result<Self> {
        let words: Vec<String> = text.lines().map(str::to_owned).collect();
        let has_specials =
            words.iter().zip(SPECIALS).filter(|(word, special)| word == special).count()
                == SPECIALS.len();
        if !has_specials || words.len() > MAX_WORDS {
            let what = format!(
                "vocabulary: {} lines; expected {} first and at most {MAX_WORDS} lines",
                words.len(),
                SPECIALS.join(" ")
            );
            return Err(Error::invalid(what));
        }
        let vocabulary = Self::from_words(words);
        if vocabulary.by_word.len() != vocabulary.words.len() {
            return Err(Error::invalid("vocabulary: a word stands twice"));
        }
        Ok(vocabulary)
    }

    /// The vocabulary file's text.
    pub fn to_text(&self) -> String {
        self.words.iter().flat_map(|word| [word.as_str(), "\n"]).collect()
    }

    /// Number of tokens, special ones included.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether it holds no token; never true, as the special ones are always there.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Tokens of a text: its words in lower case, at most [`MAX_TOKENS`].
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        let token =
            |word: String| self.by_word.get(&word).copied().unwrap_or(Special::Unknown as u32);
        split(text).take(MAX_TOKENS).map(token).collect()
    }
}

/// A vocabulary with the table that a model trained for it. In training the model looks tokens up
/// itself, so that the table learns; this is the same look-up behind the seam.
#[derive(Clone, Debug)]
pub struct Words {
    vocabulary: Vocabulary,
    table: Tensor,
    fingerprint: Fingerprint,
}

impl Words {
    /// Features of token `i` are row `i` of `table` `[rows, dim]`, which has at least one row a token.
    pub fn new(vocabulary: Vocabulary, table: &Tensor) -> Result<Self> {
        if table.shape().rank() != 2 || table.shape()[0] < vocabulary.len() {
            return Err(Error::invalid(format!(
                "words: table is {}; expected at least {} rows of features",
                table.shape(),
                vocabulary.len()
            )));
        }
        let table = table.to_host()?.to_dtype(DType::F32)?.contiguous()?;
        let numbers = table.to_slice::<f32>()?;
        let parts = [vocabulary.to_text().into_bytes(), bytemuck::cast_slice(&numbers).to_vec()];
        let fingerprint = Fingerprint::of(parts.iter().map(Vec::as_slice));
        drop(numbers);
        Ok(Self { vocabulary, table, fingerprint })
    }
}

impl TextEncoder for Words {
    fn dim(&self) -> usize {
        self.table.shape().last_dim()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn tokens(&self, prompt: &str) -> Result<Vec<u32>> {
        Ok(self.vocabulary.tokens(prompt))
    }

    fn encode(&self, prompts: &[&str], progress: Progress<'_>) -> Result<Vec<Tensor>> {
        let mut features = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            let tokens = self.vocabulary.tokens(prompt).into_iter().map(|token| token as i32);
            let tokens: Vec<i32> = tokens.collect();
            let rows = Tensor::from_slice(&tokens, [tokens.len()])?;
            features.extend(Op::from(Gather).forward(&[&self.table, &rows])?);
            progress(features.len(), prompts.len());
        }
        Ok(features)
    }
}

/// Words of a text: runs of letters, digits, apostrophes and inner hyphens, in lower case.
fn split(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '\'')
        .map(|word| word.trim_matches(['-', '\'']).to_lowercase())
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_in_lower_case() {
        let v = Vocabulary::new(["Move the red region to the lower-left.", "the"]);
        assert_eq!(v.len(), 4 + 7 - 1);
        let tokens = v.tokens("The RED, region; and - the");
        assert_eq!(tokens.len(), 5);
        assert_eq!(tokens[0], tokens[4]);
        assert_eq!(tokens[3], Special::Unknown as u32);
        assert_eq!(Vocabulary::parse(&v.to_text()).unwrap(), v);
        assert_eq!(v.tokens(&"red ".repeat(500)).len(), MAX_TOKENS);
    }

    #[test]
    fn features_are_rows_of_the_table() {
        let vocabulary = Vocabulary::new(["red", "blue"]);
        let numbers: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let table = Tensor::from_slice(&numbers, [6, 2]).unwrap();
        let words = Words::new(vocabulary.clone(), &table).unwrap();
        let mut seen = Vec::new();
        let mut progress = |done, all| seen.push((done, all));
        let features = words.encode(&["red blue", "", "green"], &mut progress).unwrap();
        assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
        assert_eq!(features[0].to_vec::<f32>().unwrap(), [10.0, 11.0, 8.0, 9.0]);
        assert_eq!(*features[1].dims(), [0, 2]);
        assert_eq!(features[2].to_vec::<f32>().unwrap(), [0.0, 1.0]);
        let other = Words::new(Vocabulary::new(["red", "green"]), &table).unwrap();
        assert_ne!(words.fingerprint(), other.fingerprint());
        assert!(Words::new(vocabulary, &table.narrow(0, 0, 5).unwrap()).is_err());
    }

    #[test]
    fn refuses_files_that_are_no_vocabulary() {
        for text in ["", "a\nb", "<unknown>\n<image>\n<current-mask>\n<next-mask>\na\na"] {
            assert!(Vocabulary::parse(text).is_err(), "{text:?}");
        }
    }
}
