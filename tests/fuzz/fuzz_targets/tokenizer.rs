//! Tokenizers of all three forms: tokens below their number and errors of one line, never a panic. The
//! first byte chooses the form, the second says how many of the following are the text.
#![no_main]

use vincie_dit::text::{qwen, t5};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [form, length, rest @ ..] = bytes else { return };
    let (text, file) = rest.split_at(usize::from(*length).min(rest.len()));
    let text = String::from_utf8_lossy(text);
    let outcome = match form % 3 {
        0 => qwen::Tokenizer::parse(file)
            .map(|tokenizer| (tokenizer.encode(&text), tokenizer.len())),
        1 => t5::Tokenizer::from_json(file)
            .map(|tokenizer| (tokenizer.encode(&text), tokenizer.len())),
        _ => t5::Tokenizer::from_sentencepiece(file)
            .map(|tokenizer| (tokenizer.encode(&text), tokenizer.len())),
    };
    match outcome {
        Ok((tokens, count)) => {
            let tokens = tokens.expect("texts of this length have tokens");
            assert!(tokens.iter().all(|&token| (token as usize) < count));
        }
        Err(line) => assert_eq!(line.lines().count(), 1),
    }
});
