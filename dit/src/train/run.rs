//! A training run: data, steps, evaluations, checkpoints and metrics, from the first step or from
//! where an earlier process stopped.
//!
//! Invariant: what a step does follows from the configuration, the step's number, the samples before
//! it and the loader's position, all of which a checkpoint holds. So a run that goes on after a kill
//! takes the same steps, bit for bit, as one that was never stopped (runs whose length is given in
//! minutes excepted: their learning rate follows the clock).

use super::checkpoint::{
    BestEvaluation, Checkpoint, Progress, Retention, Snapshot, Started, initialise,
};
use super::config::{Budget, TrainConfig};
use super::metrics::{Metrics, StepMetrics};
use super::plan::Plan;
use super::tensorboard::EventWriter;
use super::trainer::{Evaluation, StepReport, Trainer, TrainerConfig};
use super::{RunDirectory, examples};
use crate::network::Network;
use crate::tasks::{Example, Task, TaskConfig};
use crate::text::Vocabulary;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use vincie_data::loader::{Loader, LoaderConfig, LoaderStatistics, Part, Transform};
use vincie_data::{annotate, sprites};
use vincie_tensor::{Accelerator, kernels, ops::watch, pool};

/// Name of the vocabulary in a checkpoint.
pub const VOCABULARY: &str = "vocabulary.txt";

/// Sessions whose instructions a new vocabulary is made from, beside the annotator's own words.
const VOCABULARY_SESSIONS: usize = 512;

/// Sample numbers of held-out sessions start here, far beyond any that training reaches.
const HELD_OUT_SAMPLES: u64 = 1 << 40;

/// Steps that a run of minutes is scheduled over before its speed is known.
const GUESSED_STEPS: u64 = 1000;

/// A run in progress.
pub struct Run {
    config: TrainConfig,
    directory: RunDirectory,
    trainer: Trainer,
    loader: Loader,
    metrics: Metrics,
    events: EventWriter,
    progress: Progress,
    held_out: Vec<Vec<Example>>,
    /// FLOP/s of the machine, measured at the start; 0 on an accelerator, whose peak is not known.
    peak: f64,
    place: Option<Accelerator>,
    /// Step of the newest checkpoint of this process.
    saved: Option<u64>,
    /// What `run.init` gave.
    started: Option<Started>,
}

