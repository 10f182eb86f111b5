//! Tokenizers of a few pieces in both forms; damaged ones are refused in one line.

use super::Tokenizer;
use super::charsmap::CharacterMap;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Pieces with scores and kinds, as a sentencepiece model counts kinds.
const PIECES: [(&str, f32, u64); 8] = [
    ("<pad>", 0.0, 3),
    ("</s>", 0.0, 3),
    ("<unk>", 0.0, 2),
    ("▁", -2.0, 1),
    ("▁a", -2.5, 1),
    ("a", -3.0, 1),
    ("b", -3.5, 1),
    ("ab", -4.0, 1),
];

/// A map of "A" to "a", of "Á" (two bytes) to "a", and of "A\u{301}" to "b", compiled by hand. Units
/// are a label, bit 8 where a string ends, and ten bits up the distance to the children.
fn character_map() -> Vec<u8> {
    let mut units = vec![0u32; 0x1100];
    let child = |parent: usize, byte: u8| parent ^ usize::from(byte);
    let unit = |byte: u8, at: usize, children: usize, has_value: bool| {
        u32::from(byte) | u32::from(has_value) << 8 | ((at ^ children) as u32) << 10
    };
    let value = |at: u32| 1 << 31 | at;
    // Children of the root at 0x100, of "A" at 0x200, of "\xc3" at 0x300, and so on.
    units[0] = 0x100 << 10;
    let a = child(0x100, b'A');
    units[a] = unit(b'A', a, 0x200, true);
    units[0x200] = value(0);
    let first = child(0x200, 0xcc);
    units[first] = unit(0xcc, first, 0x400, false);
    let second = child(0x400, 0x81);
    units[second] = unit(0x81, second, 0x500, true);
    units[0x500] = value(2);
    let lead = child(0x100, 0xc3);
    units[lead] = unit(0xc3, lead, 0x300, false);
    let tail = child(0x300, 0x81);
    units[tail] = unit(0x81, tail, 0x600, true);
    units[0x600] = value(0);
    let mut bytes = ((4 * units.len()) as u32).to_le_bytes().to_vec();
    bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes.extend(b"a\0b\0");
    bytes
}

pub(crate) fn document() -> Value {
    let vocabulary: Vec<Value> =
        PIECES.iter().map(|(piece, score, _)| json!([piece, score])).collect();
    let added = |id: u32, content: &str| json!({"id": id, "content": content, "special": true});
    json!({
        "version": "1.0",
        "added_tokens": [added(0, "<pad>"), added(1, "</s>"), added(2, "<unk>"), added(8, "<x>")],
        "normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1]}},
        },
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocabulary},
    })
}

fn read(document: &Value) -> Result<Tokenizer, String> {
    Tokenizer::from_json(document.to_string().as_bytes())
}

fn field(number: u64, form: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = varint(number << 3 | form);
    if form == 2 {
        bytes.extend(varint(payload.len() as u64));
    }
    bytes.extend(payload);
    bytes
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn sentencepiece() -> Vec<u8> {
    let piece = |(text, score, kind): &(&str, f32, u64)| {
        let parts = [
            field(1, 2, text.as_bytes()),
            field(2, 5, &score.to_le_bytes()),
            field(3, 0, &varint(*kind)),
        ];
        field(1, 2, &parts.concat())
    };
    let mut bytes: Vec<u8> = PIECES.iter().flat_map(piece).collect();
    bytes.extend(field(2, 2, &field(3, 0, &varint(1))));
    bytes.extend(field(3, 2, &field(2, 2, &character_map())));
    bytes
}

#[test]
fn the_best_pieces_are_found() {
    let tokenizer = read(&document()).unwrap();
    for (text, tokens) in [
        // "▁" with "ab" costs 6, "▁a" with "b" too: of equals the one with the longer last piece.
        ("ab", &[3, 7][..]),
        ("a  b", &[4, 3, 6]),
        // Unknown characters in a row are one token.
        ("xyz", &[3, 2]),
        ("a ", &[4, 3]),
        ("<x>b</s>", &[8, 3, 6, 1]),
        ("", &[]),
    ] {
        let expected = [tokens, &[1]].concat();
        assert_eq!(tokenizer.encode(text).unwrap(), expected, "{text:?}");
    }
    assert_eq!(tokenizer.prompt("aaaaa", 3).unwrap(), [4, 5, 1]);
    assert_eq!(tokenizer.prompt("aaaaa", 1).unwrap(), [1]);
    assert_eq!(tokenizer.len(), 9);
    assert!(tokenizer.encode(&"a".repeat(1 << 17)).is_err());
}

#[test]
fn a_character_map_is_walked_byte_by_byte() {
    let map = CharacterMap::parse(&character_map()).unwrap();
    assert_eq!(map.longest("A\u{301}x"), Some((3, "b")));
    assert_eq!(map.shortest("A\u{301}x"), Some("a"));
    assert_eq!(map.longest("Áx"), Some((2, "a")));
    assert_eq!(map.longest("AÁ"), Some((1, "a")));
    for text in ["", "x", "\u{301}", "Â", "\0"] {
        assert_eq!((map.longest(text), map.shortest(text)), (None, None), "{text:?}");
    }
}

#[test]
fn both_forms_differ_where_their_origins_do() {
    let model = Tokenizer::from_sentencepiece(&sentencepiece()).unwrap();
    let map = crate::text::qwen::tests::base64(&character_map());
    let mut document = document();
    document["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": map});
    let fast = read(&document).unwrap();
    // Sentencepiece takes the longest string of the map, the fast form the shortest for the whole.
    assert_eq!(model.encode("aA\u{301}").unwrap(), [3, 7, 1]);
    assert_eq!(fast.encode("aA\u{301}").unwrap(), [4, 5, 1]);
    // Sentencepiece drops blanks at both ends.
    assert_eq!(model.encode("  a  b ").unwrap(), [4, 3, 6, 1]);
    assert_eq!(model.encode("  ").unwrap(), [1]);
    // Its extra strings stand behind its pieces, the last one first.
    assert_eq!(model.encode("<extra_id_0> a<extra_id_99>").unwrap(), [107, 4, 8, 1]);
    assert_eq!(model.len(), 108);
}

