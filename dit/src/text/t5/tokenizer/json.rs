//! The `tokenizer.json` files of fast tokenizers.

use super::added::{Added, AddedTokens};
use super::normalizer::Normalizer;
use super::split::Splitter;
use super::unigram::{self, Unigram};
use super::{Pipeline, Tokenizer};
use serde::Deserialize;
use serde_json::Value;

/// The parts that are read. Truncation and padding are the caller's; the decoder is not needed.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    unk_id: Option<usize>,
    vocab: Value,
    #[serde(default)]
    byte_fallback: bool,
}

/// Reads the file's bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Tokenizer, String> {
    let document: Document = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let kind = document.model.kind.as_deref().unwrap_or("without type");
    if kind != "Unigram" {
        return Err(format!("model {kind:?} is not known; expected Unigram"));
    }
    if document.model.byte_fallback {
        return Err("model: byte_fallback is not known; expected a model without it".to_owned());
    }
    let pieces: Vec<(String, f64)> = serde_json::from_value(document.model.vocab)
        .map_err(|e| format!("model: vocab holds no pairs of piece and score: {e}"))?;
    let piece = |(text, score): (String, f64)| unigram::Piece {
        text,
        score,
        is_searched: true,
        is_user_defined: false,
    };
    let pieces = pieces.into_iter().map(piece).collect();
    let model = Unigram::new(pieces, document.model.unk_id, false)
        .map_err(|what| format!("model: {what}"))?;
    for added in &document.added_tokens {
        let piece = model.piece(&added.content);
        if piece.is_some_and(|piece| piece != added.id) {
            let Added { content, id, .. } = added;
            return Err(format!("added token {content:?} has id {id}; its piece has another"));
        }
    }
    let normalizer = Normalizer::parse(&document.normalizer)?;
    let (in_normal, in_text): (Vec<Added>, Vec<Added>) =
        document.added_tokens.into_iter().partition(|added| added.normalized);
    let normalize = |mut added: Added| {
        added.content = normalizer.apply(&added.content);
        added
    };
    let in_normal = AddedTokens::new(in_normal.into_iter().map(normalize).collect())?;
    let (before, after) = template(&document.post_processor)?;
    Ok(Tokenizer {
        added: AddedTokens::new(in_text)?,
        pipeline: Pipeline::Fast {
            normalizer,
            added: in_normal,
            splitter: Splitter::parse(&document.pre_tokenizer)?,
        },
        model,
        before,
        after,
    })
}

/// Tokens before and behind a text.
fn template(value: &Value) -> Result<(Vec<u32>, Vec<u32>), String> {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    if value.is_null() {
        return Ok((before, after));
    }
    if value["type"] != "TemplateProcessing" {
        let kind = &value["type"];
        return Err(format!("post_processor {kind} is not known; expected TemplateProcessing"));
    }
    let parts = value["single"].as_array().ok_or("post_processor: no template for one text")?;
    let mut has_text = false;
    for part in parts {
        if part["Sequence"].is_object() && !has_text {
            has_text = true;
            continue;
        }
        let name = part["SpecialToken"]["id"].as_str();
        let ids = name.and_then(|name| value["special_tokens"][name]["ids"].as_array());
        let ids = ids.and_then(|ids| {
            ids.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect()
        });
        let ids: Vec<u32> = ids.ok_or_else(|| {
            format!("post_processor: {part} is not known; expected one text and special tokens")
        })?;
        if has_text { &mut after } else { &mut before }.extend(ids);
    }
    if !has_text {
        return Err("post_processor: the template has no text".to_owned());
    }
    Ok((before, after))
}
