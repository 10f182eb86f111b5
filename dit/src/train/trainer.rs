//! One optimizer step after another: batches, gradients, clipping, AdamW, averages.

use crate::model::{ForwardOptions, forward_flops};
use crate::network::Network;
use crate::tasks::{Batch, Example, Options};
use crate::text::Vocabulary;
use crate::{Error, Result};
use vincie_autograd::optimizer::{AdamW, AdamWConfig, Clip, Ema, Schedule};
use vincie_autograd::{Graph, Parameters};
use vincie_tensor::{Accelerator, DType, Tensor, ops};

/// What the optimizer is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainerConfig {
    /// How targets are drawn and weighed.
    pub options: Options,
    /// Learning rate by step.
    pub schedule: Schedule,
    /// The optimizer's constants.
    pub adamw: AdamWConfig,
    /// Largest global norm of a step's gradient; larger ones are scaled down to it.
    pub clip_norm: f32,
    /// Decay of the averaged weights; 0 keeps no average.
    pub ema_decay: f32,
    /// Whether blocks are computed again for their gradients instead of kept.
    pub recompute_blocks: bool,
    /// Type that weights and activations are stored in, f32 or bf16.
    pub dtype: DType,
}

/// Everything that changes from step to step.
pub struct Trainer {
    config: TrainerConfig,
    network: Network,
    vocabulary: Vocabulary,
    parameters: Parameters,
    optimizer: AdamW,
    average: Option<Ema>,
    step: u64,
    place: Option<Accelerator>,
}

/// What one step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The step's number, from 0.
    pub step: u64,
    /// Weighted loss, mean over the micro-batches.
    pub loss: f64,
    /// Mean squared error per task over the slots of the step, with their number.
    pub per_task: [(f64, usize); 3],
    /// Learning rate.
    pub rate: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens computed, text and pictures.
    pub tokens: u64,
    /// Model arithmetic of forward and backward, recomputation not counted.
    pub flops: u64,
}

/// What one evaluation found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Weighted loss, mean over the batches.
    pub loss: f64,
    /// Mean squared error per task with the number of slots.
    pub per_task: [(f64, usize); 3],
}

impl Trainer {
    /// A trainer at step 0 from f32 parameters, which become the masters of rounded ones where
    /// weights are stored in bf16.
    pub fn new(
        config: TrainerConfig,
        network: Network,
        vocabulary: Vocabulary,
        parameters: Parameters,
    ) -> Result<Self> {
        let exact = parameters;
        let parameters = exact.to_dtype(config.dtype)?;
        let optimizer = AdamW::with_masters(&parameters, &exact, config.adamw)?;
        let is_averaged = config.ema_decay > 0.0;
        let average = is_averaged.then(|| Ema::new(&exact, config.ema_decay)).transpose()?;
        let (step, place) = (0, None);
        Ok(Self { config, network, vocabulary, parameters, optimizer, average, step, place })
    }

