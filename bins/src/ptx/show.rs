//! `vincie ptx show`: what a kernel is, without running it.

use super::check::read;
use super::list::ops;
use crate::console::Console;
use crate::failure::Failure;
use clap::Args;
use std::borrow::Cow;
use std::path::Path;
use vincie_ptx::Module;
use vincie_ptx::catalogue::{Entry, kernels};
use vincie_ptx::contract::Contract;

/// Show what a PTX file or a kernel of the program is: entries, parameters, memory, instructions.
///
/// WHAT is a file, a kernel's name or an op, whose kernels are then all shown.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie ptx show my_kernel.ptx --text\n  \
                        vincie ptx show rms_norm --arch sm_80\n  \
                        vincie ptx show swiglu_forward_f32 --ptx > swiglu.ptx")]
pub(super) struct Arguments {
    /// PTX file, kernel or op
    #[arg(value_name = "WHAT")]
    what: String,

    /// Only kernels written for this architecture, such as sm_80 or sm_90a
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,

    /// Print the text itself, too, with line numbers as findings give them
    #[arg(long)]
    text: bool,

    /// Print nothing but the text, as it is given to the driver
    #[arg(long, conflicts_with = "text")]
    ptx: bool,
}

/// A text with its name in messages.
type Named = (String, Cow<'static, str>);

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    let texts = arguments.texts()?;
    if arguments.ptx {
        let [(_, text)] = texts.as_slice() else {
            let names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
            let (what, names) = (&arguments.what, names.join(", "));
            return Err(Failure::usage(format!("--ptx: '{what}' is several kernels: {names}")));
        };
        return console.line(text.trim_end());
    }
    for (name, text) in &texts {
        show(name, text, console)?;
        if arguments.text {
            for (number, line) in text.lines().enumerate() {
                console.line(format!("{:>5}  {line}", number + 1))?;
            }
        }
    }
    Ok(())
}

impl Arguments {
    fn texts(&self) -> Result<Vec<Named>, Failure> {
        let what = self.what.as_str();
        let of_program = |entry: &&Entry| entry.name == what || entry.op == what;
        let found: Vec<&'static Entry> = kernels().iter().filter(of_program).collect();
        let path = Path::new(what);
        // A file goes first where it is written as one; an op's name may be a folder's, too.
        if found.is_empty() || path.is_file() {
            if !path.exists() && !what.contains(['/', '.']) {
                let ops = ops();
                let message = format!("'{what}' is no file, kernel or op; ops with kernels: {ops}");
                return Err(Failure::usage(message));
            }
            return Ok(vec![(path.display().to_string(), read(path)?.into())]);
        }
        let is_wanted = |entry: &Entry| self.arch.as_ref().is_none_or(|arch| entry.arch == *arch);
        let (wanted, others): (Vec<&Entry>, Vec<&Entry>) =
            found.into_iter().partition(|entry| is_wanted(entry));
        if wanted.is_empty() {
            let mut have: Vec<&str> = others.iter().map(|entry| entry.arch.as_str()).collect();
            have.dedup();
            let message = format!("--arch: '{what}' is written for {}", have.join(", "));
            return Err(Failure::usage(message));
        }
        let text = |entry: &'static Entry| (entry.name.clone(), Cow::Borrowed(entry.text()));
        Ok(wanted.into_iter().map(text).collect())
    }
}

fn show(name: &str, text: &str, console: &Console) -> Result<(), Failure> {
    let module = Module::parse(text, name).map_err(Failure::malformed)?;
    console.line(format!("{name}: target {}", module.target))?;
    if let Ok(contract) = Contract::parse(text, name) {
        console.line(format!("  {}", contract.summary))?;
        console.line(format!("  grid ({}), block {}", contract.grid.join(", "), contract.block))?;
        if !contract.limits.is_empty() {
            console.line(format!("  limits {}", contract.limits.join(", ")))?;
        }
        if !contract.order.is_empty() {
            console.line(format!("  order of sums: {}", contract.order))?;
        }
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
    Ok(())
}
