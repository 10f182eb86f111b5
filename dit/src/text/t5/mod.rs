//! The text encoder of the 7B model: the encoder half of Flan-UL2, a T5 (VINCIE 7B page, section 3).

mod config;
mod model;
mod tokenizer;

pub use config::{Config, Gate};
pub use model::Model;
pub use tokenizer::Tokenizer;
#[cfg(test)]
pub(crate) use tokenizer::tests;

use super::folder::Folder;
use super::{Computation, Fingerprint, Progress, TextEncoder, split_rows};
use crate::Result;
use std::path::Path;
use vincie_tensor::Tensor;

/// Most tokens of a prompt, its end token included.
pub const MAX_TOKENS: usize = 150;

/// Tokenizer and network.
#[derive(Debug)]
pub struct FlanUl2 {
    tokenizer: Tokenizer,
    model: Model,
    fingerprint: Fingerprint,
}

impl FlanUl2 {
    /// Opens a folder with `tokenizer.json` or, where there is none, `spiece.model`, with weights and,
    /// where there is one, `config.json`. Nothing of the weights is read before prompts are encoded, and
    /// then a layer at a time.
    pub fn open(folder: &Path, computation: Computation) -> Result<Self> {
        let folder = Folder::open(folder, &["tokenizer.json", "spiece.model"])?;
        let tokenizer = Tokenizer::open(&folder.tokenizer)?;
        let (checkpoint, config) = (folder.weights()?, folder.config()?);
        let model = Model::new(Config::new(&config, &checkpoint)?, checkpoint, computation)?;
        let fingerprint = folder.fingerprint(&format!("t5 {}", model.dtype()))?;
        Ok(Self { tokenizer, model, fingerprint })
    }
}

impl TextEncoder for FlanUl2 {
    fn dim(&self) -> usize {
        self.model.config().dim
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn tokens(&self, prompt: &str) -> Result<Vec<u32>> {
        self.tokenizer.prompt(prompt, MAX_TOKENS)
    }

    fn encode(&self, prompts: &[&str], progress: Progress<'_>) -> Result<Vec<Tensor>> {
        if prompts.is_empty() {
            return Ok(Vec::new());
        }
        let tokens: Vec<Vec<u32>> =
            prompts.iter().map(|prompt| self.tokens(prompt)).collect::<Result<_>>()?;
        let layers = self.model.config().layers;
        let features = self.model.forward(&tokens, |layer, _| {
            progress(layer, layers);
            Ok(())
        })?;
        progress(layers, layers);
        split_rows(&features, &tokens)
    }
}
