//! `vincie eval`: benchmarks of trained models, and of what sessions are made with.

mod planted;
mod report;
mod rollout;
mod settings;
mod sprites;

use crate::console::Console;
use crate::failure::Failure;
use clap::{Args, Subcommand};

/// Judge a trained model.
///
/// Every benchmark lets the model edit for several turns, each on its own earlier outputs, and scores
/// every turn for how well the instruction was followed and how well everything else was kept, 0 to 10
/// each. A turn passes when both are above 6, the first failure ends a session, and the success of a
/// turn is its passes over all sessions.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie eval sprites --model runs/study --out judged")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    Sprites(sprites::Arguments),
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    match arguments.benchmark {
        Benchmark::Sprites(arguments) => sprites::run(arguments, console),
    }
}
