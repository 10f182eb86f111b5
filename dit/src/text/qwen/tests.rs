//! Vocabulary files from outside: read, or refused in one line.

use super::Tokenizer;
use crate::text::t5;
use crate::train::scratch::Scratch;
use proptest::prelude::*;
use std::fs;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..4 {
            let is_used = digit <= group.len();
            let index = bits >> (18 - 6 * digit) & 63;
            text.push(if is_used { char::from(DIGITS[index as usize]) } else { '=' });
        }
    }
    text
}

/// All bytes, then some longer tokens.
pub(crate) fn vocabulary() -> String {
    let bytes = (0..=255u8).map(|byte| vec![byte]);
    let longer = ["in", "th", "the", " the", "he", "é"].map(|token| token.as_bytes().to_vec());
    let line = |(rank, token): (usize, Vec<u8>)| format!("{} {rank}\n", base64(&token));
    bytes.chain(longer).enumerate().map(line).collect()
}

#[test]
fn texts_become_tokens_of_least_rank() {
    let tokenizer = Tokenizer::parse(vocabulary().as_bytes()).unwrap();
    let end = 256 + 6;
    assert_eq!((tokenizer.end(), tokenizer.len()), (end, end as usize + 3 + 205));
    // "th" is made before "he" could be, and " the" is a token as a whole.
    let tokens = tokenizer.encode("the the x<|endoftext|>e\u{301}<|extra_204|>").unwrap();
    assert_eq!(tokens, [258, 259, 32, 120, end, 261, end + 2 + 205]);
    assert_eq!(tokenizer.prompt("", 150).unwrap(), [end]);
    assert_eq!(tokenizer.prompt("abc", 3).unwrap(), [97, 98, end]);
    assert_eq!(tokenizer.prompt("ab", 3).unwrap(), [97, 98, end]);
    assert_eq!(tokenizer.prompt("a", 3).unwrap(), [97, end]);
    assert!(tokenizer.encode(&"a".repeat(1 << 17)).is_err());
}

#[test]
fn files_that_are_no_vocabulary_are_refused_in_one_line() {
    let whole = vocabulary();
    let scratch = Scratch::new("qwen-tokenizer");
    let path = scratch.path().join("qwen.tiktoken");
    for (from, to, word) in [
        ("YQ== 97\n", "", "rank 97"),
        ("YQ== 97\n", "YQ== 98\n", "rank 98"),
        ("YQ== 97\n", "Yg== 97\n", "repeats"),
        ("YQ== 97\n", "YQ=! 97\n", "line 98"),
        ("YQ== 97\n", "YQ==\n", "line 98"),
        ("YQ== 97\n", "YQ== -97\n", "line 98"),
        ("YQ== 97\n", " 97\n", "line 98"),
        ("YQ== 97\n", "YWE= 97\n", "0x61"),
        ("YQ== 97\n", "YQ== 99999999\n", "99999999"),
        ("YQ== 97\n", "YQ== 99999999999999999999\n", "line 98"),
    ] {
        fs::write(&path, whole.replacen(from, to, 1)).unwrap();
        let line = Tokenizer::open(&path).unwrap_err().to_string();
        assert!(line.contains(word) && line.contains("qwen.tiktoken"), "{from} {to}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    fs::write(&path, "").unwrap();
    assert!(Tokenizer::open(&path).is_err());
    assert!(Tokenizer::open(scratch.path()).is_err());
}

proptest! {
    #[test]
    fn changed_files_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        text in any::<String>(),
    ) {
        let mut bytes = vocabulary().into_bytes();
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        match Tokenizer::parse(&bytes) {
            Ok(tokenizer) => {
                let tokens = tokenizer.encode(&text).unwrap();
                prop_assert!(tokens.iter().all(|&token| (token as usize) < tokenizer.len()));
            }
            Err(line) => prop_assert_eq!(line.lines().count(), 1, "{}", line),
        }
    }

    /// Bytes of no format at all.
    #[test]
    fn garbage_is_refused_in_one_line(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for line in [
            Tokenizer::parse(&bytes).map(drop),
            t5::Tokenizer::from_json(&bytes).map(drop),
            t5::Tokenizer::from_sentencepiece(&bytes).map(drop),
        ] {
            prop_assert_eq!(line.unwrap_err().lines().count(), 1);
        }
    }
}