#[test]
fn what_is_not_known_is_named() {
    for (pointer, value, word) in [
        ("/model/type", json!("BPE"), "BPE"),
        ("/model/byte_fallback", json!(true), "byte_fallback"),
        ("/model/unk_id", json!(8), "unknown token"),
        ("/model/unk_id", Value::Null, "unknown token"),
        ("/model/vocab", json!([["a"]]), "vocab"),
        ("/normalizer", json!({"type": "BertNormalizer"}), "BertNormalizer"),
        ("/normalizer/pattern", json!({"Regex": "\\s+"}), "\\\\s+"),
        ("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "A"}), "base64"),
        ("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "trie"),
        ("/pre_tokenizer/type", json!("ByteLevel"), "ByteLevel"),
        ("/post_processor/type", json!("ByteLevel"), "ByteLevel"),
        ("/post_processor/single", json!([]), "no text"),
        ("/post_processor/special_tokens", json!({}), "</s>"),
        ("/added_tokens/0/id", json!(1), "<pad>"),
        ("/added_tokens", json!([{}]), "id"),
    ] {
        let mut document = document();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = value;
        let line = read(&document).unwrap_err();
        assert!(line.contains(word) && line.lines().count() == 1, "{pointer}: {line}");
    }
    let wrong_model = [sentencepiece(), field(2, 2, &field(3, 0, &varint(2)))].concat();
    assert!(Tokenizer::from_sentencepiece(&wrong_model).unwrap_err().contains("unigram"));
}

proptest! {
    #[test]
    fn changed_models_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        text in "[aAb\u{301}Á<x> ]{0,12}",
    ) {
        let forms = [sentencepiece(), document().to_string().into_bytes()];
        for (form, mut bytes) in forms.into_iter().enumerate() {
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            if let Some(cut) = &cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let read = if form == 0 { Tokenizer::from_sentencepiece } else { Tokenizer::from_json };
            match read(&bytes) {
                Ok(tokenizer) => {
                    let tokens = tokenizer.encode(&text).unwrap();
                    prop_assert!(tokens.iter().all(|&token| (token as usize) < tokenizer.len()));
                }
                Err(line) => prop_assert_eq!(line.lines().count(), 1, "{}", line),
            }
        }
    }

    /// Tries of any units are walked without a panic.
    #[test]
    fn any_trie_is_walked(
        units in prop::collection::vec(any::<u32>(), 0..64),
        forms in "[a-c\0]{0,9}",
        text in any::<String>(),
    ) {
        let mut bytes = ((4 * units.len()) as u32).to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(forms.as_bytes());
        let map = CharacterMap::parse(&bytes).unwrap();
        if let Some((length, _)) = map.longest(&text) {
            prop_assert!(text.is_char_boundary(length));
        }
        prop_assert_eq!(map.shortest(&text).is_some(), map.longest(&text).is_some());
    }
}
