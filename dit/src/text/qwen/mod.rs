//! The text encoder of the 3B model: the first generation of Qwen (VINCIE 3B specification, section 3).

mod config;
mod merge;
mod model;
mod split;
mod tokenizer;

#[cfg(test)]
pub(crate) mod tests;

pub use config::Config;
pub use model::Model;
pub use tokenizer::{MAX_TOKENS, Tokenizer, with_end};

use super::folder::Folder;
use super::{Computation, Fingerprint, Progress, TextEncoder, split_rows};
use crate::Result;
use std::path::Path;
use vincie_tensor::Tensor;

/// Tokenizer and network.
#[derive(Debug)]
pub struct Qwen {
    tokenizer: Tokenizer,
    model: Model,
    fingerprint: Fingerprint,
}

impl Qwen {
    /// Opens a folder with `qwen.tiktoken`, weights and, where there is one, `config.json`. Nothing of
    /// the weights is read before prompts are encoded, and then a layer at a time.
    pub fn open(folder: &Path, computation: Computation) -> Result<Self> {
        let folder = Folder::open(folder, &["qwen.tiktoken"])?;
        let tokenizer = Tokenizer::open(&folder.tokenizer)?;
        let checkpoint = folder.weights()?;
        let config = Config::new(&folder.config()?, &checkpoint)?;
        let model = Model::new(config, checkpoint, computation)?;
        let fingerprint = folder.fingerprint(&format!("qwen {}", model.dtype()))?;
        Ok(Self { tokenizer, model, fingerprint })
    }
}

impl TextEncoder for Qwen {
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
            progress(layer + 1, layers);
            Ok(())
        })?;
        split_rows(&features, &tokens)
    }
}
