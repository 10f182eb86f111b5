//! `vincie bench gpu-check`: what a GPU and the emulator make of the same kernels, and all else that is
//! to be seen on a GPU.
//!
//! The check is a list of sections, each a list of cases; a case is a row of the record. Another
//! kind of work is another kind of section.

mod bench;
mod cases;
mod difference;
mod form;
mod golden;
mod jobs;
mod peer;
mod process;
mod protocol;
mod report;
mod section;
mod summary;
mod throughput;
mod tools;
pub(super) mod worker;

use crate::console::Console;
use crate::doctor;
use crate::failure::Failure;
use crate::number::within;
use bench::{Bench, Scratch};
use cases::Cases;
use clap::Args;
use peer::Peer;
use report::{FILE, Part, Record, Row, Status};
use section::Section;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vincie_gpu::DeviceSpec;
use vincie_ptx::Options;
use vincie_ptx::corpus::{CORPUS, EmbeddedSet, MICROTESTS};
use worker::Setup;

/// After how many seconds no case is begun: of launch files alone, and of all sections.
const SECONDS: [f64; 2] = [200.0, 500.0];

/// Seconds between two writes of the record.
const WRITES: Duration = Duration::from_secs(1);

/// Most warp instructions of a launch on the emulator.
const MAX_INSTRUCTIONS: u64 = 200_000_000;

/// The sets inside the program, and whether their outputs are rows of microtests.
const SETS: [(&EmbeddedSet, bool); 2] = [(&MICROTESTS, true), (&CORPUS, false)];

/// Run the microtests and the corpus on a GPU and on the emulator, and tell where they differ.
///
/// With `--all`, every kernel of the catalogue is held to its reference, too, and the model to its
/// golden numbers and to the host's training; then products, attention, norms, the optimizer, training
/// steps and an edit are timed, beside PyTorch where `python3` has it, and NVIDIA's profiler and
/// sanitizer look at the slowest kernels where they are installed. Everything else that is run is inside
/// the program. A case
/// `fails` where the GPU's outputs are beyond
/// the tolerance of what is expected, and `differs` where they are within it but not the emulator's
/// bits. Each case runs in a process of the device's that is replaced when a kernel faults or does
/// not end. Cases with a planted flaw run on the emulator only. DIR/gpu-check.json holds everything
/// that was seen so far at any time, and says `"complete": true` at the end.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie bench gpu-check --out results\n  \
                        vincie bench gpu-check --out results --all\n  \
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

    /// Run all sections, not only those of launch files
    #[arg(long)]
    all: bool,

    /// Run only the sections of these names: microtests, corpus, kernels, parity, bench, profile,
    /// or a folder of --cases
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Python with torch to compare times with; python3 where the device is a GPU
    #[arg(long, value_name = "PROGRAM")]
    peer_python: Option<PathBuf>,

    /// Folder of golden numbers for the section parity, instead of those in the program
    #[arg(long, value_name = "DIR")]
    parity: Option<PathBuf>,

    /// Longest time of a case on the device
    #[arg(long, value_name = "S", default_value_t = 20.0, value_parser = within(0.01..=3600.0))]
    timeout: f64,

    /// Time after which no case is begun; 200, or 500 with --all
    #[arg(long, value_name = "S", value_parser = within(0.0..=86400.0))]
    seconds: Option<f64>,

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
    let scratch = Scratch::new()?;
    let setup = Setup {
        device: arguments.device,
        max_instructions: MAX_INSTRUCTIONS,
        traces: arguments.trace.is_some(),
        compiled: scratch.path().join("compiled"),
    };
    let options = Options { max_instructions: MAX_INSTRUCTIONS, ..Options::default() };
    let timeout = Duration::from_secs_f64(arguments.timeout);
    let mut bench = Bench::open(setup, scratch, timeout, options)?;
    bench.peer = arguments.peer(bench.scratch.path());
    let sections = arguments.sections(&bench, own)?;
    fs::create_dir_all(&arguments.out)
        .map_err(|error| Failure::new(format!("{}: {error}", arguments.out.display())))?;
    console.note(bench.about.line());
    let mut record = Record::new(bench.about.clone(), doctor::kernel_module());
    let seconds = arguments.seconds.unwrap_or(SECONDS[usize::from(arguments.all)]);
    let end = begun + Duration::from_secs_f64(seconds);
    let total: usize = sections.iter().map(Section::len).sum();
    let progress = console.progress("gpu-check", "cases", Some(total as u64));
    let mut written = begun;
    for (number, section) in sections.iter().enumerate() {
        let start = Instant::now();
        let shares: u64 = sections[number..].iter().map(|section| section.share).sum();
        let left = end.saturating_duration_since(start);
        let deadline = start + left.mul_f64(section.share as f64 / shares as f64);
        record.sections.push(Part { name: section.name.clone(), seconds: 0.0, rows: Vec::new() });
        for index in 0..section.len() {
            let name = section.case(index);
            progress.message(&name);
            let row = if Instant::now() < deadline {
                section.run(index, &mut bench, end)
            } else {
                bench.is_cut = true;
                let spent = deadline.duration_since(start).as_secs_f64().min(seconds);
                let reason = format!("{spent:.0} s are spent; see --seconds");
                Row::new(&name).because(Status::Skipped, reason)
            };
            record.add(row);
            record.seconds = begun.elapsed().as_secs_f64();
            if written.elapsed() >= WRITES {
                record.publish(&arguments.out)?;
                written = Instant::now();
            }
            progress.advance(1);
        }
        let part = record.sections.last_mut().expect("one was added");
        part.seconds = start.elapsed().as_secs_f64();
        record.publish(&arguments.out)?;
    }
    drop(progress);
    if let Some(path) = &arguments.trace {
        bench.write_trace(path)?;
    }
    record.complete = true;
    record.seconds = begun.elapsed().as_secs_f64();
    record.publish(&arguments.out)?;
    if arguments.all {
        summary::publish(&record, &arguments.out)?;
    }
    if arguments.json {
        console.json(&record)?;
    } else {
        record.print(arguments.all, console)?;
    }
    if record.passed { Ok(()) } else { Err(Failure::Reported) }
}

