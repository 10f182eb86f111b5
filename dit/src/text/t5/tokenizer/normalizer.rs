//! What happens to a text before it is cut, as `tokenizer.json` writes it.

use super::charsmap::CharacterMap;
use super::pattern::Pattern;
use crate::text::base64;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Longest grapheme, in bytes, that is looked up as a whole.
const MAX_GRAPHEME: usize = 5;

/// A step of the text's way to normal form.
#[derive(Clone, Debug)]
pub(super) enum Normalizer {
    Sequence(Vec<Normalizer>),
    Precompiled(CharacterMap),
    Replace { pattern: Pattern, content: String },
    Strip { left: bool, right: bool },
    Prepend(String),
    Lowercase,
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
}

impl Normalizer {
    /// Reads a `normalizer` entry, which may be `null`.
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(Self::Sequence(Vec::new()));
        }
        let text = |name: &str| {
            let found = value[name].as_str();
            found.ok_or_else(|| format!("normalizer: {name} is {}; expected a text", value[name]))
        };
        let kind = text("type")?;
        Ok(match kind {
            "Sequence" => {
                let all =
                    value["normalizers"].as_array().ok_or("normalizer: Sequence of nothing")?;
                Self::Sequence(all.iter().map(Self::parse).collect::<Result<_, _>>()?)
            }
            "Precompiled" => {
                let bytes = base64::decode(text("precompiled_charsmap")?.as_bytes());
                Self::Precompiled(CharacterMap::parse(
                    &bytes.ok_or("normalizer: precompiled_charsmap is no base64")?,
                )?)
            }
            "Replace" => {
                let content = text("content")?.to_owned();
                let pattern = &value["pattern"];
                let pattern = match (pattern["String"].as_str(), pattern["Regex"].as_str()) {
                    (Some(literal), None) => Pattern::literal(literal),
                    (None, Some(regex)) => Pattern::regex(regex),
                    _ => Err(format!("{pattern}; expected String or Regex")),
                };
                let pattern = pattern.map_err(|what| format!("normalizer: Replace: {what}"))?;
                Self::Replace { pattern, content }
            }
            "Strip" => {
                let side = |name: &str| {
                    let found = value[name].as_bool();
                    found.ok_or_else(|| format!("normalizer: Strip has no {name}"))
                };
                Self::Strip { left: side("strip_left")?, right: side("strip_right")? }
            }
            "Prepend" => Self::Prepend(text("prepend")?.to_owned()),
            "Lowercase" => Self::Lowercase,
            "NFC" => Self::Nfc,
            "NFD" => Self::Nfd,
            "NFKC" => Self::Nfkc,
            "NFKD" => Self::Nfkd,
            _ => {
                return Err(format!(
                    "normalizer {kind:?} is not known; expected Sequence, Precompiled, Replace, Strip, \
                     Prepend, Lowercase, NFC, NFD, NFKC or NFKD"
                ));
            }
        })
    }

    pub(super) fn apply(&self, text: &str) -> String {
        match self {
            Self::Sequence(all) => {
                all.iter().fold(text.to_owned(), |text, normalizer| normalizer.apply(&text))
            }
            Self::Precompiled(map) => precompiled(map, text),
            Self::Replace { pattern, content } => pattern.replace(text, content),
            Self::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { text };
                let text = if *right { text.trim_end() } else { text };
                text.to_owned()
            }
            Self::Prepend(prefix) if text.is_empty() => prefix[..0].to_owned(),
            Self::Prepend(prefix) => format!("{prefix}{text}"),
            Self::Lowercase => text.to_lowercase(),
            Self::Nfc => text.nfc().collect(),
            Self::Nfd => text.nfd().collect(),
            Self::Nfkc => text.nfkc().collect(),
            Self::Nfkd => text.nfkd().collect(),
        }
    }
}

/// Applies a character map as the fast tokenizers do: a short grapheme is replaced as a whole by the
/// form of the shortest string that it begins with, any other character by character. Sentencepiece
/// itself looks for the longest string at every place.
fn precompiled(map: &CharacterMap, text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for grapheme in text.graphemes(true) {
        let whole = (grapheme.len() <= MAX_GRAPHEME).then(|| map.shortest(grapheme)).flatten();
        if let Some(form) = whole {
            result.push_str(form);
            continue;
        }
        for c in grapheme.chars() {
            match map.shortest(c.encode_utf8(&mut [0; 4])) {
                Some(form) => result.push_str(form),
                None => result.push(c),
            }
        }
    }
    result
}
