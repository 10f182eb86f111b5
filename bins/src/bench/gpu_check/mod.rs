//! `vincie bench gpu-check`: what a GPU and the emulator make of the same kernels.
//!
//! The check is a list of sections, each a list of cases; a case is a row of the record. Another
//! kind of work is another kind of section.

mod bench;
mod cases;
mod difference;
mod form;
mod report;
pub(super) mod worker;

use crate::console::Console;
use crate::doctor;
use crate::failure::Failure;
use crate::number::within;
use bench::Bench;
use cases::Cases;
use clap::Args;
use report::{FILE, Part, Record, Row, Status};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vincie_gpu::DeviceSpec;
use vincie_ptx::Options;
use vincie_ptx::corpus::{CORPUS, EmbeddedSet, MICROTESTS};
use worker::Setup;

/// Most warp instructions of a launch on the emulator.
const MAX_INSTRUCTIONS: u64 = 200_000_000;

/// The sets inside the program, and whether their outputs are rows of microtests.
const SETS: [(&EmbeddedSet, bool); 2] = [(&MICROTESTS, true), (&CORPUS, false)];

/// Run the microtests and the corpus on a GPU and on the emulator, and tell where they differ.
///
/// Everything that is run is inside the program. A case `fails` where the GPU's outputs are beyond
/// the tolerance of what is expected, and `differs` where they are within it but not the emulator's
/// bits. Each case runs in a process of the device's that is replaced when a kernel faults or does
/// not end. Cases with a planted flaw run on the emulator only. DIR/gpu-check.json holds everything
/// that was seen so far at any time, and says `"complete": true` at the end.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie bench gpu-check --out results\n  \
                        vincie bench gpu-check --out results --cases mine --trace trace.json")]
pub(super) struct Arguments {
    /// Folder for the record; made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Device that is checked: cuda[:N] or emulated[:N]
    #[arg(long, value_name = "DEVICE", default_value = "cuda")]
    device: DeviceSpec,

    /// Run the launch files of a folder, too
    #[arg(long, value_name = "DIR")]
    cases: Vec<PathBuf>,

    /// Run only the sections of these names: microtests, corpus, or a folder of --cases
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Longest time of a case on the device
    #[arg(long, value_name = "S", default_value_t = 20.0, value_parser = within(0.01..=3600.0))]
    timeout: f64,

    /// Time after which no case is begun
    #[arg(long, value_name = "S", default_value_t = 200.0, value_parser = within(0.0..=86400.0))]
    seconds: f64,

    /// Write when the host and the device did what, for Perfetto or Chrome
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    let begun = Instant::now();
    if arguments.device == DeviceSpec::Cpu {
        return Err(Failure::usage("device cpu: expected cuda[:N] or emulated[:N]"));
    }
    let record = arguments.out.join(FILE);
    if record.exists() {
        let record = record.display();
        return Err(Failure::new(format!("{record}: exists already; name another folder")));
    }
    let own = arguments.own_cases()?;
    let setup = Setup {
        device: arguments.device,
        max_instructions: MAX_INSTRUCTIONS,
        traces: arguments.trace.is_some(),
    };
    let options = Options { max_instructions: MAX_INSTRUCTIONS, ..Options::default() };
    let timeout = Duration::from_secs_f64(arguments.timeout);
    let mut bench = Bench::open(setup, timeout, options)?;
    let sections = arguments.sections(&bench, own)?;
    fs::create_dir_all(&arguments.out)
        .map_err(|error| Failure::new(format!("{}: {error}", arguments.out.display())))?;
    console.note(bench.about.line());
    let mut record = Record::new(bench.about.clone(), doctor::kernel_module());
    let deadline = begun + Duration::from_secs_f64(arguments.seconds);
    let total: usize = sections.iter().map(Cases::len).sum();
    let progress = console.progress("gpu-check", "cases", Some(total as u64));
    for section in &sections {
        let start = Instant::now();
        record.sections.push(Part { name: section.name.clone(), seconds: 0.0, rows: Vec::new() });
        for index in 0..section.len() {
            let name = section.case(index);
            progress.message(&name);
            let row = if Instant::now() < deadline {
                section.run(index, &mut bench)
            } else {
                let reason = format!("{} s are spent; see --seconds", arguments.seconds);
                Row::new(&name).because(Status::Skipped, reason)
            };
            record.add(row);
            record.seconds = begun.elapsed().as_secs_f64();
            record.publish(&arguments.out)?;
            progress.advance(1);
        }
        let part = record.sections.last_mut().expect("one was added");
        part.seconds = start.elapsed().as_secs_f64();
    }
    drop(progress);
    if let Some(path) = &arguments.trace {
        bench.write_trace(path)?;
    }
    record.complete = true;
    record.seconds = begun.elapsed().as_secs_f64();
    record.publish(&arguments.out)?;
    if arguments.json {
        console.json(&record)?;
    } else {
        record.print(console)?;
    }
    if record.passed { Ok(()) } else { Err(Failure::Reported) }
}

impl Arguments {
    /// The folders of `--cases`, by their names.
    fn own_cases(&self) -> Result<Vec<Cases>, Failure> {
        let cases = |folder: &PathBuf| {
            let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
            Cases::of(&name, folder, false).map_err(Failure::malformed)
        };
        self.cases.iter().map(cases).collect()
    }

    /// The sections that are asked for; the sets inside the program are unpacked.
    fn sections(&self, bench: &Bench, own: Vec<Cases>) -> Result<Vec<Cases>, Failure> {
        let mut sections = Vec::new();
        for (set, has_forms) in SETS {
            let folder = bench.scratch.path().join(set.name);
            set.unpack(&folder)
                .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
            sections.push(Cases::of(set.name, &folder, has_forms).map_err(Failure::new)?);
        }
        sections.extend(own);
        for name in &self.only {
            if !sections.iter().any(|section| section.name == *name) {
                let have: Vec<&str> = sections.iter().map(|s| s.name.as_str()).collect();
                let have = have.join(", ");
                return Err(Failure::usage(format!("--only {name}: expected one of {have}")));
            }
        }
        sections.retain(|section| self.only.is_empty() || self.only.contains(&section.name));
        Ok(sections)
    }
}