impl Arguments {
    /// PyTorch: on the device where that is a GPU, else on the host, and only where it is asked for.
    fn peer(&self, scratch: &Path) -> Option<Peer> {
        let (python, device) = match (&self.peer_python, self.device) {
            (python, DeviceSpec::Cuda(_)) => {
                (python.clone().unwrap_or_else(|| "python3".into()), "cuda")
            }
            (Some(python), _) => (python.clone(), "cpu"),
            (None, _) => return None,
        };
        Some(Peer::new(python, device, scratch))
    }

    /// The folders of `--cases`, by their names.
    fn own_cases(&self) -> Result<Vec<Cases>, Failure> {
        let cases = |folder: &PathBuf| {
            let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
            Cases::of(&name, folder, false).map_err(Failure::malformed)
        };
        self.cases.iter().map(cases).collect()
    }

    /// The sections that are asked for; the sets inside the program are unpacked.
    fn sections(&self, bench: &Bench, own: Vec<Cases>) -> Result<Vec<Section>, Failure> {
        let mut sections = Vec::new();
        for (set, has_forms) in SETS {
            let folder = bench.scratch.path().join(set.name);
            set.unpack(&folder)
                .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
            let cases = Cases::of(set.name, &folder, has_forms).map_err(Failure::new)?;
            sections.push(Section::launches(cases));
        }
        let files = sections.len() + own.len();
        sections.extend(own.into_iter().map(Section::launches));
        sections.push(Section::kernels(bench.is_emulated()));
        let (own, scratch) = (self.parity.as_deref(), bench.scratch.path());
        sections.push(Section::parity(own, scratch, bench.is_emulated())?);
        sections.push(Section::bench(bench.is_emulated()));
        sections.push(Section::profile(&self.out));
        for name in &self.only {
            if !sections.iter().any(|section| section.name == *name) {
                let have: Vec<&str> = sections.iter().map(|s| s.name.as_str()).collect();
                let have = have.join(", ");
                return Err(Failure::usage(format!("--only {name}: expected one of {have}")));
            }
        }
        if !self.only.is_empty() {
            sections.retain(|section| self.only.contains(&section.name));
        } else if !self.all {
            sections.truncate(files);
        }
        Ok(sections)
    }
}
