//! Kinds `tokenizer_qwen` and `tokenizer_t5`: texts and the numbers of their tokens.

use super::case::Checker;
use crate::text::{qwen, t5};
use crate::{Error, Result};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// Most bytes of a file of cases.
const MAX_CASES: u64 = 64 << 20;

/// The file of a role that the kind needs.
fn need(checker: &Checker<'_>, role: &str) -> Result<PathBuf> {
    let path = checker.path(role);
    path.ok_or_else(|| Error::invalid(format!("the case has no file in the role {role}")))
}

fn json(checker: &Checker<'_>, role: &str) -> Result<Value> {
    let path = need(checker, role)?;
    let length = fs::metadata(&path).map_err(|source| Error::io(&path, source))?.len();
    if length > MAX_CASES {
        return Err(Error::format(&path, format!("{length} bytes; expected at most {MAX_CASES}")));
    }
    let bytes = fs::read(&path).map_err(|source| Error::io(&path, source))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::format(&path, e.to_string()))
}

/// The entries of a list of cases, which may be absent.
fn list<'v>(cases: &'v Value, name: &str) -> &'v [Value] {
    cases[name].as_array().map_or(&[], Vec::as_slice)
}

fn text(case: &Value) -> Result<&str> {
    case["text"].as_str().ok_or_else(|| Error::invalid("a case has no text"))
}

fn ids(value: &Value) -> Result<Vec<f64>> {
    let ids = value.as_array().and_then(|ids| ids.iter().map(Value::as_f64).collect());
    ids.ok_or_else(|| Error::invalid("a case has no list of ids"))
}

fn floats(tokens: Vec<u32>) -> Vec<f64> {
    tokens.into_iter().map(f64::from).collect()
}

/// Bytes merged by rank, with the case's special strings; and prompts of the released vocabulary where
/// the case's vocabulary is that one.
pub(super) fn qwen(checker: &mut Checker<'_>) -> Result<()> {
    let cases = json(checker, "cases")?;
    let path = need(checker, "vocabulary")?;
    let released = qwen::Tokenizer::open(&path)?;
    let specials = cases["special_tokens"].as_object().map(|specials| {
        let pair = |(name, id): (&String, &Value)| {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| Error::invalid(format!("special token {name} has no id")))?;
            Ok((name.clone(), id))
        };
        specials.iter().map(pair).collect::<Result<Vec<_>>>()
    });
    let tokenizer = match specials {
        Some(specials) => released.clone().with_specials(specials?, released.end()),
        None => released.clone(),
    };
    for (i, case) in list(&cases, "cases").iter().enumerate() {
        let ours = floats(tokenizer.encode(text(case)?)?);
        checker.lists(&format!("cases.{i}"), ours, ids(&case["ids"])?)?;
    }
    let hash = vincie_data::decode::sha256_file(&path)?;
    if cases["qwen_vocab_sha256"] == hash.as_str() {
        for (i, case) in list(&cases, "qwen_cases").iter().enumerate() {
            let ours = floats(released.prompt(text(case)?, qwen::MAX_TOKENS)?);
            checker.lists(&format!("qwen_cases.{i}"), ours, ids(&case["ids"])?)?;
        }
    }
    Ok(())
}

/// The pipeline of `tokenizer.json` and its variants, and the sentencepiece model.
pub(super) fn t5(checker: &mut Checker<'_>) -> Result<()> {
    let cases = json(checker, "cases")?;
    let document = json(checker, "tokenizer")?;
    let limit = cases["max_length"].as_u64().unwrap_or(t5::MAX_TOKENS as u64) as usize;
    let tokenizer = t5::Tokenizer::open(&need(checker, "tokenizer")?)?;
    let map = character_map(&document["normalizer"]);
    let mut variants = Vec::new();
    for (name, parts) in cases["variants"].as_object().into_iter().flatten() {
        let mut document = document.clone();
        for part in ["normalizer", "pre_tokenizer"] {
            document[part] = parts[part].clone();
            if let Some(map) = &map {
                put_character_map(&mut document[part], map);
            }
        }
        let variant = t5::Tokenizer::from_json(document.to_string().as_bytes());
        variants.push((name, variant.map_err(|what| Error::invalid(format!("{name}: {what}")))?));
    }
    let sentencepiece =
        checker.path("spiece").map(|path| t5::Tokenizer::open(&path)).transpose()?;
    for (i, case) in list(&cases, "cases").iter().enumerate() {
        let text = text(case)?;
        for (key, golden) in case.as_object().into_iter().flatten() {
            let name = format!("cases.{i}.{key}");
            match (key.as_str(), &sentencepiece) {
                ("text", _) => {}
                ("variants", _) => {
                    for (key, golden) in golden.as_object().into_iter().flatten() {
                        let variant = variants.iter().find(|(name, _)| *name == key);
                        let (_, variant) = variant.ok_or_else(|| {
                            Error::invalid(format!("{name}: there is no variant {key}"))
                        })?;
                        let ours = floats(variant.encode(text)?);
                        checker.lists(&format!("{name}.{key}"), ours, ids(golden)?)?;
                    }
                }
                ("sentencepiece", Some(model)) => {
                    checker.lists(&name, floats(model.encode(text)?), ids(golden)?)?;
                }
                (key, _) if key.starts_with("ids") => {
                    checker.lists(&name, floats(tokenizer.prompt(text, limit)?), ids(golden)?)?;
                }
                _ => return Err(Error::invalid(format!("{name} is not known"))),
            }
        }
    }
    Ok(())
}

/// The character map of a normalizer or one of its parts.
fn character_map(value: &Value) -> Option<Value> {
    match &value["precompiled_charsmap"] {
        Value::String(map) => Some(Value::String(map.clone())),
        _ => value["normalizers"].as_array()?.iter().find_map(character_map),
    }
}

/// Variants name the tokenizer's character map instead of repeating it.
fn put_character_map(value: &mut Value, map: &Value) {
    if value["precompiled_charsmap"].as_str().is_some_and(|name| name.starts_with('<')) {
        value["precompiled_charsmap"] = map.clone();
    }
    for part in value.get_mut("normalizers").and_then(Value::as_array_mut).into_iter().flatten() {
        put_character_map(part, map);
    }
}
