//! `vincie`: annotates video into sessions, trains on them and edits. This crate parses arguments,
//! shows progress and calls the other crates; one file, or folder, a subcommand.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage. Results go to standard output, everything else to
//! standard error, and a failure is one line that begins with `error: `.
#![forbid(unsafe_code)]

mod annotate;
mod bench;
mod command;
mod console;
mod convert;
mod device;
mod disk;
mod doctor;
mod dtype;
mod edit;
mod eval;
mod failure;
mod import;
mod inspect;
mod new_checkpoint;
mod number;
mod plan;
mod progress;
mod ptx;
mod publish;
mod quickstart;
mod report;
mod sprites;
mod table;
mod train;
mod verify;

use clap::Parser;
use command::CommandLine;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match CommandLine::try_parse() {
        Ok(line) => line.run(),
        Err(error) => Err(Failure::from(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
