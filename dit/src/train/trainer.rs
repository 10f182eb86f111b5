//! One optimizer step after another: batches, gradients, clipping, AdamW, averages.

use super::device::{self, DeviceSteps, Parts, Step};
use super::plan::{Plan, check_room};
use crate::model::{ForwardOptions, forward_flops};
use crate::network::{Network, errors_per_task};
use crate::tasks::{Batch, Example, Options, SlotInfo};
use crate::text::Vocabulary;
use crate::{Error, Result};
use vincie_autograd::optimizer::{AdamW, AdamWConfig, Clip, Ema, Schedule};
use vincie_autograd::{GradientSums, Graph, Parameters};
use vincie_tensor::{Accelerator, DType, Tensor};

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
    /// Sums of gradients on the host, or all that steps on an accelerator need.
    steps: Steps,
}

enum Steps {
    Host(GradientSums),
    Device(Box<DeviceSteps>),
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
        let (step, steps) = (0, Steps::Host(GradientSums::new(&parameters)));
        Ok(Self { config, network, vocabulary, parameters, optimizer, average, step, steps })
    }

    /// Moves weights, averages and optimizer to an accelerator, where all further steps are taken, or
    /// with `None` to the host. `Err` where the accelerator has no room for them.
    pub fn move_to(&mut self, place: Option<&Accelerator>) -> Result<()> {
        // Work that was noted keeps the memory that it uses.
        self.steps = Steps::Host(GradientSums::new(&self.parameters));
        if let (Some(place), None) = (place, self.parameters.accelerator()) {
            let fixed = self.fixed_plan(Some(place))?.total();
            check_room(place, "weights, gradients and optimizer", fixed)?;
        }
        self.parameters = self.parameters.to_place(place)?;
        self.optimizer.place(place)?;
        if let Some(average) = &mut self.average {
            average.place(place)?;
        }
        if let Some(place) = place {
            self.steps = Steps::Device(Box::new(DeviceSteps::new(place, &self.parameters)?));
        }
        Ok(())
    }

    /// Whether steps on an accelerator are noted once and replayed, as they are by default, or done op
    /// by op, with the same bits.
    pub fn note_steps(&mut self, is_noting: bool) {
        if let Steps::Device(steps) = &mut self.steps {
            steps.note_steps(is_noting);
        }
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
        let place = self.place().cloned();
        self.move_to(place.as_ref())
    }

    fn place(&self) -> Option<&Accelerator> {
        match &self.steps {
            Steps::Host(_) => None,
            Steps::Device(steps) => Some(steps.place()),
        }
    }

    /// One optimizer step over micro-batches, whose gradients are averaged.
    pub fn step(&mut self, micro_batches: &[Vec<Example>]) -> Result<StepReport> {
        if micro_batches.is_empty() {
            return Err(Error::invalid("train: a step needs at least one batch"));
        }
        let batches = micro_batches.iter().map(|examples| self.batch(examples));
        let batches: Vec<Batch> = batches.collect::<Result<_>>()?;
        let mut report = StepReport {
            step: self.step,
            loss: 0.0,
            per_task: [(0.0, 0); 3],
            rate: self.config.schedule.rate(self.step),
            gradient_norm: 0.0,
            tokens: 0,
            flops: 0,
        };
        for batch in &batches {
            report.tokens += batch.layout.tokens() as u64;
            report.flops += 3 * forward_flops(&self.network.config().model, &batch.layout);
        }
        match &mut self.steps {
            Steps::Host(_) => self.step_on_host(batches, &mut report)?,
            Steps::Device(_) => self.step_on_device(batches, &mut report)?,
        }
        self.step += 1;
        Ok(report)
    }

    fn step_on_host(&mut self, batches: Vec<Batch>, report: &mut StepReport) -> Result<()> {
        let Steps::Host(sums) = &mut self.steps else { unreachable!("steps are of the host") };
        let share = 1.0 / batches.len() as f32;
        let options = ForwardOptions {
            recompute_blocks: self.config.recompute_blocks,
            ..ForwardOptions::default()
        };
        for batch in batches {
            let graph = Graph::recording(&self.parameters);
            let loss = self.network.loss(&graph, &batch, options)?;
            report.add(loss.total.value().item()?, &loss.errors.to_vec()?, &batch.slots, share);
            graph.backward_into(sums, &[(&loss.total, Tensor::scalar(share)?)])?;
        }
        let clip = Clip::new(sums.values(), self.config.clip_norm)?;
        self.optimizer.step(&mut self.parameters, sums.values(), report.rate as f32, &clip)?;
        sums.clear();
        report.note_norm(clip.norm()?)?;
        if let Some(average) = &mut self.average {
            average.update(self.optimizer.exact(&self.parameters))?;
        }
        Ok(())
    }

    fn step_on_device(&mut self, batches: Vec<Batch>, report: &mut StepReport) -> Result<()> {
        let slots: Vec<Vec<SlotInfo>> = batches.iter().map(|batch| batch.slots.clone()).collect();
        let share = 1.0 / batches.len() as f32;
        let constants = self.optimizer.next_constants(report.rate as f32)?;
        let step = Step::new(batches, constants)?;
        let (parts, steps) = self.parts();
        let Steps::Device(steps) = steps else { unreachable!("steps are of a device") };
        let outputs = steps.take(parts, step)?;
        self.optimizer.count_step();
        let mut rest = outputs.as_slice();
        for slots in slots {
            let rows = slots.last().map_or(0, |slot| slot.rows.end);
            let (own, others) = rest.split_at(1 + rows);
            report.add(own[0], &own[1..], &slots, share);
            rest = others;
        }
        report.note_norm(f64::from(rest[0]))
    }

    /// What steps compute with, beside what is their own.
    fn parts(&mut self) -> (Parts<'_>, &mut Steps) {
        let parts = Parts {
            config: &self.config,
            network: &self.network,
            parameters: &self.parameters,
            optimizer: &self.optimizer,
            average: self.average.as_ref(),
        };
        (parts, &mut self.steps)
    }

    /// The memory that steps like this one take, on an accelerator or with `None` on the host, where a
    /// pass forward and backward is done to find out. Nothing is trained.
    pub fn plan(
        &mut self,
        place: Option<&Accelerator>,
        micro_batches: &[Vec<Example>],
    ) -> Result<Plan> {
        let mut plan = self.fixed_plan(place)?;
        let batches = micro_batches.iter().map(|examples| self.batch(examples));
        let batches: Vec<Batch> = batches.collect::<Result<_>>()?;
        let step = Step::new(batches, self.optimizer.next_constants(0.0)?)?;
        let (parts, _) = self.parts();
        let [all, inputs] = match place {
            Some(place) => device::measure(parts, place, &step)?,
            None => device::measure_on_host(parts, &step)?,
        };
        let own = if place.is_some() { [0, 1] } else { [step.tensors(), 0] };
        plan.add("batch", inputs, own[0]);
        let what = if place.is_some() { "activations" } else { "activations, gradients" };
        plan.add(what, all - inputs, own[1]);
        plan.free = place
            .map(|place| place.device().free_memory())
            .transpose()
            .map_err(vincie_tensor::Error::from)?;
        Ok(plan)
    }

    /// The part of the plan that every step shares.
    fn fixed_plan(&self, place: Option<&Accelerator>) -> Result<Plan> {
        let (first, second, masters) = self.optimizer.state();
        let weights: Vec<Tensor> =
            self.parameters.iter().map(|(_, _, value)| value.clone()).collect();
        let masters: Vec<Tensor> = masters.iter().flatten().cloned().collect();
        let averages = self.average.as_ref().map_or(&[][..], Ema::values);
        let mut plan = Plan::default();
        let mut add = |what, tensors: &[Tensor]| -> Result<()> {
            let specs = tensors.iter().map(|t| (t.shape(), t.dtype()));
            match place {
                Some(_) => plan.add(what, Accelerator::arena_bytes(specs)?, 1),
                None => {
                    plan.add(what, tensors.iter().map(Tensor::bytes).sum(), tensors.len());
                }
            }
            Ok(())
        };
        add("parameters", &weights)?;
        if place.is_some() {
            // Sums of gradients are f32, as the moments are.
            add("gradients", first)?;
        }
        add("first moments", first)?;
        add("second moments", second)?;
        add("master weights", &masters)?;
        add("averages", averages)?;
        Ok(plan)
    }

    fn batch(&self, examples: &[Example]) -> Result<Batch> {
        let config = self.network.config();
        Batch::new(examples, config, &self.vocabulary, &self.config.options)
    }

    /// Loss of batches under the averaged weights, without dropout of the draws' making: the same
    /// examples give the same numbers.
    pub fn evaluate(&mut self, batches: &[Vec<Example>]) -> Result<Evaluation> {
        let averaged = self.averaged().to_dtype(self.config.dtype)?;
        let mut evaluation = Evaluation::default();
        for examples in batches {
            let batch = self.batch(examples)?;
            let slots = batch.slots.clone();
            let (parts, steps) = self.parts();
            let parts = Parts { parameters: &averaged, ..parts };
            let (loss, errors) = match steps {
                Steps::Host(_) => {
                    let graph = Graph::inference(&averaged);
                    let loss = parts.network.loss(&graph, &batch, ForwardOptions::default())?;
                    (loss.total.value().item()?, loss.errors.to_vec()?)
                }
                Steps::Device(steps) => {
                    let outputs = steps.evaluate(parts, batch)?;
                    (outputs[0], outputs[1..].to_vec())
                }
            };
            evaluation.loss += f64::from(loss) / batches.len() as f64;
            merge(&mut evaluation.per_task, errors_per_task(&errors, &slots));
        }
        Ok(evaluation)
    }
}

impl StepReport {
    /// Adds a micro-batch: its loss, and the errors of its rows.
    fn add(&mut self, loss: f32, errors: &[f32], slots: &[SlotInfo], share: f32) {
        self.loss += f64::from(loss * share);
        merge(&mut self.per_task, errors_per_task(errors, slots));
    }

    /// Notes the norm of the gradient. `Err` where it is not finite: nothing was learned then.
    fn note_norm(&mut self, norm: f64) -> Result<()> {
        self.gradient_norm = norm;
        if norm.is_finite() {
            return Ok(());
        }
        let step = self.step;
        let what = format!(
            "train: the gradient of step {step} is not finite (norm {norm}); run with check_finite = true to find the op"
        );
        Err(Error::invalid(what))
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