    /// Moves weights, averages and optimizer to an accelerator, where all further steps are taken, or
    /// with `None` to the host.
    pub fn move_to(&mut self, place: Option<&Accelerator>) -> Result<()> {
        self.parameters = self.parameters.to_place(place)?;
        self.optimizer.place(place)?;
        if let Some(average) = &mut self.average {
            average.place(place)?;
        }
        self.place = place.cloned();
        Ok(())
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The weights as trained.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The averaged weights, which are the ones to sample from; the weights as trained where no
    /// average is kept.
    pub fn averaged(&self) -> Parameters {
        let Some(average) = &self.average else { return self.parameters.clone() };
        let mut averaged = Parameters::new();
        for ((_, name, _), value) in self.parameters.iter().zip(average.values()) {
            averaged.insert(name, value.clone());
        }
        averaged
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &AdamW {
        &self.optimizer
    }

    /// The averages, where they are kept.
    pub fn average(&self) -> Option<&Ema> {
        self.average.as_ref()
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Replaces the learning-rate schedule, for runs whose length follows the clock.
    pub fn set_schedule(&mut self, schedule: Schedule) {
        self.config.schedule = schedule;
    }

    /// Lets `restore` put saved values into weights, averages and optimizer, and goes on from the
    /// optimizer's step.
    pub fn restore(
        &mut self,
        restore: impl FnOnce(&mut Parameters, Option<&mut Ema>, &mut AdamW) -> Result<()>,
    ) -> Result<()> {
        restore(&mut self.parameters, self.average.as_mut(), &mut self.optimizer)?;
        self.step = self.optimizer.steps();
        let place = self.place.clone();
        self.move_to(place.as_ref())
    }

    /// One optimizer step over micro-batches, whose gradients are averaged.
    pub fn step(&mut self, micro_batches: &[Vec<Example>]) -> Result<StepReport> {
        if micro_batches.is_empty() {
            return Err(Error::invalid("train: a step needs at least one batch"));
        }
        let mut report = StepReport {
            step: self.step,
            loss: 0.0,
            per_task: [(0.0, 0); 3],
            rate: self.config.schedule.rate(self.step),
            gradient_norm: 0.0,
            tokens: 0,
            flops: 0,
        };
        let mut total: Option<Vec<Option<Tensor>>> = None;
        let share = 1.0 / micro_batches.len() as f32;
        for examples in micro_batches {
            let batch = self.batch(examples)?;
            let graph = Graph::recording(&self.parameters);
            let options = ForwardOptions {
                recompute_blocks: self.config.recompute_blocks,
                ..ForwardOptions::default()
            };
            let loss = self.network.loss(&graph, &batch, options)?;
            report.loss += f64::from(loss.total.value().item()? * share);
            merge(&mut report.per_task, loss.per_task);
            report.tokens += batch.layout.tokens() as u64;
            report.flops += 3 * forward_flops(&self.network.config().model, &batch.layout);
            let seed = Tensor::scalar(share)?.to_place(self.place.as_ref())?;
            let gradients = graph.backward_from(&[(&loss.total, seed)])?.into_parameters();
            total = Some(match total {
                None => gradients,
                Some(sum) => add(sum, gradients)?,
            });
        }
        let gradients = total.unwrap_or_default();
        let clip = Clip::new(&gradients, self.config.clip_norm)?;
        self.optimizer.step(&mut self.parameters, &gradients, report.rate as f32, &clip)?;
        report.gradient_norm = clip.norm()?;
        if !report.gradient_norm.is_finite() {
            let what = format!(
                "train: the gradient of step {} is not finite (norm {}); run with check_finite = true to find the op",
                self.step, report.gradient_norm
            );
            return Err(Error::invalid(what));
        }
        if let Some(average) = &mut self.average {
            average.update(self.optimizer.exact(&self.parameters))?;
        }
        self.step += 1;
        Ok(report)
    }

    fn batch(&self, examples: &[Example]) -> Result<Batch> {
        let config = self.network.config();
        Batch::new(examples, config, &self.vocabulary, &self.config.options)?
            .moved_to(self.place.as_ref())
    }

    /// Loss of batches under the averaged weights, without dropout of the draws' making: the same
    /// examples give the same numbers.
    pub fn evaluate(&self, batches: &[Vec<Example>]) -> Result<Evaluation> {
        let averaged = self.averaged().to_dtype(self.config.dtype)?;
        let mut evaluation = Evaluation::default();
        for examples in batches {
            let batch = self.batch(examples)?;
            let graph = Graph::inference(&averaged);
            let loss = self.network.loss(&graph, &batch, ForwardOptions::default())?;
            evaluation.loss += f64::from(loss.total.value().item()?) / batches.len() as f64;
            merge(&mut evaluation.per_task, loss.per_task);
        }
        Ok(evaluation)
    }
}

/// Adds means with their counts.
fn merge(sums: &mut [(f64, usize); 3], new: [(f64, usize); 3]) {
    for ((mean, count), (other, more)) in sums.iter_mut().zip(new) {
        let all = *count + more;
        if all > 0 {
            *mean = (*mean * *count as f64 + other * more as f64) / all as f64;
        }
        *count = all;
    }
}

/// Adds gradients in place.
fn add(mut sum: Vec<Option<Tensor>>, other: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
    for (to, from) in sum.iter_mut().zip(other) {
        let Some(from) = from else { continue };
        match to {
            None => *to = Some(from),
            Some(to) => {
                let from = from.contiguous()?;
                if let (Some(to), Some(from)) = (to.as_mut_slice::<f32>(), from.as_slice::<f32>()) {
                    ops::add_assign(to, from);
                    continue;
                }
                *to = ops::Op::from(ops::Binary::Add).forward(&[to, &from])?.swap_remove(0);
            }
        }
    }
    Ok(sum)
}
