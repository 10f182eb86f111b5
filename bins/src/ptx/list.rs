//! `vincie ptx list`: the kernels inside the program.

use crate::console::Console;
use crate::failure::Failure;
use crate::table::{Align, Table};
use clap::Args;
use serde::Serialize;
use vincie_ptx::catalogue::{Entry, kernels};
use vincie_ptx::contract::{Contract, ContractParam};
use vincie_ptx::resources::Table as Resources;

/// List the kernels inside the program with what they take.
///
/// Shapes, blocks and shared memory are those of the contract in a kernel's header. Registers are
/// those of the committed table for the kernel's architecture, else the most that the contract allows;
/// `vincie ptx check` asks the assembler.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie ptx list\n  vincie ptx list rms_norm --json")]
pub(super) struct Arguments {
    /// Only the kernels of these ops
    #[arg(value_name = "OP")]
    ops: Vec<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// One kernel.
#[derive(Serialize)]
struct Listed {
    kernel: &'static str,
    op: &'static str,
    arch: &'static str,
    file: &'static str,
    summary: String,
    params: Vec<String>,
    grid: Vec<String>,
    block: u32,
    shared_bytes: usize,
    registers: Option<u32>,
    most_registers: Option<u32>,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    for op in &arguments.ops {
        if !kernels().iter().any(|entry| entry.op == op) {
            return Err(Failure::usage(format!("no op '{op}'; expected one of {}", ops())));
        }
    }
    let is_wanted =
        |entry: &&Entry| arguments.ops.is_empty() || arguments.ops.iter().any(|op| entry.op == op);
    let listed: Result<Vec<Listed>, Failure> =
        kernels().iter().filter(is_wanted).map(listed).collect();
    let listed = listed?;
    if arguments.json {
        return console.json(&serde_json::json!({ "kernels": listed }));
    }
    let left = |name| (name, Align::Left);
    let right = |name| (name, Align::Right);
    let mut table = Table::new([
        left("kernel"),
        left("op"),
        left("arch"),
        right("block"),
        right("shared"),
        right("registers"),
        left("parameters"),
    ]);
    for kernel in &listed {
        table.row([
            kernel.kernel.to_owned(),
            kernel.op.to_owned(),
            kernel.arch.to_owned(),
            kernel.block.to_string(),
            kernel.shared_bytes.to_string(),
            kernel.registers(),
            kernel.params.join(", "),
        ]);
    }
    console.line(table)
}

impl Listed {
    fn registers(&self) -> String {
        match (self.registers, self.most_registers) {
            (Some(registers), _) => registers.to_string(),
            (None, Some(most)) => format!("<= {most}"),
            (None, None) => "-".to_owned(),
        }
    }
}

/// Names of all ops that have kernels.
pub(super) fn ops() -> String {
    let mut ops: Vec<&str> = kernels().iter().map(|entry| entry.op).collect();
    ops.dedup();
    ops.join(", ")
}

fn listed(entry: &'static Entry) -> Result<Listed, Failure> {
    let contract = Contract::parse(entry.text(), &entry.file).map_err(Failure::new)?;
    Ok(Listed {
        kernel: &entry.name,
        op: entry.op,
        arch: &entry.arch,
        file: &entry.file,
        summary: contract.summary,
        params: contract.params.iter().map(parameter).collect(),
        grid: contract.grid,
        block: contract.block,
        shared_bytes: contract.shared_bytes,
        registers: Resources::committed().registers(&entry.name, &entry.arch),
        most_registers: contract.registers,
    })
}

/// A parameter as contracts write it.
fn parameter(param: &ContractParam) -> String {
    let ContractParam { name, is_pointer, element, shape } = param;
    match (is_pointer, shape.is_empty()) {
        (false, _) => format!("{name}: {element}"),
        (true, true) => format!("{name}: ptr {element}"),
        (true, false) => format!("{name}: ptr {element} [{}]", shape.join(",")),
    }
}
