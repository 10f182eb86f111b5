//! `vincie ptx show`: what a kernel is, without running it.

use super::check::read;
use crate::console::Console;
use crate::failure::Failure;
use clap::Args;
use std::path::PathBuf;
use vincie_ptx::Module;
use vincie_ptx::contract::Contract;

/// Show what a PTX file holds: entries, parameters, memory, instructions by class.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie ptx show my_kernel.ptx\n  \
                        vincie ptx show my_kernel.ptx --text")]
pub(super) struct Arguments {
    /// PTX file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print the text itself, too, with line numbers as findings give them
    #[arg(long)]
    text: bool,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    let text = read(&arguments.file)?;
    let name = arguments.file.display().to_string();
    let module = Module::parse(&text, &name).map_err(Failure::malformed)?;
    console.line(format!("{name}: target {}", module.target))?;
    if let Ok(contract) = Contract::parse(&text, &name) {
        console.line(format!("  {}", contract.summary))?;
        console.line(format!("  grid ({}), block {}", contract.grid.join(", "), contract.block))?;
    }
    for entry in module.entries() {
        let kernel = module.kernel(entry).map_err(Failure::malformed)?;
        console.line(format!("entry {entry}"))?;
        for param in &kernel.params {
            console.line(format!(
                "  parameter {:<24} {:>4} bytes at {}",
                param.name, param.bytes, param.offset
            ))?;
        }
        console.line(format!(
            "  {} instructions, {} virtual registers, {} bytes of static shared memory",
            kernel.instructions(),
            kernel.virtual_registers,
            kernel.static_shared
        ))?;
        for directive in ["reqntid", "maxntid", "minnctapersm", "reqnctapercluster"] {
            if let Some(values) = kernel.directive(directive) {
                console.line(format!("  .{directive} {values:?}"))?;
            }
        }
        for (class, count) in kernel.instructions_by_class() {
            console.line(format!("  {class:<26} {count:>6}"))?;
        }
        for finding in kernel.lint(&module) {
            console.line(format!("  {finding}"))?;
        }
    }
    if arguments.text {
        for (number, line) in text.lines().enumerate() {
            console.line(format!("{:>5}  {line}", number + 1))?;
        }
    }
    Ok(())
}
