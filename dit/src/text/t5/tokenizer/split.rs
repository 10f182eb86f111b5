//! How a normalised text is cut before the model cuts it further, as `tokenizer.json` writes it.

use serde_json::Value;

/// A step of cutting.
#[derive(Clone, Debug)]
pub(super) enum Splitter {
    Sequence(Vec<Splitter>),
    /// Cuts at blanks, which go.
    Whitespace,
    /// Blanks become a visible sign, which begins every piece.
    Metaspace {
        sign: String,
        prepend: Prepend,
        is_cut: bool,
    },
}

/// Whether a piece gets the sign in front where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepend {
    Always,
    /// Only at the start of the text.
    First,
    Never,
}

/// A stretch of text on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Whether it stands at the start of the whole text.
    pub(super) is_first: bool,
}

impl Splitter {
    /// Reads a `pre_tokenizer` entry, which may be `null`.
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(Self::Sequence(Vec::new()));
        }
        match value["type"].as_str() {
            Some("Sequence") => {
                let all = value["pretokenizers"].as_array();
                let all = all.ok_or("pre_tokenizer: Sequence of nothing")?;
                Ok(Self::Sequence(all.iter().map(Self::parse).collect::<Result<_, _>>()?))
            }
            Some("WhitespaceSplit") => Ok(Self::Whitespace),
            Some("Metaspace") => Self::metaspace(value),
            _ => Err(format!(
                "pre_tokenizer {} is not known; expected Sequence, WhitespaceSplit or Metaspace",
                value["type"]
            )),
        }
    }

    fn metaspace(value: &Value) -> Result<Self, String> {
        let sign = value["replacement"].as_str().filter(|sign| sign.chars().count() == 1);
        let sign = sign.ok_or_else(|| {
            let found = &value["replacement"];
            format!("pre_tokenizer: Metaspace: replacement is {found}; expected one character")
        })?;
        // The old spelling is a flag, the new one names the scheme.
        let prepend = match (value["prepend_scheme"].as_str(), value["add_prefix_space"].as_bool())
        {
            (Some("always"), _) | (None, Some(true) | None) => Prepend::Always,
            (Some("first"), _) => Prepend::First,
            (Some("never"), _) | (None, Some(false)) => Prepend::Never,
            (Some(other), _) => {
                return Err(format!(
                    "pre_tokenizer: Metaspace: prepend_scheme {other:?} is not known; expected always, \
                     first or never"
                ));
            }
        };
        let is_cut = value["split"].as_bool().unwrap_or(true);
        Ok(Self::Metaspace { sign: sign.to_owned(), prepend, is_cut })
    }

    pub(super) fn apply(&self, pieces: Vec<Piece>) -> Vec<Piece> {
        match self {
            Self::Sequence(all) => {
                all.iter().fold(pieces, |pieces, splitter| splitter.apply(pieces))
            }
            Self::Whitespace => {
                let words = |piece: &Piece| -> Vec<Piece> {
                    let words = piece.text.split_whitespace();
                    let is_first = piece.is_first && !piece.text.starts_with(char::is_whitespace);
                    let piece = |(at, word): (usize, &str)| Piece {
                        text: word.to_owned(),
                        is_first: is_first && at == 0,
                    };
                    words.enumerate().map(piece).collect()
                };
                pieces.iter().flat_map(words).collect()
            }
            Self::Metaspace { sign, prepend, is_cut } => {
                let cut = |piece: Piece| metaspace(piece, sign, *prepend, *is_cut);
                pieces.into_iter().flat_map(cut).collect()
            }
        }
    }
}

fn metaspace(piece: Piece, sign: &str, prepend: Prepend, is_cut: bool) -> Vec<Piece> {
    let mut text = piece.text.replace(' ', sign);
    let is_prepended = match prepend {
        Prepend::Always => true,
        Prepend::First => piece.is_first,
        Prepend::Never => false,
    };
    if is_prepended && !text.is_empty() && !text.starts_with(sign) {
        text.insert_str(0, sign);
    }
    if !is_cut {
        return vec![Piece { text, ..piece }];
    }
    let starts = text.match_indices(sign).map(|(at, _)| at).filter(|&at| at > 0);
    let starts: Vec<usize> = [0].into_iter().chain(starts).collect();
    let ends = starts[1..].iter().copied().chain([text.len()]);
    let piece = |(start, end): (&usize, usize)| Piece {
        text: text[*start..end].to_owned(),
        is_first: piece.is_first && *start == 0,
    };
    starts.iter().zip(ends).map(piece).filter(|piece| !piece.text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pieces(value: Value, text: &str) -> Vec<String> {
        let piece = Piece { text: text.to_owned(), is_first: true };
        let pieces = Splitter::parse(&value).unwrap().apply(vec![piece]);
        pieces.into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn cuts_in_every_spelling() {
        let old = json!({"type": "Metaspace", "replacement": "_", "add_prefix_space": true});
        let none = json!({"type": "Metaspace", "replacement": "_", "add_prefix_space": false});
        let whole = json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first",
            "split": false});
        let words =
            json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, whole]});
        assert_eq!(pieces(old.clone(), "a  b "), ["_a", "_", "_b", "_"]);
        assert_eq!(pieces(old.clone(), " a"), ["_a"]);
        assert_eq!(pieces(old, ""), [""; 0]);
        assert_eq!(pieces(none, "a b"), ["a", "_b"]);
        assert_eq!(pieces(whole, "a b"), ["_a_b"]);
        assert_eq!(pieces(words.clone(), "a\t b\u{a0}c"), ["_a", "b", "c"]);
        assert_eq!(pieces(words, " a"), ["a"]);
        assert_eq!(pieces(Value::Null, "a b"), ["a b"]);
    }

    #[test]
    fn refuses_others_by_name() {
        for (value, word) in [
            (json!({"type": "ByteLevel"}), "ByteLevel"),
            (json!({"type": "Metaspace", "replacement": "ab"}), "replacement"),
            (json!({"type": "Metaspace", "replacement": "a", "prepend_scheme": "last"}), "last"),
            (json!({"type": "Sequence"}), "Sequence"),
            (json!([]), "null"),
        ] {
            let line = Splitter::parse(&value).unwrap_err();
            assert!(line.contains(word), "{line}");
        }
    }
}
