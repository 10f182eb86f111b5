//! Editing in conversation: pictures and instructions in, the next picture out, turn by turn, each
//! turn seeing the earlier outputs.
//!
//! With block-causal attention the text and pictures of past turns have fixed keys and values, so
//! they are computed once and cached: a denoising step costs what the new picture costs. With full
//! attention every step computes the whole session, as the released models do.

mod block_causal;
mod full;
mod input;
mod model;

#[cfg(test)]
mod tests;

pub use model::TrainedModel;

use crate::codec::Codec;
use crate::diffusion::{self, Guidance, LAST_TIME, Schedule};
use crate::network::{AttentionKind, Network, Prediction};
use crate::tasks::{Piece, Task};
use crate::text::Vocabulary;
use crate::{Error, Result, patch};
use vincie_autograd::{Graph, Parameters};
use vincie_tensor::Tensor;
use vincie_tensor::random::{Key, Stream};

/// Masks that are predicted before the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// First what will change of the current picture (CS).
    pub current: bool,
    /// Then what has changed of the next (NS).
    pub next: bool,
}

/// How pictures are sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingConfig {
    /// Euler steps.
    pub steps: usize,
    /// Shift of the sampling times towards noise.
    pub shift: f64,
    /// Preference for the prompt.
    pub guidance: Guidance,
    /// Seed of the noise.
    pub seed: u64,
    /// Masks predicted before each picture.
    pub chain: Chain,
}

/// What one turn made, as latents.
#[derive(Clone, Debug)]
pub struct TurnOutput {
    /// Predicted region of the current picture, where the chain asks for it.
    pub current_mask: Option<Tensor>,
    /// Predicted region of the next picture, where the chain asks for it.
    pub next_mask: Option<Tensor>,
    /// The new picture.
    pub image: Tensor,
}

/// A picture the session has seen.
#[derive(Clone, Debug)]
struct Shown {
    latent: Tensor,
    task: Task,
    text: Vec<Piece>,
}

/// What a model knows of a session in one branch of the guidance.
enum Branch {
    Cached(Box<block_causal::CachedBranch>),
    Whole { has_text: bool },
}

/// A conversation over pictures.
pub struct Editor<'m> {
    network: &'m Network,
    parameters: &'m Parameters,
    vocabulary: &'m Vocabulary,
    codec: Codec,
    config: SamplingConfig,
    shown: Vec<Shown>,
    turns: usize,
    positive: Branch,
    negative: Option<Branch>,
    size: [usize; 2],
}

impl<'m> Editor<'m> {
    /// An empty session of pictures with latents of `size` (height, width).
    pub fn new(
        network: &'m Network,
        parameters: &'m Parameters,
        vocabulary: &'m Vocabulary,
        codec: Codec,
        size: [usize; 2],
        config: SamplingConfig,
    ) -> Result<Self> {
        let p = network.config().model.patch;
        if size.iter().any(|&side| side == 0 || side % p != 0) {
            return Err(Error::invalid(format!(
                "edit: latents of {size:?}; both sides must be multiples of the patch size {p}"
            )));
        }
        if config.steps == 0 || config.shift <= 0.0 {
            return Err(Error::invalid(format!(
                "edit: {} steps with shift {}; expected at least 1 and above 0",
                config.steps, config.shift
            )));
        }
        let branch = |has_text: bool| match network.config().attention {
            AttentionKind::BlockCausal => Branch::Cached(Box::new(
                block_causal::CachedBranch::new(network.config().model.layers, has_text),
            )),
            AttentionKind::Full => Branch::Whole { has_text },
        };
        let negative = (config.guidance.scale != 1.0).then(|| branch(false));
        let positive = branch(true);
        Ok(Self {
            network,
            parameters,
            vocabulary,
            codec,
            config,
            shown: Vec::new(),
            turns: 0,
            positive,
            negative,
            size,
        })
    }

    /// Pictures seen so far, masks included.
    pub fn pictures(&self) -> usize {
        self.shown.len()
    }

    /// Bytes of cached keys and values.
    pub fn cache_bytes(&self) -> usize {
        let bytes = |branch: &Branch| match branch {
            Branch::Cached(branch) => branch.bytes(),
            Branch::Whole { .. } => 0,
        };
        bytes(&self.positive) + self.negative.as_ref().map_or(0, bytes)
    }

    /// Shows the model a picture: a source, or one of several concepts to compose.
    pub fn show(&mut self, latent: Tensor) -> Result<()> {
        let text = vec![Piece::Announcement(Task::NextImage)];
        self.say(&text)?;
        self.add(latent, Task::NextImage, text)
    }

