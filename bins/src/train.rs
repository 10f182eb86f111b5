//! `vincie train`: a training run from a configuration, or from where it stopped.

use crate::console::Console;
use crate::device::DeviceArgument;
use crate::failure::Failure;
use crate::plan;
use clap::Args;
use std::path::PathBuf;
use vincie_dit::train::config::{NumberType, TrainConfig};
use vincie_dit::train::{Event, Run};
use vincie_tensor::DType;

/// Train a model on sessions.
///
/// The configuration is a TOML file; `--template` prints one with every key, its default and what it
/// does. The run's folder holds checkpoints, `metrics.jsonl` and TensorBoard events. A run that was
/// stopped, at any instant, goes on with `--resume` and takes the same steps bit for bit.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vincie train --config study.toml\n  \
                        vincie train --config study.toml --set optimizer.rate=1e-4\n  \
                        vincie train --config study.toml --device cuda --plan\n  \
                        vincie train --resume runs/study")]
pub(crate) struct Arguments {
    /// Configuration of a new run
    #[arg(long, value_name = "FILE", required_unless_present_any = ["resume", "template"])]
    config: Option<PathBuf>,

    /// Changes one key of the configuration, such as optimizer.rate=1e-4
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "config")]
    changes: Vec<String>,

    /// Folder of a run to go on with
    #[arg(long, value_name = "RUN", conflicts_with = "config")]
    resume: Option<PathBuf>,

    /// New number of steps of a resumed run
    #[arg(long, value_name = "N", requires = "resume")]
    steps: Option<u64>,

    /// Check every result for values that are not finite and name the first op, tensor and index;
    /// slower, and the same as run.check_finite = true
    #[arg(long)]
    check_finite: bool,

    /// Type that weights and activations are stored in, f32 or bf16, in place of run.dtype
    #[arg(long, value_name = "TYPE", conflicts_with = "resume", hide_possible_values = true)]
    #[arg(value_parser = crate::dtype::parser())]
    dtype: Option<DType>,

    /// Print what memory the run would take on the device, found without training, and end
    #[arg(long, conflicts_with_all = ["resume", "template"])]
    plan: bool,

    /// Print a configuration with every key and end
    #[arg(long, conflicts_with_all = ["config", "resume"])]
    template: bool,

    #[command(flatten)]
    device: DeviceArgument,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    if arguments.template {
        return console.line(TrainConfig::TEMPLATE.trim_end());
    }
    let place = arguments.device.place()?;
    let mut run = match (&arguments.config, &arguments.resume) {
        (Some(path), _) => {
            let mut config = TrainConfig::read(path, &arguments.changes)?;
            config.run.check_finite |= arguments.check_finite;
            if let Some(dtype) = arguments.dtype {
                config.run.dtype = NumberType::of(dtype);
            }
            if arguments.plan {
                return plan::print(&Run::plan(&config, place.as_ref())?, place.as_ref(), console);
            }
            Run::start(config)?
        }
        (None, Some(root)) => {
            let mut warn = |event: Event<'_>| tell(console, event);
            let change = |config: &mut TrainConfig| {
                if let Some(steps) = arguments.steps {
                    (config.run.steps, config.run.minutes) = (Some(steps), None);
                }
                config.run.check_finite |= arguments.check_finite;
                Ok(())
            };
            Run::resume(root, change, &mut warn)?
        }
        (None, None) => {
            return Err(Failure::usage("train: neither --config nor --resume is given"));
        }
    };
    run.move_to(place.as_ref())?;
    train(&mut run, console)?;
    let (progress, root) = (run.progress(), run.config().run.output.display());
    console.line(format!(
        "{} steps, {} sessions, {:.0} s; run {root}",
        progress.step, progress.samples, progress.seconds
    ))
}

/// Trains to the end with a progress bar.
pub(crate) fn train(run: &mut Run, console: &Console) -> Result<(), Failure> {
    let parameters = run.trainer().parameters().count();
    console.note(format!(
        "{parameters} parameters, {} held-out sessions, from step {}",
        run.held_out_sessions(),
        run.progress().step
    ));
    if let Some(started) = run.started() {
        console.note(started);
    }
    /// Parts of the bar.
    const PARTS: f64 = 1000.0;
    let log_every = run.config().run.log_every.max(1);
    let bar = console.progress("train", "‰", Some(PARTS as u64));
    let mut shown = 0;
    run.train(&mut |event| match event {
        Event::Step { metrics, share } => {
            let parts = (share * PARTS) as u64;
            bar.advance(parts.saturating_sub(shown));
            shown = parts.max(shown);
            if metrics.step % log_every == 0 {
                let losses: Vec<String> =
                    metrics.losses.iter().map(|(task, loss)| format!("{task} {loss:.4}")).collect();
                let speed = metrics.sessions_per_second;
                bar.message(&format!(
                    "step {} {} {speed:.1} sessions/s",
                    metrics.step,
                    losses.join(" ")
                ));
            }
        }
        other => tell(console, other),
    })?;
    drop(bar);
    let statistics = run.loader_statistics();
    if statistics.skipped_sessions() > 0 {
        console.warning(format!("{} damaged sessions were skipped", statistics.skipped_sessions()));
    }
    Ok(())
}

/// Prints what is worth a line.
fn tell(console: &Console, event: Event<'_>) {
    match event {
        Event::Step { .. } => {}
        Event::Evaluated(evaluation) => {
            console.note(format!("held out: loss {:.4}", evaluation.loss))
        }
        Event::Saved(path) => console.note(format!("saved {}", path.display())),
        Event::NotSaved(error) => {
            console.warning(format!("training goes on without a checkpoint: {error}"))
        }
        Event::PassedOver(error) => {
            console.warning(format!("a damaged checkpoint is passed over: {error}"))
        }
    }
}
