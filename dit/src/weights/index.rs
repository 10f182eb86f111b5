//! Checkpoints of several files: an index that says which tensor lies where, or a folder.

use super::Checkpoint;
use super::checkpoint::{Form, stripped};
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Largest index, bytes: a hundred thousand tensors.
const MAX_INDEX_BYTES: u64 = 32 << 20;

/// Most files of a checkpoint.
const MAX_FILES: usize = 4096;

/// Files that a folder of weights may have, in the order in which they are preferred.
const NAMES: [&str; 6] = [
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
];

/// An index as the `transformers` library writes it.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens all files of an index. `Err` when one of them lacks a tensor that the index says it has.
pub(super) fn open(path: &Path) -> Result<Checkpoint> {
    let io = |source| Error::io(path, source);
    let bytes = fs::metadata(path).map_err(io)?.len();
    if bytes > MAX_INDEX_BYTES {
        let what = format!("{bytes} bytes long; an index has at most {MAX_INDEX_BYTES}");
        return Err(Error::format(path, what));
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|e| Error::format(path, format!("is no index of tensors: {e}")))?;
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    if shards.len() > MAX_FILES || shards.is_empty() {
        let what = format!("names {} files; expected 1 to {MAX_FILES}", shards.len());
        return Err(Error::format(path, what));
    }
    let owner: BTreeMap<String, &String> =
        index.weight_map.iter().map(|(name, shard)| (stripped(name), shard)).collect();
    let mut all = Checkpoint::new(path, Form::Sharded, Vec::new());
    for shard in shards {
        // An index speaks of files beside it; a path could lead anywhere.
        if Path::new(shard).file_name().is_none_or(|name| name != shard.as_str()) {
            return Err(Error::format(
                path,
                format!("names '{shard}', which is no file beside it"),
            ));
        }
        let part = open_part(&path.with_file_name(shard))?;
        let belongs = |name: &str| owner.get(name).is_none_or(|file| *file == shard);
        all.absorb(part.renamed(|name| belongs(name).then(|| name.to_owned()))?)?;
    }
    let lost = owner.iter().find(|(name, _)| all.shape(name).is_none());
    if let Some((name, shard)) = lost {
        return Err(Error::format(
            path,
            format!("says that {shard} holds {name}, which it does not"),
        ));
    }
    Ok(all)
}

/// Opens a single file.
fn open_part(path: &Path) -> Result<Checkpoint> {
    match Form::of(path)? {
        Some(Form::Safetensors | Form::Torch) => Checkpoint::open(path),
        _ => {
            Err(Error::format(path, "is no file of tensors; expected safetensors or a torch file"))
        }
    }
}

/// Opens what a folder of weights holds: an index, a single file, or all `.safetensors` or else all
/// `.bin` files.
pub(super) fn open_folder(path: &Path) -> Result<Checkpoint> {
    if let Some(file) = NAMES.iter().map(|name| path.join(name)).find(|file| file.is_file()) {
        return Checkpoint::open(&file);
    }
    let io = |source| Error::io(path, source);
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
        files.push(entry.map_err(io)?.path());
    }
    files.sort();
    let with = |extension: &str| -> Vec<&PathBuf> {
        let has = |file: &&PathBuf| file.extension().is_some_and(|found| found == extension);
        files.iter().filter(has).collect()
    };
    let parts = ["safetensors", "bin"].map(with).into_iter().find(|parts| !parts.is_empty());
    let Some(parts) = parts.filter(|parts| parts.len() <= MAX_FILES) else {
        let what =
            format!("holds no weights; expected {}, or .safetensors files", NAMES.join(", "));
        return Err(Error::format(path, what));
    };
    if let [only] = parts.as_slice() {
        return Checkpoint::open(only);
    }
    let mut all = Checkpoint::new(path, Form::Sharded, Vec::new());
    for part in parts {
        all.absorb(open_part(part)?)?;
    }
    Ok(all)
}