    /// One turn: the chain's masks, then the next picture. `step` sees every denoising step as
    /// (done, of all of this turn).
    pub fn turn(
        &mut self,
        instruction: &str,
        mut step: impl FnMut(usize, usize),
    ) -> Result<TurnOutput> {
        let chain = self.config.chain;
        let tasks = [
            (Task::CurrentMask, chain.current),
            (Task::NextMask, chain.next),
            (Task::NextImage, true),
        ];
        let wanted: Vec<Task> =
            tasks.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(task, _)| task).collect();
        let all = wanted.len() * self.config.steps;
        let mut before =
            vec![Piece::Instruction { turn: self.turns, text: instruction.to_owned() }];
        let mut output =
            TurnOutput { current_mask: None, next_mask: None, image: Tensor::scalar(0.0)? };
        for (i, task) in wanted.into_iter().enumerate() {
            before.push(Piece::Announcement(task));
            let text = std::mem::take(&mut before);
            self.say(&text)?;
            let done = i * self.config.steps;
            let latent = self.sample(&text, |now| step(done + now, all))?;
            let latent = self.codec.reread(&latent, task)?;
            match task {
                Task::CurrentMask => output.current_mask = Some(latent.clone()),
                Task::NextMask => output.next_mask = Some(latent.clone()),
                Task::NextImage => output.image = latent.clone(),
            }
            self.add(latent, task, text)?;
        }
        self.turns += 1;
        Ok(output)
    }

    /// Adds text to both branches.
    fn say(&mut self, text: &[Piece]) -> Result<()> {
        for branch in [Some(&mut self.positive), self.negative.as_mut()].into_iter().flatten() {
            if let Branch::Cached(branch) = branch {
                branch.say(self.network, self.parameters, self.vocabulary, text)?;
            }
        }
        Ok(())
    }

    /// Adds a picture, whose text has been said, to the context.
    fn add(&mut self, latent: Tensor, task: Task, text: Vec<Piece>) -> Result<()> {
        let channels = self.network.config().model.visual_out;
        let expected = [self.size[0], self.size[1], channels];
        if *latent.shape() != expected {
            return Err(Error::invalid(format!(
                "edit: latent is {}; expected {expected:?}",
                latent.shape()
            )));
        }
        let slot = self.shown.len();
        for branch in [Some(&mut self.positive), self.negative.as_mut()].into_iter().flatten() {
            if let Branch::Cached(branch) = branch {
                branch.show(self.network, self.parameters, &latent, slot)?;
            }
        }
        self.shown.push(Shown { latent, task, text });
        Ok(())
    }

    /// The last frame shown, which the copy gate copies from.
    fn previous_frame(&self) -> Option<&Tensor> {
        self.shown
            .iter()
            .rev()
            .find(|shown| shown.task == Task::NextImage)
            .map(|shown| &shown.latent)
    }

    /// Denoises the next slot's picture: `[height, width, channels]`.
    fn sample(&mut self, text: &[Piece], mut step: impl FnMut(usize)) -> Result<Tensor> {
        let slot = self.shown.len();
        let network = self.network;
        let (p, channels) = (network.config().model.patch, network.config().model.visual_out);
        let [height, width] = self.size;
        let frames = match self.positive {
            Branch::Cached(_) => 1,
            Branch::Whole { .. } => slot + 1,
        };
        let rows = frames * (height / p) * (width / p);
        let features = p * p * channels;
        let noise = Key::new(self.config.seed, Stream::Sample, slot as u64)
            .normal_tensor([rows, features])?;
        let mut x = noise.to_vec::<f32>()?;
        let schedule = Schedule::new(self.config.steps, self.config.shift);
        let mut passes = Vec::with_capacity(2);
        for branch in [Some(&self.positive), self.negative.as_ref()].into_iter().flatten() {
            passes.push(self.pass(branch, slot, text)?);
        }
        let guidance = self.config.guidance;
        diffusion::sample(&mut x, &schedule, |number, time, x| {
            let scale = guidance.scale_at(number, self.config.steps);
            let mut velocity = passes[0].velocity(network, self.parameters, x, time)?;
            if let (Some(negative), true) = (passes.get_mut(1), scale != 1.0) {
                let negative = negative.velocity(network, self.parameters, x, time)?;
                diffusion::guide(
                    &mut velocity,
                    &negative,
                    channels,
                    scale,
                    guidance.rescale,
                    guidance.is_bf16,
                );
            }
            step(number + 1);
            Ok(velocity)
        })?;
        let last = &x[(frames - 1) * x.len() / frames..];
        let rows = Tensor::from_slice(last, [rows / frames, features])?;
        let g = Graph::inference(self.parameters);
        let picture = patch::from_rows(&g, &rows.into(), [1, height, width], p)?;
        Ok(picture.value().reshape([height, width, channels])?)
    }

    /// What one branch computes at every step of a slot.
    fn pass(&self, branch: &Branch, slot: usize, text: &[Piece]) -> Result<input::Pass> {
        let previous = self.previous_frame();
        let pass = match branch {
            Branch::Cached(branch) => {
                branch.pass(self.network, slot, self.size, previous, input::announced(text))
            }
            Branch::Whole { has_text } => full::pass(
                self.network,
                self.parameters,
                self.vocabulary,
                &self.shown,
                text,
                *has_text,
                self.size,
            ),
        }?;
        pass.moved_to(self.parameters.accelerator())
    }
}

/// Velocity of an answer in either parametrisation.
fn to_velocity(prediction: Prediction, answer: Vec<f32>, x: &[f32], time: f32) -> Vec<f32> {
    match prediction {
        Prediction::Velocity => answer,
        Prediction::Data => {
            let time = time.max(1e-3 * LAST_TIME);
            x.iter()
                .zip(answer)
                .map(|(&x, data)| diffusion::velocity_from_data(x, data, time))
                .collect()
        }
    }
}