/// What a run tells whoever watches it.
pub enum Event<'e> {
    /// A step was taken. `share` of the run is done.
    Step {
        /// What is known of it.
        metrics: &'e StepMetrics,
        /// 0 to 1.
        share: f64,
    },
    /// The held-out sessions were evaluated.
    Evaluated(&'e Evaluation),
    /// A checkpoint is complete.
    Saved(&'e Path),
    /// A checkpoint could not be written; training goes on from memory.
    NotSaved(&'e Error),
    /// A newer checkpoint is damaged and was passed over.
    PassedOver(&'e Error),
}

impl Run {
    /// Starts at step 0. `Err` when the run's folder holds checkpoints already.
    pub fn start(config: TrainConfig) -> Result<Self> {
        config.validate()?;
        // A folder is made when nothing else can be wrong any more.
        let existing = config.run.output.exists().then(|| unused_folder(&config)).transpose()?;
        let vocabulary = vocabulary(&config)?;
        let network = config.model.network.clone();
        let (network, mut parameters) = Network::new(network, &vocabulary, config.run.seed)?;
        let from = config.run.init.as_ref();
        let started = from.map(|from| initialise(from, &mut parameters)).transpose()?;
        let trainer = Trainer::new(trainer_config(&config), network, vocabulary, parameters)?;
        let loader = Loader::open(loader_config(&config, Part::Train))?;
        let progress = Progress {
            step: 0,
            samples: 0,
            loader: None,
            seed: config.run.seed,
            seconds: 0.0,
            metrics_bytes: 0,
            best: None,
        };
        let held_out = held_out(&config)?;
        let directory = existing.map_or_else(|| unused_folder(&config), Ok)?;
        let run = Self::assemble(config, directory, trainer, loader, held_out, progress)?;
        Ok(Self { started, ..run })
    }

    /// What the run started from, where `run.init` names weights and this is its start.
    pub fn started(&self) -> Option<&Started> {
        self.started.as_ref()
    }

    /// The memory that a run of this configuration takes, from its first batches. Nothing is trained,
    /// and no folder is made.
    pub fn plan(config: &TrainConfig, place: Option<&Accelerator>) -> Result<Plan> {
        config.validate()?;
        let vocabulary = vocabulary(config)?;
        let network = config.model.network.clone();
        let (network, parameters) = Network::new(network, &vocabulary, config.run.seed)?;
        let mut trainer = Trainer::new(trainer_config(config), network, vocabulary, parameters)?;
        let mut loader = Loader::open(loader_config(config, Part::Train))?;
        let (micro_batches, _) = micro_batches(config, &mut loader, &mut 0)?;
        trainer.plan(place, &micro_batches)
    }

    /// Goes on from the latest whole checkpoint of the run at `root`, under the configuration it was
    /// started with, changed by `change`.
    pub fn resume(
        root: &Path,
        change: impl FnOnce(&mut TrainConfig) -> Result<()>,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<Self> {
        if !root.is_dir() {
            return Err(Error::format(root, "is no folder of a run to resume"));
        }
        let directory = RunDirectory::open(root)?;
        let found = Checkpoint::resume(&directory)?;
        found.passed_over.iter().for_each(|error| on(Event::PassedOver(error)));
        let Some(checkpoint) = found.checkpoint else {
            return Err(Error::format(root, "holds no checkpoint to resume from"));
        };
        let mut config = checkpoint.config()?;
        config.run.output = root.to_owned();
        change(&mut config)?;
        config.validate()?;
        let vocabulary = read_vocabulary(&checkpoint)?;
        let (network, parameters) =
            Network::new(config.model.network.clone(), &vocabulary, config.run.seed)?;
        let mut trainer = Trainer::new(trainer_config(&config), network, vocabulary, parameters)?;
        trainer.restore(|parameters, average, optimizer| {
            checkpoint.restore(parameters, average, optimizer)
        })?;
        let progress = checkpoint.progress().clone();
        let loader_config = loader_config(&config, Part::Train);
        let loader = match &progress.loader {
            Some(position) => Loader::resume(loader_config, position)?,
            None => Loader::open(loader_config)?,
        };
        let held_out = held_out(&config)?;
        Self::assemble(config, directory, trainer, loader, held_out, progress)
    }

    fn assemble(
        config: TrainConfig,
        directory: RunDirectory,
        trainer: Trainer,
        loader: Loader,
        held_out: Vec<Vec<Example>>,
        progress: Progress,
    ) -> Result<Self> {
        let metrics = Metrics::open(directory.metrics(), progress.metrics_bytes)?;
        let events = EventWriter::create(&directory.tensorboard(), progress.step)?;
        watch::check_finite(config.run.check_finite);
        let peak = kernels::peak::flops();
        Ok(Self {
            config,
            directory,
            trainer,
            loader,
            metrics,
            events,
            progress,
            held_out,
            peak,
            place: None,
            saved: None,
            started: None,
        })
    }

    /// Lets an accelerator take all further steps, or with `None` the host.
    pub fn move_to(&mut self, place: Option<&Accelerator>) -> Result<()> {
        self.trainer.move_to(place)?;
        self.peak = if place.is_some() { 0.0 } else { kernels::peak::flops() };
        self.place = place.cloned();
        Ok(())
    }

    /// The run's configuration.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The trainer inside.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// Where the run stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What the loader did since this process started.
    pub fn loader_statistics(&self) -> &LoaderStatistics {
        self.loader.statistics()
    }

    /// Held-out sessions that evaluations use.
    pub fn held_out_sessions(&self) -> usize {
        self.held_out.iter().map(Vec::len).sum()
    }

    /// Trains until the budget is spent, then saves.
    pub fn train(&mut self, on: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let begun = Instant::now();
        let before = self.progress.seconds;
        loop {
            let spent = before + begun.elapsed().as_secs_f64();
            let share = match self.config.run.budget() {
                Budget::Steps(steps) => self.progress.step as f64 / steps.max(1) as f64,
                Budget::Minutes(minutes) => {
                    let share = spent / (60.0 * minutes);
                    let total = if share > 0.0 && self.progress.step > 0 {
                        self.progress.step as f64 / share
                    } else {
                        GUESSED_STEPS as f64
                    };
                    self.trainer.set_schedule(self.config.optimizer.schedule(total as u64));
                    share
                }
            };
            if share >= 1.0 {
                break;
            }
            let mut metrics = self.step()?;
            self.progress.seconds = before + begun.elapsed().as_secs_f64();
            let step = self.progress.step;
            if is_due(step, self.config.run.evaluate_every) {
                self.evaluate(&mut metrics, on)?;
            }
            self.metrics.append(&metrics)?;
            self.events.metrics(&metrics)?;
            on(Event::Step { metrics: &metrics, share: share.min(1.0) });
            if is_due(step, self.config.run.checkpoint_every)
                && let Err(error) = self.save(on)
            {
                on(Event::NotSaved(&error));
            }
        }
        if self.saved == Some(self.progress.step) {
            return Ok(());
        }
        self.save(on)
    }

    /// One optimizer step with its data.
    fn step(&mut self) -> Result<StepMetrics> {
        let begun = Instant::now();
        let (micro_batches, waited) =
            micro_batches(&self.config, &mut self.loader, &mut self.progress.samples)?;
        let report = self.trainer.step(&micro_batches)?;
        self.progress.step = self.trainer.steps();
        self.progress.loader = Some(self.loader.position());
        let sessions = (self.config.run.batch * self.config.run.accumulate) as f64;
        Ok(self.step_metrics(&report, sessions, begun.elapsed(), waited))
    }

    /// Most bytes of tensors at once, where the steps are taken.
    fn peak_memory(&self) -> u64 {
        match &self.place {
            Some(place) => place.device().memory().peak as u64,
            None => pool::statistics().peak as u64,
        }
    }

    fn step_metrics(
        &self,
        report: &StepReport,
        sessions: f64,
        took: Duration,
        waited: Duration,
    ) -> StepMetrics {
        let seconds = took.as_secs_f64().max(1e-9);
        StepMetrics {
            step: self.progress.step,
            loss: report.loss,
            losses: per_task(&report.per_task),
            learning_rate: report.rate,
            gradient_norm: report.gradient_norm,
            tokens_per_second: report.tokens as f64 / seconds,
            sessions_per_second: sessions / seconds,
            step_ms: 1e3 * seconds,
            data_wait_ms: 1e3 * waited.as_secs_f64(),
            peak_memory_bytes: self.peak_memory(),
            mfu: (self.peak > 0.0).then(|| report.flops as f64 / seconds / self.peak),
            evaluation: BTreeMap::new(),
        }
    }

    /// Evaluates the held-out sessions under the averaged weights.
    fn evaluate(&mut self, metrics: &mut StepMetrics, on: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        if self.held_out.is_empty() {
            return Ok(());
        }
        let evaluation = self.trainer.evaluate(&self.held_out)?;
        metrics.evaluation = per_task(&evaluation.per_task);
        metrics.evaluation.insert("loss".into(), evaluation.loss);
        if self.progress.best.is_none_or(|best| evaluation.loss < best.loss) {
            self.progress.best =
                Some(BestEvaluation { step: self.progress.step, loss: evaluation.loss });
        }
        on(Event::Evaluated(&evaluation));
        Ok(())
    }

    /// Writes a checkpoint and removes old ones.
    fn save(&mut self, on: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.progress.metrics_bytes = self.metrics.sync()?;
        let vocabulary = self.trainer.vocabulary().to_text();
        let snapshot = Snapshot {
            progress: &self.progress,
            config: &self.config,
            parameters: self.trainer.parameters(),
            ema: self.trainer.average(),
            optimizer: self.trainer.optimizer(),
            extra: &[(VOCABULARY, vocabulary.as_bytes())],
        };
        let path = Checkpoint::save(&self.directory, &snapshot)?;
        self.saved = Some(self.progress.step);
        on(Event::Saved(&path));
        let retention = Retention {
            last: self.config.run.keep_last,
            every: self.config.run.keep_every,
            best: self.progress.best.map(|best| best.step),
        };
        Checkpoint::prune(&self.directory, retention)?;
        Ok(())
    }
}

/// The examples of a step, whose samples are counted on, and the time that the loader was waited for.
fn micro_batches(
    config: &TrainConfig,
    loader: &mut Loader,
    samples: &mut u64,
) -> Result<(Vec<Vec<Example>>, Duration)> {
    let (run, choices, frames) = (&config.run, config.tasks.choices(), config.data.frames);
    let mut waited = Duration::ZERO;
    let mut all = Vec::with_capacity(run.accumulate);
    for _ in 0..run.accumulate {
        let mut batch = Vec::with_capacity(run.batch);
        while batch.len() < run.batch {
            let waiting = Instant::now();
            let Some(session) = loader.next() else {
                return Err(Error::invalid("train: the data has come to an end"));
            };
            waited += waiting.elapsed();
            let sample = *samples;
            *samples += 1;
            batch.push(examples::example(session?, frames, &choices, run.seed, sample)?);
        }
        all.push(batch);
    }
    Ok((all, waited))
}

/// The vocabulary that a checkpoint carries.
pub fn read_vocabulary(checkpoint: &Checkpoint) -> Result<Vocabulary> {
    let bytes = checkpoint.extra(VOCABULARY)?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let text =
        text.ok_or_else(|| Error::format(checkpoint.path(), format!("holds no {VOCABULARY}")))?;
    Vocabulary::parse(&text)
}

fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// Losses of the tasks that had targets, by their abbreviation.
fn per_task(losses: &[(f64, usize); 3]) -> BTreeMap<String, f64> {
    let named = Task::ALL.iter().zip(losses).filter(|(_, (_, count))| *count > 0);
    named.map(|(task, (loss, _))| (task.short().to_owned(), *loss)).collect()
}

/// The folder of a new run. `Err` when it holds checkpoints.
fn unused_folder(config: &TrainConfig) -> Result<RunDirectory> {
    let directory = RunDirectory::open(&config.run.output)?;
    if Checkpoint::resume(&directory)?.checkpoint.is_some() {
        let what = "holds a run already; go on with --resume, or choose another run.output";
        return Err(Error::format(directory.root(), what));
    }
    Ok(directory)
}

fn trainer_config(config: &TrainConfig) -> TrainerConfig {
    let total = match config.run.budget() {
        Budget::Steps(steps) => steps,
        Budget::Minutes(_) => GUESSED_STEPS,
    };
    TrainerConfig {
        options: config.batch_options(),
        schedule: config.optimizer.schedule(total),
        adamw: config.optimizer.adamw(),
        clip_norm: config.optimizer.largest_norm(),
        ema_decay: config.optimizer.ema as f32,
        recompute_blocks: config.run.recompute_blocks,
        dtype: config.run.dtype.dtype(),
    }
}

fn loader_config(config: &TrainConfig, part: Part) -> LoaderConfig {
    let [height, width] = config.data.size;
    LoaderConfig { transform: Some(Transform::fit(width, height)), ..config.data.loader(part) }
}

/// The annotator's words, those of the synthetic world where it takes part, and those of the first
/// sessions' instructions.
fn vocabulary(config: &TrainConfig) -> Result<Vocabulary> {
    let mut loader = config.data.loader(Part::HeldOut);
    loader.hold_out = config.data.hold_out(Part::Train);
    let mut texts: Vec<String> = annotate::vocabulary().into_iter().collect();
    if config.data.sprites > 0 {
        texts.extend(sprites::vocabulary());
    }
    for session in Loader::open(loader)?.take(VOCABULARY_SESSIONS) {
        texts.extend(session?.transitions.into_iter().map(|transition| transition.instruction));
    }
    Ok(Vocabulary::new(texts.iter().map(String::as_str)))
}

/// Held-out sessions as batches, complete and with fixed random numbers.
fn held_out(config: &TrainConfig) -> Result<Vec<Vec<Example>>> {
    let wanted = config.run.evaluate_sessions;
    if config.data.holdout == 0.0 || config.run.evaluate_every == 0 || wanted == 0 {
        return Ok(Vec::new());
    }
    let loader = match Loader::open(loader_config(config, Part::HeldOut)) {
        // A small data set may hold out nothing at all.
        Err(vincie_data::Error::NoSessions(_)) => return Ok(Vec::new()),
        loader => loader?,
    };
    let choices = TaskConfig::complete(config.tasks.first_frame);
    let mut all = Vec::new();
    for (sample, session) in (HELD_OUT_SAMPLES..).zip(loader.take(wanted)) {
        all.push(examples::example(
            session?,
            config.data.frames,
            &choices,
            config.run.seed,
            sample,
        )?);
    }
    let mut batches = Vec::new();
    while !all.is_empty() {
        let rest = all.split_off(config.run.batch.min(all.len()));
        batches.push(std::mem::replace(&mut all, rest));
    }
    Ok(batches)
}
