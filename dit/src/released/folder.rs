//! The files of a released model: recognised by what they hold.

use super::Family;
use crate::codec::vae::Sizes;
use crate::config::ModelConfig;
use crate::model::{Transformer, expected_parameters};
use crate::text::{self, Computation, TextEncoder};
use crate::weights::names::{Known, official};
use crate::weights::{Checkpoint, assign, assign_lazily};
use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use vincie_autograd::Parameters;
use vincie_tensor::Accelerator;

/// Names under which the transformer is looked for, without their endings.
const TRANSFORMERS: [&str; 2] = ["dit", "ema"];
/// Names of the autoencoder.
const AUTOENCODERS: [&str; 2] = ["vae", "ema_vae"];
/// Names of the text encoder's folder.
const ENCODERS: [&str; 2] = ["llm14b", "flan-ul2"];
/// Endings of checkpoints in the order in which they are preferred.
const ENDINGS: [&str; 4] = ["safetensors.index.json", "safetensors", "pth", "pt"];

/// A folder with a released model.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// Which model it holds.
    pub family: Family,
    /// File of the transformer.
    pub transformer: PathBuf,
    /// File of the autoencoder.
    pub autoencoder: PathBuf,
    /// Folder of the text encoder.
    pub encoder: PathBuf,
    /// Sizes of the transformer.
    pub config: ModelConfig,
    /// Sizes of the autoencoder.
    pub sizes: Sizes,
}

impl Folder {
    /// Whether the folder holds a file under a released transformer's or autoencoder's name.
    pub fn is_released(path: &Path) -> bool {
        find(path, &TRANSFORMERS).is_some() || find(path, &AUTOENCODERS).is_some()
    }

    /// Recognises a folder by its files and the names and shapes in them; no value is read. `Err` is
    /// one line that says what is missing or does not fit together.
    pub fn open(path: &Path) -> Result<Self> {
        let need = |what: &str, names: &[&str]| {
            find(path, names).ok_or_else(|| {
                let files: Vec<String> =
                    names.iter().map(|name| format!("{name}.pth or {name}.safetensors")).collect();
                Error::format(path, format!("has no {what}: {}", files.join(", ")))
            })
        };
        let transformer = need("transformer", &TRANSFORMERS)?;
        let autoencoder = need("autoencoder", &AUTOENCODERS)?;
        let encoder = ENCODERS.iter().map(|name| path.join(name)).find(|path| path.is_dir());
        let encoder = encoder.ok_or_else(|| {
            Error::format(path, format!("has no text encoder: {}", ENCODERS.join(" or ")))
        })?;
        let config = match Known::of(&official(Checkpoint::open(&transformer)?)?)? {
            Known::Transformer(config) => config,
            other => return Err(mistaken(&transformer, "transformer", &other)),
        };
        let known = Known::of(&official(Checkpoint::open(&autoencoder)?)?)?;
        let sizes =
            Sizes::of(&known).ok_or_else(|| mistaken(&autoencoder, "autoencoder", &known))?;
        let family = match sizes {
            Sizes::Eight(_) => Family::ThreeB,
            Sizes::Sixteen(_) => Family::SevenB,
        };
        if sizes.latent() != config.visual_out {
            let what = format!(
                "does not fit together: the transformer works on {} channels, the autoencoder has {}",
                config.visual_out,
                sizes.latent()
            );
            return Err(Error::format(path, what));
        }
        let path = path.to_owned();
        Ok(Self { path, family, transformer, autoencoder, encoder, config, sizes })
    }

    /// Pixels that sides of pictures are multiples of.
    pub fn multiple(&self) -> usize {
        self.sizes.factor() * self.config.patch
    }

    /// The text encoder, which computes at `place`. Its weights stay mapped.
    pub fn text_encoder(&self, place: Option<&Accelerator>) -> Result<Box<dyn TextEncoder>> {
        text::open(&self.encoder, Computation { place: place.cloned(), dtype: None })
    }

    /// The autoencoder's weights under their official names, mapped.
    pub fn autoencoder_weights(&self) -> Result<Parameters> {
        let file = official(Checkpoint::open(&self.autoencoder)?)?;
        let mut parameters = Parameters::new();
        assign(&file, &Known::of(&file)?.expected(), None, &mut parameters)?;
        Ok(parameters)
    }

    /// The transformer and its weights, mapped: nothing of them is read before it is used.
    pub fn transformer(&self) -> Result<(Transformer, Parameters)> {
        let file = official(Checkpoint::open(&self.transformer)?)?;
        let mut parameters = Parameters::new();
        assign_lazily(&file, &expected_parameters(&self.config), &mut parameters)?;
        Ok((Transformer::bind(self.config.clone(), &parameters)?, parameters))
    }
}

fn mistaken(path: &Path, wanted: &str, found: &Known) -> Error {
    Error::format(path, format!("holds another model: {found}; expected the {wanted}"))
}

/// The first file of one of these names.
fn find(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let files = names
        .iter()
        .flat_map(|name| ENDINGS.iter().map(move |ending| folder.join(format!("{name}.{ending}"))));
    files.into_iter().find(|file| fs::metadata(file).is_ok_and(|data| data.is_file()))
}
