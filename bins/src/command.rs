//! The arguments that every command shares, and the list of commands.

use crate::console::Console;
use crate::failure::Failure;
use crate::{
    annotate, bench, convert, doctor, edit, eval, import, inspect, new_checkpoint, ptx, quickstart,
    sprites, train, verify,
};
use clap::{Parser, Subcommand};
use std::sync::LazyLock;

/// Most threads that `--threads` takes.
const MAX_THREADS: u64 = 1024;

/// Heading of the options that every command takes.
const GLOBAL: &str = "Options of every command";

/// The package's version, and the commit where the build was told one by `VINCIE_COMMIT`.
pub(crate) static VERSION: LazyLock<String> =
    LazyLock::new(|| match option_env!("VINCIE_COMMIT") {
        Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    });

/// Learns in-context image editing from video: turns videos into sessions of frames, instructions
/// and masks, trains a diffusion transformer on them and edits images turn by turn.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "vincie", version = VERSION.as_str(), propagate_version = true)]
pub(crate) struct CommandLine {
    /// Threads that compute; all cores by default
    #[arg(long, global = true, value_name = "N", help_heading = GLOBAL)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MAX_THREADS))]
    threads: Option<u64>,

    /// Print results and errors only, no progress
    #[arg(long, global = true, help_heading = GLOBAL)]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Arguments),
    Annotate(annotate::Arguments),
    Import(import::Arguments),
    Sprites(sprites::Arguments),
    Train(train::Arguments),
    Edit(edit::Arguments),
    Convert(convert::Arguments),
    NewCheckpoint(new_checkpoint::Arguments),
    Eval(eval::Arguments),
    Inspect(inspect::Arguments),
    Verify(verify::Arguments),
    Bench(bench::Arguments),
    Ptx(ptx::Arguments),
    Doctor(doctor::Arguments),
}

impl CommandLine {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failure> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads as usize)
                .build_global()
                .map_err(|error| Failure::new(format!("--threads {threads}: {error}")))?;
        }
        let console = Console::new(self.quiet);
        match self.command {
            Command::Quickstart(arguments) => quickstart::run(arguments, &console),
            Command::Annotate(arguments) => annotate::run(arguments, &console),
            Command::Import(arguments) => import::run(arguments, &console),
            Command::Sprites(arguments) => sprites::run(arguments, &console),
            Command::Train(arguments) => train::run(arguments, &console),
            Command::Edit(arguments) => edit::run(arguments, &console),
            Command::Convert(arguments) => convert::run(arguments, &console),
            Command::NewCheckpoint(arguments) => new_checkpoint::run(arguments, &console),
            Command::Eval(arguments) => eval::run(arguments, &console),
            Command::Inspect(arguments) => inspect::run(arguments, &console),
            Command::Verify(arguments) => verify::run(arguments, &console),
            Command::Bench(arguments) => bench::run(arguments, &console),
            Command::Ptx(arguments) => ptx::run(arguments, &console),
            Command::Doctor(arguments) => doctor::run(arguments, &console),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_declaration_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_description_and_an_example() {
        let mut line = CommandLine::command();
        line.build();
        let commands: Vec<_> = line.get_subcommands().filter(|c| c.get_name() != "help").collect();
        assert!(commands.len() >= 4, "{} commands", commands.len());
        for command in commands {
            let name = command.get_name();
            assert!(command.get_long_about().is_some(), "{name} has no paragraph of description");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains(&format!("vincie {name}")), "{name} has no example");
        }
    }
}
