//! Instructions to features: the seam that makes the small models and the released ones one code.
//!
//! A [`TextEncoder`] answers prompts with features, each prompt on its own. [`Words`] reads them from
//! the table that a small model trained; [`qwen`] and [`t5`] are the encoders of the released models,
//! which [`open`] tells apart by their files. Their weights stay mapped and pass by layer by layer, and
//! [`Cached`] keeps features on disk.

mod base64;
mod cache;
mod encoder;
mod file;
mod folder;
pub mod qwen;
mod stream;
pub mod t5;
#[cfg(test)]
mod tests;
mod words;

pub use cache::{Cached, FeatureCache};
pub use encoder::{Fingerprint, Progress, TextEncoder};
pub use stream::Computation;
pub use words::{Special, Vocabulary, Words};

use crate::Result;
use std::path::Path;
use vincie_tensor::{DType, Tensor};

/// Opens the folder of a released text model: the one with `qwen.tiktoken` is a Qwen, any other a T5.
pub fn open(folder: &Path, computation: Computation) -> Result<Box<dyn TextEncoder>> {
    if folder.join("qwen.tiktoken").is_file() {
        return Ok(Box::new(qwen::Qwen::open(folder, computation)?));
    }
    Ok(Box::new(t5::FlanUl2::open(folder, computation)?))
}

/// Rows of all prompts `[N, dim]` as the rows of each, f32 on the host.
fn split_rows(features: &Tensor, prompts: &[Vec<u32>]) -> Result<Vec<Tensor>> {
    let features = features.to_host()?.to_dtype(DType::F32)?;
    let mut start = 0;
    let rows = |prompt: &Vec<u32>| {
        let rows = features.narrow(0, start, prompt.len())?.contiguous()?;
        start += prompt.len();
        Ok(rows)
    };
    prompts.iter().map(rows).collect()
}
