//! Tokenizers for text encoders of random weights: files of the released form and size, whose pieces are
//! made up. They cut a text into more and other pieces than the released ones.

use crate::{Error, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Entries of the released `qwen.tiktoken`.
const QWEN_ENTRIES: usize = 151_643;

/// Pieces of the released T5 vocabulary, and the strings of its holes behind them.
const T5_PIECES: usize = 32_000;
const T5_EXTRA: usize = 100;

/// Writes byte-level merges: all bytes, then pairs and triples of them in order, as many as the
/// released file has. Every entry is a pair of earlier ones, as merging needs.
pub(super) fn qwen(path: &Path) -> Result<()> {
    let singles = (0..=255u8).map(|a| vec![a]);
    // Letters and blanks first, so that common text merges.
    let mut order: Vec<u8> = (0..=255).collect();
    order.sort_by_key(|byte| (!(byte.is_ascii_lowercase() || *byte == b' '), *byte));
    let pairs = order.iter().flat_map(|&a| order.iter().map(move |&b| vec![a, b]));
    let triples = order.iter().flat_map(|&a| {
        let order = &order;
        order.iter().flat_map(move |&b| order.iter().map(move |&c| vec![a, b, c]))
    });
    let mut text = String::with_capacity(QWEN_ENTRIES * 14);
    let all = singles.chain(pairs).chain(triples).take(QWEN_ENTRIES);
    for (rank, bytes) in all.enumerate() {
        base64(&bytes, &mut text);
        text += &format!(" {rank}\n");
    }
    fs::write(path, text).map_err(|source| Error::io(path, source))
}

/// Appends bytes in base64 (RFC 4648, section 4).
fn base64(bytes: &[u8], to: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
        let word = word << (8 * (3 - group.len()));
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) & 63;
            to.push(if digit <= group.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
}

/// Writes a unigram vocabulary of single characters, pairs and triples of letters, with the pipeline of
/// Flan-T5 (VINCIE 7B specification, section 3.1) without its character map.
pub(super) fn t5(path: &Path) -> Result<()> {
    const BLANK: char = '\u{2581}';
    let mut pieces: Vec<(String, f64)> =
        ["<pad>", "</s>", "<unk>"].map(|special| (special.to_owned(), 0.0)).into();
    pieces.push((BLANK.to_string(), -2.0));
    // As in the released vocabulary, "<", "{" and "}" are missing.
    let printable = (' '..='~').skip(1).filter(|c| !"<{}".contains(*c));
    pieces.extend(printable.map(|c| (c.to_string(), -5.0)));
    let letters = || 'a'..='z';
    let first = || std::iter::once(BLANK).chain(letters());
    for a in first() {
        pieces.extend(letters().map(|b| (String::from_iter([a, b]), -8.0)));
    }
    for (a, b) in first().flat_map(|a| letters().map(move |b| (a, b))) {
        pieces.extend(letters().map(|c| (String::from_iter([a, b, c]), -10.0)));
    }
    // Fours fill what is left.
    let fours =
        first().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| (a, b, c))));
    let fours = fours.flat_map(|(a, b, c)| letters().map(move |d| String::from_iter([a, b, c, d])));
    let rest = T5_PIECES - pieces.len();
    pieces.extend(fours.take(rest).map(|four| (four, -12.0)));
    let extra = |i: usize| format!("<extra_id_{}>", T5_EXTRA - 1 - i);
    pieces.extend((0..T5_EXTRA).map(|i| (extra(i), 0.0)));
    let special = |id: usize, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let mut added: Vec<Value> = (0..3).map(|id| special(id, &pieces[id].0)).collect();
    added.extend((0..T5_EXTRA).map(|i| special(T5_PIECES + i, &extra(i))));
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let end = json!({ "SpecialToken": { "id": "</s>", "type_id": 0 } });
    let document = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "NFKC" },
            { "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " },
        ] },
        "pre_tokenizer": {
            "type": "Metaspace", "replacement": BLANK.to_string(), "add_prefix_space": true,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [text, end],
            "special_tokens": { "</s>": { "id": "</s>", "ids": [1], "tokens": ["</s>"] } },
        },
        "model": { "type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": false },
    });
    fs::write(path, document.to_string()).map_err(|source| Error::io(path, source))
}
