//! The byte-level tokenizer of the first Qwen generation (VINCIE 3B specification, section 3).

use super::merge::merge;
use super::split;
use crate::text::{base64, file};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// Most tokens of a prompt, its end token included.
pub const MAX_TOKENS: usize = 150;

/// Most bytes and lines of a vocabulary.
const MAX_FILE: u64 = 64 << 20;
const MAX_RANKS: usize = 1 << 20;

/// How many `<|extra_i|>` the published vocabulary has.
const EXTRAS: usize = 205;

/// A vocabulary of byte strings and the rule that cuts texts into them.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    ranks: HashMap<Vec<u8>, u32>,
    /// Length of the longest token.
    longest: usize,
    /// Special strings with their tokens, the longest first.
    specials: Vec<(String, u32)>,
    end: u32,
}

impl Tokenizer {
    /// Reads a `qwen.tiktoken` file: a line a token, its bytes in base64 and its rank. The special
    /// tokens follow the ranks in the published order.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = file::read(path, MAX_FILE)?;
        Self::parse(&bytes).map_err(|what| Error::format(path, what))
    }

    /// Reads the bytes of a `qwen.tiktoken` file; `Err` is one line.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut ranks = HashMap::new();
        let mut is_taken = Vec::new();
        let lines = bytes.split(|&byte| byte == b'\n').enumerate();
        for (number, line) in lines {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let number = number + 1;
            let (token, rank) = entry(line).ok_or_else(|| {
                format!("line {number} is no token; expected base64, a blank and a rank")
            })?;
            if rank >= MAX_RANKS {
                return Err(format!("line {number} has rank {rank}; expected below {MAX_RANKS}"));
            }
            if is_taken.len() <= rank {
                is_taken.resize(rank + 1, false);
            }
            if std::mem::replace(&mut is_taken[rank], true) {
                return Err(format!("line {number} has rank {rank}, which stands above as well"));
            }
            if ranks.insert(token, rank as u32).is_some() {
                return Err(format!("line {number} repeats a token"));
            }
        }
        if let Some(missing) = is_taken.iter().position(|is_taken| !is_taken) {
            let last = is_taken.len() - 1;
            return Err(format!(
                "no token has rank {missing}; expected all ranks from 0 to {last}"
            ));
        }
        let longest = ranks.keys().map(Vec::len).max().unwrap_or(0);
        if let Some(byte) = (0..=u8::MAX).find(|&byte| !ranks.contains_key(&[byte][..])) {
            return Err(format!("byte {byte:#04x} is no token; expected all 256"));
        }
        let first = ranks.len() as u32;
        let named = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned);
        let extras = (0..EXTRAS).map(|i| format!("<|extra_{i}|>"));
        let specials = named.into_iter().chain(extras).zip(first..).collect();
        let plain = Self { ranks, longest, specials: Vec::new(), end: first };
        Ok(plain.with_specials(specials, first))
    }

    /// The same vocabulary with other special strings, and the token that ends prompts.
    #[must_use]
    pub fn with_specials(mut self, mut specials: Vec<(String, u32)>, end: u32) -> Self {
        specials.retain(|(text, _)| !text.is_empty());
        specials.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        (self.specials, self.end) = (specials, end);
        self
    }

    /// One more than the largest token.
    pub fn len(&self) -> usize {
        let specials = self.specials.iter().map(|&(_, token)| token as usize + 1);
        specials.max().unwrap_or(0).max(self.ranks.len())
    }

    /// Whether there is no token; never true, as the bytes are always there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The token that ends prompts, `<|endoftext|>`.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Tokens of a whole text in Unicode's form C. Special strings in it become their tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        file::check_prompt(text)?;
        let text: String = text.nfc().collect();
        let mut tokens = Vec::new();
        let (mut start, mut at) = (0, 0);
        while let Some(length) = text[at..].chars().next().map(char::len_utf8) {
            let special = self.specials.iter().find(|(name, _)| text[at..].starts_with(name));
            if let Some((name, token)) = special {
                self.plain(&text[start..at], &mut tokens);
                tokens.push(*token);
                at += name.len();
                start = at;
            } else {
                at += length;
            }
        }
        self.plain(&text[start..], &mut tokens);
        Ok(tokens)
    }

    /// Tokens of a prompt: at most `limit`, which is at least 1, the last one being the end token.
    pub fn prompt(&self, text: &str, limit: usize) -> Result<Vec<u32>> {
        Ok(with_end(self.encode(text)?, self.end, limit))
    }

    /// Tokens of a text without special strings.
    fn plain(&self, mut text: &str, tokens: &mut Vec<u32>) {
        while !text.is_empty() {
            let piece = split::first(text);
            text = &text[piece.len()..];
            match self.rank(piece.as_bytes()) {
                Some(token) => tokens.push(token),
                None => tokens.extend(merge(piece.as_bytes(), |bytes| self.rank(bytes))),
            }
        }
    }

    fn rank(&self, bytes: &[u8]) -> Option<u32> {
        if bytes.len() > self.longest {
            return None;
        }
        self.ranks.get(bytes).copied()
    }
}

/// At most `limit` tokens, which is at least 1, the last one being `end`: where there are as many or more
/// it takes the place of the last.
pub fn with_end(mut tokens: Vec<u32>, end: u32, limit: usize) -> Vec<u32> {
    tokens.truncate(limit - 1);
    tokens.push(end);
    tokens
}

/// The token and rank of a line.
fn entry(line: &[u8]) -> Option<(Vec<u8>, usize)> {
    let blank = line.iter().position(|&byte| byte == b' ')?;
    let token = base64::decode(&line[..blank]).filter(|token| !token.is_empty())?;
    let rank = std::str::from_utf8(&line[blank + 1..]).ok()?;
    let is_number = !rank.is_empty() && rank.bytes().all(|byte| byte.is_ascii_digit());
    Some((token, rank.parse().ok().filter(|_| is_number)?))
}
