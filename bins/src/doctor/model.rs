//! `vincie doctor --model`: a folder of released weights, and what running it takes here.

use super::machine::Memory;
use crate::console::{Console, printable};
use crate::failure::Failure;
use crate::number::bytes;
use serde::Serialize;
use std::path::{Path, PathBuf};
use vincie_dit::config::ModelConfig;
use vincie_dit::weights::fresh::{Part, Release};
use vincie_dit::weights::names::Known;
use vincie_dit::weights::release::{Found, Weights, survey};

/// Side of the pictures that the estimate is for, and how many stand in a context.
const SIDE: u64 = 256;
const CONTEXT: u64 = 1;

/// Text tokens of a prompt.
const TEXT: u64 = 151;

/// What `--json` prints.
#[derive(Serialize)]
struct Answer {
    release: &'static str,
    is_whole: bool,
    available: Option<u64>,
    stages: Vec<Stage>,
}

/// A stage of editing with its part of the weights.
#[derive(Serialize)]
struct Stage {
    name: &'static str,
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<Needs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Memory of a stage, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Needs {
    tensors: usize,
    values: u64,
    /// In the files.
    weights: u64,
    /// For values on the way, about.
    working: u64,
    /// On the host when all weights stay in memory.
    host: u64,
    /// On the host when layers come from the file as they are used; the transformer and the encoder only.
    streamed: Option<u64>,
    /// On a device, with weights in bf16.
    device: u64,
}

pub(super) fn run(folder: &Path, is_json: bool, console: &Console) -> Result<(), Failure> {
    let survey = survey(folder)?;
    let available = Memory::look().usable();
    let stages: Vec<Stage> = survey.parts.iter().map(Stage::of).collect();
    let is_whole = stages.iter().all(|stage| stage.problem.is_none());
    let release = match survey.release {
        Release::Three => "VINCIE-3B",
        Release::Seven => "VINCIE-7B",
    };
    if is_json {
        console.json(&Answer { release, is_whole, available, stages })?;
    } else {
        console.line(format!("{release} in {}", printable(&folder.display().to_string())))?;
        for stage in &stages {
            stage.lines(available).into_iter().try_for_each(|line| console.line(line))?;
        }
        let memory = available.map_or("not known".to_owned(), bytes);
        console.line(format!("memory      {memory} available; sizes are for {SIDE} x {SIDE}"))?;
    }
    match is_whole {
        true => Ok(()),
        false => Err(Failure::Reported),
    }
}

impl Stage {
    fn of(found: &Found) -> Self {
        let name = match found.part {
            Part::Text => "text",
            Part::Vae => "autoencoder",
            Part::Dit => "transformer",
        };
        let path = found.path.clone();
        match &found.outcome {
            Ok(weights) => {
                let (model, needs) = (Some(weights.model.to_string()), Some(Needs::of(weights)));
                Self { name, path, model, needs, problem: None }
            }
            Err(problem) => {
                Self { name, path, model: None, needs: None, problem: Some(problem.clone()) }
            }
        }
    }

    fn lines(&self, available: Option<u64>) -> Vec<String> {
        let path = self.path.display().to_string();
        let path = printable(&path);
        let Some(needs) = &self.needs else {
            let problem = self.problem.as_deref().unwrap_or_default();
            // A table keeps its lines; the path stands in it already.
            return match problem {
                "missing" => vec![format!("{:<12}{path}: missing", self.name)],
                problem => vec![format!("{:<12}{problem}", self.name)],
            };
        };
        let fits = available.is_none_or(|available| needs.host <= available);
        let host = match (fits, needs.streamed) {
            (true, _) => format!("host {}, all in memory", bytes(needs.host)),
            (false, Some(streamed)) => format!(
                "host {} would not fit: layers are streamed from the file, {}",
                bytes(needs.host),
                bytes(streamed)
            ),
            (false, None) => format!("host {}, more than is available", bytes(needs.host)),
        };
        vec![
            format!("{:<12}{path}: {}", self.name, self.model.as_deref().unwrap_or_default()),
            format!(
                "{:<12}{} tensors, {} values, {} in the files",
                "",
                needs.tensors,
                needs.values,
                bytes(needs.weights)
            ),
            format!("{:<12}{host}; device {} in bf16", "", bytes(needs.device)),
        ]
    }
}

impl Needs {
    fn of(weights: &Weights) -> Self {
        let Weights { tensors, values, bytes, largest_layer, ref model } = *weights;
        // Convolutions compute in f32 from weights of that type; products take bf16 as it is stored.
        let (working, in_memory, streamed) = match model {
            Known::Transformer(config) => {
                let working = transformer(config);
                (working, bytes, Some(2 * largest_layer + working))
            }
            Known::Vae8(sizes) => (autoencoder(sizes.encoder.first()), 4 * values, None),
            Known::Vae16(sizes) => (autoencoder(sizes.encoder.first()), 4 * values, None),
            Known::Qwen(sizes) => {
                let working = 4 * TEXT * (4 * sizes.dim + 2 * sizes.hidden) as u64;
                (working, bytes, Some(2 * largest_layer + working))
            }
            Known::T5(sizes) => {
                let working = 4 * TEXT * (4 * sizes.inner + 2 * sizes.hidden) as u64;
                (working, bytes, Some(2 * largest_layer + working))
            }
        };
        let (host, device) = (in_memory + working, 2 * values + working);
        Self { tensors, values, weights: bytes, working, host, streamed, device }
    }
}

/// Values of a block on the way, f32: residual stream, its norm, q, k, v, the attention's result, and the
/// feed-forward layer's three, for the tokens of the pictures and of the text.
fn transformer(config: &ModelConfig) -> u64 {
    let latent = SIDE / if config.patch == 1 { 16 } else { 8 };
    let side = latent / config.patch.max(1) as u64;
    let tokens = (CONTEXT + 1) * side * side + TEXT;
    let width = 3 * config.dim + 4 * config.attention_dim() + 3 * config.hidden_dim();
    4 * tokens * width as u64
}

/// Four full-size maps of the outermost width, f32.
fn autoencoder(width: Option<&usize>) -> u64 {
    4 * 4 * SIDE * SIDE * width.map_or(0, |&width| width as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_streamed() {
        let config = ModelConfig::preset("3b").expect("is a preset");
        let weights = Weights {
            model: Known::Transformer(config),
            tensors: 604,
            values: 3_391_803_456,
            bytes: 6_783_606_912,
            largest_layer: 316_000_000,
        };
        let needs = Needs::of(&weights);
        // 2 frames of 16 x 16 tokens and 151 of text.
        assert_eq!(needs.working, 4 * 663 * (3 * 2560 + 4 * 2560 + 3 * 6912));
        assert_eq!(needs.host, 6_783_606_912 + needs.working);
        let stage = Stage {
            name: "transformer",
            path: "dit.pth".into(),
            model: None,
            needs: Some(needs),
            problem: None,
        };
        assert!(stage.lines(Some(8 << 30))[2].contains("all in memory"));
        assert!(stage.lines(Some(4 << 30))[2].contains("streamed from the file"));
    }
}
