//! Steps on an accelerator: one upload, one graph, one read-out.
//!
//! A step is noted once for every form of its batches and then done again as a whole. What changes
//! between steps of one form lies in [`Inputs`]: the batches' tensors, the optimizer's constants, the
//! share of a micro-batch. Gradients add up in an allocation of their own; everything else that a step
//! makes lies in one workspace, which all forms share.

use super::plan::{bytes_text, check_room};
use super::trainer::TrainerConfig;
use crate::model::ForwardOptions;
use crate::network::Network;
use crate::tasks::Batch;
use crate::{Error, Result};
use std::sync::Arc;
use vincie_autograd::optimizer::{AdamW, Clip, Ema};
use vincie_autograd::{GradientSums, Graph, Parameters};
use vincie_tensor::ops::{AttentionMask, watch};
use vincie_tensor::{Accelerator, DType, Inputs, Replay, Shape, Tensor, Workspace, pool};

/// Most forms of steps that stay noted.
const MAX_FORMS: usize = 16;

/// What a step computes with.
#[derive(Clone, Copy)]
pub(super) struct Parts<'t> {
    pub(super) config: &'t TrainerConfig,
    pub(super) network: &'t Network,
    pub(super) parameters: &'t Parameters,
    pub(super) optimizer: &'t AdamW,
    pub(super) average: Option<&'t Ema>,
}

/// All that noted work depends on beside the values of its inputs.
#[derive(PartialEq)]
struct Form {
    tensors: Vec<(Shape, DType)>,
    /// Masks, modulation groups and cached tokens of every batch.
    layouts: Vec<(Arc<AttentionMask>, Arc<AttentionMask>, usize, usize)>,
}

/// What a step reads and writes on the device.
struct Held {
    inputs: Inputs,
    /// Of every batch its loss and the errors of its rows, then the norm of the gradient and the
    /// factor that it is scaled by.
    outputs: Tensor,
}

/// The steps of one trainer.
pub(super) struct DeviceSteps {
    place: Accelerator,
    sums: GradientSums,
    workspace: Option<Workspace>,
    /// The one used last is last.
    noted: Vec<(Form, Replay<Held>)>,
    is_noting: bool,
}

/// Batches of a step, with all that goes to the device.
pub(super) struct Step {
    batches: Vec<Batch>,
    values: Vec<Tensor>,
}

impl Step {
    /// A step over micro-batches on the host, with the constants of its update.
    pub(super) fn new(batches: Vec<Batch>, constants: Tensor) -> Result<Self> {
        let mut values = vec![constants, Tensor::scalar(1.0 / batches.len().max(1) as f32)?];
        let mut note = |tensor: &Tensor| {
            values.push(tensor.clone());
            Ok(tensor.clone())
        };
        for batch in &batches {
            batch.map(&mut note)?;
        }
        Ok(Self { batches, values })
    }

    /// Number of tensors that it reads.
    pub(super) fn tensors(&self) -> usize {
        self.values.len()
    }

    fn form(&self) -> Form {
        let layouts = self.batches.iter().map(|batch| {
            let layout = &batch.layout;
            let (mask, output) = (Arc::clone(&layout.mask), Arc::clone(&layout.output_mask));
            (mask, output, layout.group_count, layout.cached)
        });
        let tensors = self.values.iter().map(|value| (value.shape(), value.dtype()));
        Form { tensors: tensors.collect(), layouts: layouts.collect() }
    }

    /// Places for everything, without contents.
    fn prepare(&self, place: &Accelerator) -> Result<Held> {
        let rows = self.batches.iter().map(|batch| 1 + batch.weights.value().count());
        let outputs = place.zeros([rows.sum::<usize>() + 2], DType::F32)?;
        Ok(Held { inputs: place.inputs(&self.values)?, outputs })
    }

    /// The batches with their tensors on the device.
    fn placed(&self, held: &Held) -> Result<Vec<Batch>> {
        let mut tensors = held.inputs.tensors().skip(2).cloned();
        let mut next =
            |_: &Tensor| Ok(tensors.next().expect("inputs hold the tensors of all batches"));
        self.batches.iter().map(|batch| batch.map(&mut next)).collect()
    }
}

