//! Golden numbers: checks a folder of cases (`manifest.json`, safetensors files) against this code.
//!
//! A checker works from a case's kind, its configuration and the names of its tensors; file names
//! carry no meaning. Every expected tensor of a case is compared, or the case fails.

mod autoencoder;
mod case;
mod compare;
mod components;
mod dit;
mod image;
mod manifest;
mod pth;
mod rope;
mod sampler;
mod session;
mod text;
mod tokenizer;

use crate::Result;
use serde::Serialize;
use std::path::Path;
use vincie_tensor::{Accelerator, DType};

pub use case::{CaseReport, Status, TensorReport};
pub use manifest::{Case, Manifest};

/// All cases of a folder.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One entry a case, in the manifest's order.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// Cases with that status.
    pub fn count(&self, status: Status) -> usize {
        self.cases.iter().filter(|case| case.status == status).count()
    }
}

/// What is run, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The only case, by its name; all cases where there is none.
    pub only: Option<String>,
    /// The device that computes; the host where there is none.
    pub place: Option<Accelerator>,
    /// Type that weights and activations are stored in, f32 or bf16. What is computed in bf16 is
    /// allowed a deviation of [`BF16_TOLERANCE`] in place of the manifest's, gradients of
    /// [`BF16_GRADIENT_TOLERANCE`].
    pub dtype: DType,
}

/// Deviation, relative to a tensor's largest value, of results and intermediate values that are
/// computed in bf16.
pub const BF16_TOLERANCE: f64 = 2e-2;

/// The same of gradients. Those of the weights of head norms are small differences of large sums
/// over all tokens, which the rounding of queries, keys and values shows in: up to 3.1e-2 in the
/// golden cases, where all others stay below 2e-2.
pub const BF16_GRADIENT_TOLERANCE: f64 = 4e-2;

impl Default for Options {
    fn default() -> Self {
        Self { only: None, place: None, dtype: DType::F32 }
    }
}

/// Runs the cases of `folder`; `progress` sees each as it is done.
pub fn run(
    folder: &Path,
    options: &Options,
    mut progress: impl FnMut(&CaseReport),
) -> Result<Report> {
    let only = options.only.as_deref();
    let manifest = Manifest::read(folder)?;
    let chosen: Vec<&Case> =
        manifest.cases.iter().filter(|case| only.is_none_or(|name| case.name == name)).collect();
    if let (Some(name), true) = (only, chosen.is_empty()) {
        let names: Vec<&str> = manifest.cases.iter().map(|case| case.name.as_str()).collect();
        return Err(crate::Error::invalid(format!(
            "verify: no case '{name}'; the folder has {}",
            names.join(", ")
        )));
    }
    let mut cases = Vec::with_capacity(chosen.len());
    for case in chosen {
        let report = check(folder, case, options);
        progress(&report);
        cases.push(report);
    }
    Ok(Report { cases })
}

/// Runs one case. A failure to read or compute is a failed case, not a failed run.
fn check(folder: &Path, case: &Case, options: &Options) -> CaseReport {
    let mut checker = case::Checker::new(folder, case, options);
    let outcome = match case.kind.as_str() {
        "dit" => dit::check(&mut checker),
        "rope" => rope::check(&mut checker),
        "modulation" => components::modulation(&mut checker),
        "time_embedding" => components::time_embedding(&mut checker),
        "patch" => components::patch(&mut checker),
        "swiglu" => components::swiglu(&mut checker),
        "vae8" => autoencoder::check(&mut checker, true),
        "vae16" => autoencoder::check(&mut checker, false),
        "vae16_inflate" => autoencoder::check_inflation(&mut checker),
        "session" => session::check(&mut checker),
        "image" => image::check(&mut checker),
        "sampler" => sampler::check(&mut checker),
        "pth" => pth::check(&mut checker),
        "text_qwen" => text::qwen(&mut checker),
        "text_t5" => text::t5(&mut checker),
        "tokenizer_qwen" => tokenizer::qwen(&mut checker),
        "tokenizer_t5" => tokenizer::t5(&mut checker),
        _ => return checker.unsupported(),
    };
    checker.finish(outcome)
}
