//! `vincie eval sprites`: five turns in the synthetic world, judged against the truth.

use super::rollout::{self, Outcome};
use super::settings::{Sampling, Settings};
use super::{planted, report};
use crate::console::Console;
use crate::device::DeviceArgument;
use crate::dtype::DTypeArgument;
use crate::failure::Failure;
use crate::publish;
use crate::table::{Align, Table};
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;
use vincie_data::benchmark::{Tally, TurnScores};
use vincie_data::sprites::{Episode, Purpose, World};
use vincie_dit::session::TrainedModel;

/// Judge five-turn sessions of the synthetic world.
///
/// The first picture and the instructions are drawn from the benchmark's part of the world, which no
/// training sees. The judge has no model: it looks for every sprite of the true scene and compares
/// colours. With `--out`, sessions are kept as they are finished, a stopped run goes on where it was,
/// and `report.html` shows what was made.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  vincie eval sprites --model runs/study --out judged\n  \
                        vincie eval sprites --model runs/study --sessions 50 --chain cs --json\n  \
                        vincie eval sprites --planted judge.png")]
pub(super) struct Arguments {
    /// Folder of a run or of one of its checkpoints
    #[arg(long, value_name = "DIR", required_unless_present = "planted")]
    model: Option<PathBuf>,

    /// Sessions, from the first one on
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    sessions: u64,

    /// Seed of the benchmark; results are comparable under the same one only
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    sampling: Sampling,

    /// Folder for results, which may hold a part of them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,

    /// Show the judge pictures with known errors and draw them with its scores into a PNG file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "out"])]
    planted: Option<PathBuf>,

    #[command(flatten)]
    numbers: DTypeArgument,

    #[command(flatten)]
    device: DeviceArgument,
}

/// What `result.json` holds and `--json` prints.
#[derive(Serialize)]
pub(super) struct Answer {
    #[serde(flatten)]
    pub(super) settings: Settings,
    #[serde(flatten)]
    pub(super) tally: Tally,
    /// Time of this run, and the sessions of it that were not there before.
    pub(super) seconds: f64,
    pub(super) judged_now: usize,
}

pub(super) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    if let Some(path) = &arguments.planted {
        return planted::draw(path, arguments.seed, console);
    }
    let Some(path) = &arguments.model else {
        return Err(Failure::usage("eval sprites: no --model is given"));
    };
    let begun = Instant::now();
    let place = arguments.device.place()?;
    let mut model = TrainedModel::load(path)?;
    model.store_as(arguments.numbers.dtype)?;
    model.move_to(place.as_ref())?;
    let [height, width] = model.size;
    if height != width {
        return Err(Failure::new(format!(
            "{}: the model makes pictures of {width} x {height}; the synthetic world is square",
            path.display()
        )));
    }
    let world = World { side: width, ..World::new(arguments.seed, Purpose::Benchmark) };
    world.check()?;
    let dtype = arguments.numbers.dtype;
    let settings =
        Settings::new("sprites", path, &model, dtype, arguments.seed, &arguments.sampling);
    if let Some(folder) = &arguments.out {
        settings.take(folder)?;
    }
    let bar = console.progress("eval", "sessions", Some(arguments.sessions));
    let one = |number: u64| -> Result<(Episode, Outcome, bool), Failure> {
        let episode = world.episode(number);
        let kept = match &arguments.out {
            Some(folder) => Outcome::read(&episode, number, folder)?,
            None => None,
        };
        let is_new = kept.is_none();
        let outcome = match kept {
            Some(outcome) => outcome,
            None => rollout::run(&model, &episode, number, &arguments.sampling)?,
        };
        if let (Some(folder), true) = (&arguments.out, is_new) {
            outcome.write(&episode, folder)?;
        }
        bar.advance(1);
        Ok((episode, outcome, is_new))
    };
    // Work on a device stands in one stream anyway.
    let all: Vec<_> = match place {
        None => (0..arguments.sessions).into_par_iter().map(one).collect::<Result<_, _>>()?,
        Some(_) => (0..arguments.sessions).map(one).collect::<Result<_, _>>()?,
    };
    drop(bar);
    let scores: Vec<Vec<TurnScores>> =
        all.iter().map(|(_, outcome, _)| outcome.scores.clone()).collect();
    let answer = Answer {
        settings,
        tally: Tally::new(&scores, world.turns),
        seconds: begun.elapsed().as_secs_f64(),
        judged_now: all.iter().filter(|(_, _, is_new)| *is_new).count(),
    };
    if let Some(folder) = &arguments.out {
        let text =
            serde_json::to_string_pretty(&answer).map_err(|e| Failure::new(e.to_string()))?;
        publish::file(&folder.join("result.json"), text.as_bytes())?;
        report::write(&answer, &all, folder)?;
    }
    if arguments.json {
        return console.json(&answer);
    }
    console.line(turns(&answer.tally))?;
    console.line("")?;
    console.line(categories(&answer.tally))
}

/// Success and scores by turn.
pub(super) fn turns(tally: &Tally) -> Table {
    let right = |name| (name, Align::Right);
    let mut table = Table::new([
        right("turn"),
        right("success %"),
        right("95 %"),
        right("prompt following"),
        right("consistency"),
        right("overall"),
    ]);
    for turn in 0..tally.success.len() {
        table.row([
            (turn + 1).to_string(),
            percent(tally.success[turn]),
            span(tally.interval[turn]),
            format!("{:.2}", tally.prompt_following[turn]),
            format!("{:.2}", tally.consistency[turn]),
            format!("{:.2}", tally.overall[turn]),
        ]);
    }
    table
}

/// Success by kind of edit.
pub(super) fn categories(tally: &Tally) -> Table {
    let mut table = Table::new([
        ("edit", Align::Left),
        ("judged", Align::Right),
        ("passed", Align::Right),
        ("success %", Align::Right),
        ("95 %", Align::Right),
    ]);
    for (name, category) in &tally.categories {
        table.row([
            name.clone(),
            category.judged.to_string(),
            category.passed.to_string(),
            percent(category.success),
            span(category.interval),
        ]);
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn span([low, high]: [f64; 2]) -> String {
    format!("{} to {}", percent(low), percent(high))
}
