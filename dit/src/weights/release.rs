//! Folders in the layout of the released models: which parts are there, whether they are whole, and what
//! running them takes.

use super::fresh::{Part, Release};
use super::names::{Known, official};
use super::{Checkpoint, Mismatches};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Endings under which a part may lie; the empty one is a folder.
const ENDINGS: [&str; 4] = ["", ".pth", ".safetensors", ".safetensors.index.json"];

/// Files with the tokenizer of a text encoder, any one of which is enough.
const TOKENIZERS: [&[&str]; 2] = [&["qwen.tiktoken"], &["tokenizer.json", "spiece.model"]];

/// What a folder holds of a released model.
#[derive(Debug)]
pub struct Survey {
    /// Which model it is.
    pub release: Release,
    /// Its parts in the order in which they are used: text, autoencoder, transformer.
    pub parts: Vec<Found>,
}

/// A part of the model.
#[derive(Debug)]
pub struct Found {
    /// Which.
    pub part: Part,
    /// Where it lies, or would be looked for.
    pub path: PathBuf,
    /// The model with its weights, or why it cannot be used: one line, or a table below one.
    pub outcome: Result<Weights, String>,
}

/// The weights of a part that is whole.
#[derive(Debug)]
pub struct Weights {
    /// The model that the shapes tell.
    pub model: Known,
    /// Tensors that are used.
    pub tensors: usize,
    /// Values in them.
    pub values: u64,
    /// Their bytes in the files.
    pub bytes: u64,
    /// Bytes of the largest layer, in the files: what is needed at a time where layers are streamed.
    pub largest_layer: u64,
}

impl Release {
    /// Where a part lies in a folder: under its name in the release or another ending.
    pub fn find(self, folder: &Path, part: Part) -> Option<PathBuf> {
        let name = self.file(part).trim_end_matches(".pth");
        let paths = ENDINGS.iter().map(|ending| folder.join(format!("{name}{ending}")));
        paths.into_iter().find(|path| path.exists())
    }

    /// Which release a folder is laid out as. `Err` where it has parts of none, or of both.
    pub fn of(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::format(folder, "is no folder"));
        }
        let has = |release: &Self| {
            let parts = [Part::Dit, Part::Vae, Part::Text];
            parts.into_iter().any(|part| release.find(folder, part).is_some())
        };
        let found: Vec<Self> = [Self::Three, Self::Seven].into_iter().filter(has).collect();
        match found.as_slice() {
            [release] => Ok(*release),
            [] => Err(Error::format(
                folder,
                "is laid out as no released model; expected dit.pth, vae.pth and llm14b/ (3B) or \
                 ema.pth, ema_vae.pth and flan-ul2/ (7B)",
            )),
            _ => {
                Err(Error::format(folder, "has parts of the 3B and of the 7B; expected one model"))
            }
        }
    }
}

/// Looks at a folder: headers only, no values.
pub fn survey(folder: &Path) -> Result<Survey> {
    let release = Release::of(folder)?;
    let parts = [Part::Text, Part::Vae, Part::Dit].map(|part| {
        let found = release.find(folder, part);
        let path = found.clone().unwrap_or_else(|| folder.join(release.file(part)));
        let outcome = match found {
            None => Err("missing".to_owned()),
            Some(path) => weights(&path, part).map_err(|error| error.to_string()),
        };
        Found { part, path, outcome }
    });
    Ok(Survey { release, parts: parts.into() })
}

/// Opens a part and compares it with what its model needs.
fn weights(path: &Path, part: Part) -> Result<Weights> {
    let checkpoint = official(Checkpoint::open(path)?)?;
    let model = Known::of(&checkpoint)?;
    let fits = matches!(
        (&model, part),
        (Known::Transformer(_), Part::Dit)
            | (Known::Vae8(_) | Known::Vae16(_), Part::Vae)
            | (Known::Qwen(_) | Known::T5(_), Part::Text)
    );
    if !fits {
        return Err(Error::format(path, format!("holds another part: {model}")));
    }
    let expected = model.expected();
    let mismatches = Mismatches::between(&checkpoint, &expected);
    if !mismatches.0.is_empty() {
        return Err(Error::format(path, mismatches.to_string()));
    }
    if part == Part::Text {
        let names = TOKENIZERS[usize::from(matches!(model, Known::T5(_)))];
        if !names.iter().any(|name| path.join(name).is_file()) {
            return Err(Error::format(path, format!("has no tokenizer: {}", names.join(" or "))));
        }
    }
    let bytes = |name: &str| checkpoint.bytes(name) as u64;
    let mut layers = std::collections::BTreeMap::<usize, u64>::new();
    for (name, ..) in &expected {
        let number = name.split('.').find_map(|part| part.parse::<usize>().ok());
        *layers.entry(number.unwrap_or(usize::MAX)).or_default() += bytes(name);
    }
    layers.remove(&usize::MAX);
    Ok(Weights {
        tensors: expected.iter().filter(|(name, ..)| checkpoint.shape(name).is_some()).count(),
        values: expected.iter().map(|(_, shape, _)| shape.count() as u64).sum(),
        bytes: expected.iter().map(|(name, ..)| bytes(name)).sum(),
        largest_layer: layers.into_values().max().unwrap_or(0),
        model,
    })
}