/// Puts loss and errors of every batch into the outputs, and with `sums` adds up the gradients.
fn passes(
    parts: Parts<'_>,
    held: &Held,
    batches: &[Batch],
    mut sums: Option<&mut GradientSums>,
) -> Result<()> {
    let place = held.outputs.accelerator().expect("outputs lie on the device");
    let share = held.inputs.tensors().nth(1).expect("the share is the second input");
    let options = ForwardOptions {
        recompute_blocks: parts.config.recompute_blocks,
        ..ForwardOptions::default()
    };
    let mut at = 0;
    for batch in batches {
        let graph = match sums {
            Some(_) => Graph::recording(parts.parameters),
            None => Graph::inference(parts.parameters),
        };
        let loss = parts.network.loss(&graph, batch, options)?;
        let rows = loss.errors.count();
        place.write(&held.outputs.narrow(0, at, 1)?, &loss.total.value().reshape([1])?)?;
        place.write(&held.outputs.narrow(0, at + 1, rows)?, &loss.errors)?;
        at += 1 + rows;
        if let Some(sums) = sums.as_deref_mut() {
            graph.backward_into(sums, &[(&loss.total, share.clone())])?;
        }
    }
    Ok(())
}

/// All of a step: passes, clipping, update, averages.
fn step(parts: Parts<'_>, held: &Held, batches: &[Batch], sums: &mut GradientSums) -> Result<()> {
    sums.clear();
    passes(parts, held, batches, Some(sums))?;
    let clip = Clip::new(sums.values(), parts.config.clip_norm)?;
    let (Some(place), Some(norm)) = (held.outputs.accelerator(), clip.tensor()) else {
        return Err(Error::invalid("train: no parameter has a gradient"));
    };
    place.write(&held.outputs.narrow(0, held.outputs.count() - 2, 2)?, norm)?;
    let constants = held.inputs.tensors().next().expect("the constants are the first input");
    parts.optimizer.step_on(parts.parameters, sums.values(), constants, &clip)?;
    if let Some(average) = parts.average {
        average.update_on(parts.optimizer.exact(parts.parameters))?;
    }
    Ok(())
}

impl DeviceSteps {
    /// Steps on an accelerator, where the parameters lie.
    pub(super) fn new(place: &Accelerator, parameters: &Parameters) -> Result<Self> {
        let sums = GradientSums::planned(parameters, place)?;
        Ok(Self { place: place.clone(), sums, workspace: None, noted: Vec::new(), is_noting: true })
    }

    /// The accelerator.
    pub(super) fn place(&self) -> &Accelerator {
        &self.place
    }

    /// Whether steps are noted and replayed, or done op by op.
    pub(super) fn note_steps(&mut self, is_noting: bool) {
        self.is_noting = is_noting;
    }

    /// Size of the workspace.
    pub(super) fn workspace_bytes(&self) -> usize {
        self.workspace.as_ref().map_or(0, Workspace::bytes)
    }

    /// Takes a step; returns the outputs.
    pub(super) fn take(&mut self, parts: Parts<'_>, step: Step) -> Result<Vec<f32>> {
        if !self.is_noting || watch::is_on() {
            return self.take_at_once(parts, step);
        }
        let form = step.form();
        let values = step.values.clone();
        match self.noted.iter().position(|(noted, _)| *noted == form) {
            Some(at) => {
                let known = self.noted.remove(at);
                self.noted.push(known);
            }
            None => {
                let replay = self.note(parts, step)?;
                self.noted.push((form, replay));
            }
        }
        let (_, replay) = self.noted.last().expect("it was pushed above");
        replay.held().inputs.write(&values)?;
        replay.start()?;
        Ok(replay.held().outputs.to_vec()?)
    }

    /// The same op by op, in memory of the pool.
    fn take_at_once(&mut self, parts: Parts<'_>, step: Step) -> Result<Vec<f32>> {
        let held = step.prepare(&self.place)?;
        held.inputs.write(&step.values)?;
        self::step(parts, &held, &step.placed(&held)?, &mut self.sums)?;
        Ok(held.outputs.to_vec()?)
    }

