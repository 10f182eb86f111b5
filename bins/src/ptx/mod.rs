//! `vincie ptx`: kernels run, checked, listed and shown, with a GPU or without.

mod check;
pub(crate) mod driver;
pub(crate) mod element;
mod list;
mod peaks;
mod report;
mod run;
mod show;

use crate::console::Console;
use crate::failure::Failure;
use clap::{Args, Subcommand};

/// Run, check and read PTX kernels without a GPU.
///
/// The machine executes PTX as an NVIDIA GPU would and reports what a GPU keeps to itself: accesses
/// out of bounds, values nobody wrote, races, missing waits and fences, barriers that not all threads
/// reach. It counts instructions, bank conflicts and sectors as it goes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie ptx run ptx/corpus/t_softmax.launch.toml\n  \
                        vincie ptx check my_kernel.ptx\n  vincie ptx list\n  \
                        vincie ptx show rms_norm")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Run(Box<run::Arguments>),
    Check(check::Arguments),
    Show(show::Arguments),
    List(list::Arguments),
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    match arguments.what {
        What::Run(arguments) => run::run(&arguments, console),
        What::Check(arguments) => check::run(&arguments, console),
        What::Show(arguments) => show::run(&arguments, console),
        What::List(arguments) => list::run(&arguments, console),
    }
}
