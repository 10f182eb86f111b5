//! `vincie ptx check`: header contracts, and the assembler's word where there is one.

use crate::console::Console;
use crate::failure::Failure;
use crate::table::{Align, Table};
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use vincie_ptx::assembler::{Assembler, Resources, TOOLS, VARIABLE};
use vincie_ptx::catalogue::{Entry, kernels};
use vincie_ptx::contract::Contract;
use vincie_ptx::resources::{self, TARGETS};
use vincie_ptx::{Module, Result as PtxResult};

/// Largest PTX file, bytes.
const MAX_FILE: u64 = 64 << 20;

/// Check PTX files: syntax, header contracts, registers, spills.
///
/// Every entry must decode; a file that begins with a header contract must keep it. Where `ptxas` is
/// found ($PTXAS, the path, or the package nvidia-cuda-nvcc in `.tools`), every file is assembled and
/// errors, spills, stack frames and silent repairs count as failures. Without files, all kernels of
/// the program are checked; they may take no more registers and shared memory than the committed
/// table says, if the assembler is of the release that counted then.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie ptx check\n  vincie ptx check my_kernel.ptx\n  \
                        vincie ptx check ptx/corpus/*.ptx --target sm_90a")]
pub(super) struct Arguments {
    /// PTX files; the program's own kernels by default
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Targets to assemble for; each file's own by default, and for the program's kernels all from
    /// their own on that the table of resources has
    #[arg(long = "target", value_name = "ARCH")]
    targets: Vec<String>,

    /// Accept stack frames and spills, which recursive functions and local arrays need
    #[arg(long)]
    allow_stack: bool,

    /// Fail where there is no assembler
    #[arg(long)]
    require_assembler: bool,

    /// Write the table of what the program's kernels take, instead of comparing with it
    /// (ptx/kernels/resources.txt in the repository)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "targets"])]
    write_table: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    passed: bool,
    assembler: Option<PathBuf>,
    files: Vec<Checked>,
}

/// What was found of one file and target.
#[derive(Serialize)]
struct Checked {
    file: String,
    entry: String,
    target: String,
    contract: &'static str,
    registers: Option<u32>,
    shared_bytes: Option<u32>,
    complaints: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    let read = |path: &PathBuf| Ok((path.display().to_string(), read(path)?));
    let texts: Vec<(String, String)> =
        arguments.files.iter().map(read).collect::<Result<_, Failure>>()?;
    let assembler = Assembler::find();
    if assembler.is_none() {
        let where_from = format!(
            "no ptxas: neither ${VARIABLE} nor the path nor {TOOLS} has one \
             (python3 -m venv {TOOLS} && {TOOLS}/bin/pip install --no-deps nvidia-cuda-nvcc==13.0.88)"
        );
        if arguments.require_assembler || arguments.write_table.is_some() {
            return Err(Failure::new(where_from));
        }
        console.note(format!("skipped: assembly: {where_from}"));
    }
    let mut files = Vec::new();
    if arguments.files.is_empty() {
        let check = |entry: &Entry| {
            let own = targets(entry);
            let targets = if arguments.targets.is_empty() { &own } else { &arguments.targets };
            check(&entry.name, entry.text(), arguments, targets, assembler.as_ref())
        };
        let checked: Result<Vec<_>, Failure> = kernels().par_iter().map(check).collect();
        files.extend(checked?.into_iter().flatten());
        if let Some(assembler) = &assembler {
            hold_to_table(&mut files, arguments, assembler, console)?;
        }
    }
    for (name, text) in &texts {
        files.extend(check(name, text, arguments, &arguments.targets, assembler.as_ref())?);
    }
    let passed = files.iter().all(|file| file.complaints.is_empty());
    if arguments.json {
        let assembler = assembler.map(|assembler| assembler.path().to_owned());
        console.json(&Answer { passed, assembler, files })?;
    } else {
        print(&files, console)?;
    }
    if passed { Ok(()) } else { Err(Failure::Reported) }
}

/// Targets of the table that a kernel runs on: its own, and later ones unless it is made for one only.
fn targets(entry: &Entry) -> Vec<String> {
    let own = TARGETS.iter().position(|target| *target == entry.arch);
    let last = if entry.arch.ends_with('a') { own.map_or(0, |own| own + 1) } else { TARGETS.len() };
    match own {
        Some(own) => TARGETS[own..last].iter().map(|target| (*target).to_owned()).collect(),
        None => vec![entry.arch.clone()],
    }
}

/// Compares what kernels take with the committed table, or writes it anew.
fn hold_to_table(
    files: &mut [Checked],
    arguments: &Arguments,
    assembler: &Assembler,
    console: &Console,
) -> Result<(), Failure> {
    let release = assembler.release().map_err(Failure::new)?;
    if let Some(path) = &arguments.write_table {
        if files.iter().any(|file| !file.complaints.is_empty()) {
            console.note("the table is not written: there are complaints");
            return Ok(());
        }
        let mut table = resources::Table::new(release);
        for file in files.iter() {
            if let Some(found) = file.counted() {
                table.insert(&file.target, &found);
            }
        }
        let fail = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
        let partial = path.with_extension("partial");
        fs::write(&partial, table.to_string()).map_err(fail)?;
        return fs::rename(&partial, path).map_err(fail);
    }
    let table = resources::Table::committed();
    if release != table.release {
        let theirs = &table.release;
        console.note(format!("skipped: table of resources: of ptxas {theirs}, this is {release}"));
        return Ok(());
    }
    for file in files.iter_mut().filter(|file| TARGETS.contains(&&file.target[..])) {
        let found = file.counted();
        file.complaints.extend(found.and_then(|found| table.complaint(&file.target, &found)));
    }
    Ok(())
}

impl Checked {
    /// What the assembler counted for the entry.
    fn counted(&self) -> Option<Resources> {
        Some(Resources {
            entry: self.entry.clone(),
            registers: self.registers?,
            shared_bytes: self.shared_bytes?,
            ..Default::default()
        })
    }
}

/// Rows for the entries of a text, assembled for these targets, or its own where there are none.
fn check(
    name: &str,
    text: &str,
    arguments: &Arguments,
    targets: &[String],
    assembler: Option<&Assembler>,
) -> Result<Vec<Checked>, Failure> {
    let row =
        |entry: &str, target: &str, contract: &'static str, complaints: Vec<String>| Checked {
            file: name.to_owned(),
            entry: entry.to_owned(),
            target: target.to_owned(),
            contract,
            registers: None,
            shared_bytes: None,
            complaints,
        };
    let module = match Module::parse(text, name) {
        Ok(module) => module,
        Err(error) => return Ok(vec![row("", "", "-", vec![error.to_string()])]),
    };
    let has_header = text.lines().take(12).any(|line| line.starts_with("// params"));
    let kept = has_header.then(|| keep(text, name, &module));
    let most = kept.as_ref().and_then(|kept| kept.as_ref().ok()?.registers);
    let (contract, mut complaints) = match kept {
        None => ("none", Vec::new()),
        Some(Ok(_)) => ("kept", Vec::new()),
        Some(Err(error)) => ("broken", vec![error.to_string()]),
    };
    for entry in module.entries() {
        match module.kernel(entry) {
            Ok(kernel) => complaints.extend(kernel.lint(&module).iter().map(ToString::to_string)),
            Err(error) => complaints.push(error.to_string()),
        }
    }
    let Some(assembler) = assembler else {
        let entries: Vec<&str> = module.entries().collect();
        return Ok(vec![row(&entries.join(" "), &module.target, contract, complaints)]);
    };
    let own = [module.target.clone()];
    let mut targets = if targets.is_empty() { own.to_vec() } else { targets.to_vec() };
    targets.dedup();
    let mut rows = Vec::new();
    for target in &targets {
        let assembly = assembler.assemble(text, target).map_err(Failure::new)?;
        let mut all = complaints.clone();
        all.extend(assembly.complaints);
        if assembly.entries.is_empty() {
            rows.push(row("", target, contract, all));
            continue;
        }
        for entry in assembly.entries {
            if !arguments.allow_stack {
                all.extend(entry.overflows());
            }
            if let Some(most) = most.filter(|most| entry.registers > *most) {
                let Resources { entry, registers, .. } = &entry;
                all.push(format!("{entry}: {registers} registers; its contract has {most}"));
            }
            rows.push(Checked {
                registers: Some(entry.registers),
                shared_bytes: Some(entry.shared_bytes),
                ..row(&entry.entry, target, contract, std::mem::take(&mut all))
            });
        }
    }
    Ok(rows)
}

/// The text of a PTX file of reasonable size.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let fail =
        |what: &dyn std::fmt::Display| Failure::malformed(format!("{}: {what}", path.display()));
    let bytes = fs::metadata(path).map_err(|e| fail(&e))?.len();
    if bytes > MAX_FILE {
        return Err(fail(&format!("{bytes} bytes; the limit is {MAX_FILE}")));
    }
    let bytes = fs::read(path).map_err(|e| fail(&e))?;
    String::from_utf8(bytes).map_err(|_| fail(&"is no text"))
}

fn keep(text: &str, name: &str, module: &Module) -> PtxResult<Contract> {
    let contract = Contract::parse(text, name)?;
    contract.verify(module)?;
    Ok(contract)
}

fn print(files: &[Checked], console: &Console) -> Result<(), Failure> {
    let left = |name| (name, Align::Left);
    let right = |name| (name, Align::Right);
    let mut table = Table::new([
        left("file"),
        left("entry"),
        left("target"),
        left("contract"),
        right("registers"),
        right("shared"),
        left("result"),
    ]);
    for file in files {
        let number = |n: Option<u32>| n.map_or("-".to_owned(), |n| n.to_string());
        let result = if file.complaints.is_empty() { "ok" } else { "FAIL" };
        table.row([
            file.file.clone(),
            file.entry.clone(),
            file.target.clone(),
            file.contract.to_owned(),
            number(file.registers),
            number(file.shared_bytes),
            result.to_owned(),
        ]);
    }
    console.line(table)?;
    for file in files {
        for complaint in &file.complaints {
            console.line(format!("{}: {complaint}", file.file))?;
        }
    }
    Ok(())
}