    fn note(&mut self, parts: Parts<'_>, step: Step) -> Result<Replay<Held>> {
        if self.noted.len() >= MAX_FORMS {
            self.noted.remove(0);
        }
        let Self { place, sums, .. } = self;
        let step = &step;
        let mut work = |held: &Held| self::step(parts, held, &step.placed(held)?, sums);
        if let Some(workspace) = &self.workspace
            && let Ok(replay) = place.capture(workspace, || step.prepare(place), &mut work)
        {
            return Ok(replay);
        }
        let need = place.measure(|| work(&step.prepare(place)?))?;
        let place = place.clone();
        let workspace = self.room(need)?.clone();
        let Self { sums, .. } = self;
        let work = |held: &Held| self::step(parts, held, &step.placed(held)?, sums);
        place.capture(&workspace, || step.prepare(&place), work)
    }

    /// A workspace of at least that size. One that grows leaves its place first, with all work that
    /// was noted in it.
    fn room(&mut self, need: usize) -> Result<&Workspace> {
        if self.workspace_bytes() < need {
            self.noted.clear();
            self.workspace = None;
            self.place.device().trim_memory().map_err(vincie_tensor::Error::from)?;
            check_room(&self.place, "a step's activations and batch", need)?;
            self.workspace = Some(self.place.workspace(need)?);
        }
        let lost = || Error::invalid(format!("train: no workspace of {}", bytes_text(need)));
        self.workspace.as_ref().ok_or_else(lost)
    }

    /// Loss and errors of a batch, op by op, in the workspace.
    pub(super) fn evaluate(&mut self, parts: Parts<'_>, batch: Batch) -> Result<Vec<f32>> {
        let step = Step::new(vec![batch], Tensor::scalar(0.0)?)?;
        let place = self.place.clone();
        let work = |held: &Held| passes(parts, held, &step.placed(held)?, None);
        let run = || -> Result<Vec<f32>> {
            let held = step.prepare(&place)?;
            held.inputs.write(&step.values)?;
            work(&held)?;
            Ok(held.outputs.to_vec()?)
        };
        if watch::is_on() {
            return run();
        }
        let need = place.measure(|| work(&step.prepare(&place)?))?;
        let workspace = self.room(need)?;
        place.run_in(workspace, run)
    }
}

/// The bytes of workspace that a step needs, found without memory for parameters or gradients, and
/// how many of them hold its inputs.
pub(super) fn measure(parts: Parts<'_>, place: &Accelerator, step: &Step) -> Result<[usize; 2]> {
    let mut inputs = 0;
    let fixed = place.measure(|| -> Result<()> {
        Ok(GradientSums::shells(parts.parameters, place).map(drop)?)
    })?;
    let all = place.measure(|| {
        let (parameters, mut sums) = GradientSums::shells(parts.parameters, place)?;
        let held = step.prepare(place)?;
        inputs = held.inputs.bytes();
        let parts = Parts { parameters: &parameters, ..parts };
        passes(parts, &held, &step.placed(&held)?, Some(&mut sums))
    })?;
    Ok([all - fixed, inputs])
}

/// The same for a step of the host, whose forward and backward passes are done, one micro-batch
/// after another, without an update.
pub(super) fn measure_on_host(parts: Parts<'_>, step: &Step) -> Result<[usize; 2]> {
    let inputs: usize = step.values.iter().map(Tensor::bytes).sum();
    let mut sums = GradientSums::new(parts.parameters);
    let options = ForwardOptions {
        recompute_blocks: parts.config.recompute_blocks,
        ..ForwardOptions::default()
    };
    pool::reset_peak();
    let before = pool::statistics().live;
    for batch in &step.batches {
        let graph = Graph::recording(parts.parameters);
        let loss = parts.network.loss(&graph, batch, options)?;
        graph.backward_into(&mut sums, &[(&loss.total, Tensor::scalar(1.0)?)])?;
    }
    Ok([inputs + pool::statistics().peak.saturating_sub(before), inputs])
}
