//! The process that talks to the device. A kernel may fault, which ends the use of a device for its
//! process, or never end: then this process is replaced and nothing else is lost.
//!
//! It reads a line of JSON for each case and answers with one, after one about the device.

use super::jobs::{Bed, Job};
use super::process::Process;
use super::protocol::{Answer, Done, Request};
use crate::console::Console;
use crate::failure::Failure;
use crate::ptx::driver::{self, About};
use clap::Args;
use serde_json::Value;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};
use vincie_gpu::{Device, DeviceSpec, ErrorKind, Trace};
use vincie_ptx::Options;
use vincie_ptx::corpus::{Case, Output};

/// How long a driver may take to start.
const START: Duration = Duration::from_secs(90);

/// Run cases that another process names, on a device.
#[derive(Args, Debug)]
pub(in crate::bench) struct Arguments {
    #[arg(long)]
    device: DeviceSpec,

    #[arg(long)]
    max_instructions: u64,

    /// Answers hold events of a trace
    #[arg(long)]
    trace: bool,

    /// Do one job, as JSON, and end: for profilers
    #[arg(long, value_name = "JOB")]
    once: Option<String>,
}

/// The process's own side.
pub(in crate::bench) fn run(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    let say = |answer: &Answer| {
        let text = serde_json::to_string(answer).expect("answers have string keys");
        console.line(text)?;
        io::stdout().flush().map_err(|error| Failure::of_output(&error))
    };
    let options = Options { max_instructions: arguments.max_instructions, ..Options::default() };
    let device = match driver::open(arguments.device, &options) {
        Ok(device) => device,
        Err(error) => return say(&Answer::Error(error.to_string())),
    };
    say(&Answer::Ready(About::of(&device)))?;
    let mut bed = Bed::new(&device);
    if let Some(job) = &arguments.once {
        let job: Job = serde_json::from_str(job)
            .map_err(|error| Failure::usage(format!("--once {job}: {error}")))?;
        return say(&bed.run(&job));
    }
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| Failure::new(format!("standard input: {error}")))?;
        let request: Request = serde_json::from_str(&line)
            .map_err(|error| Failure::malformed(format!("a request: {error}")))?;
        let answer = match &request {
            Request::Launch { case, outputs } => launch(&device, case, outputs, arguments.trace),
            Request::Job(job) => bed.run(job),
        };
        say(&answer)?;
        if let Answer::Fault(_) = answer {
            break;
        }
    }
    Ok(())
}

/// Runs a launch file, and leaves what its buffers hold afterwards.
fn launch(device: &Device, case: &Path, outputs: &Path, traces: bool) -> Answer {
    let begun = Instant::now();
    let prepared = Case::load(case).map_err(|error| error.to_string()).and_then(|case| {
        let module = driver::check(&case).map_err(|error| error.to_string())?;
        Ok((case, module.target))
    });
    let (case, target) = match prepared {
        Ok(prepared) => prepared,
        Err(text) => return Answer::Error(text),
    };
    if !device.limits().runs(&target) {
        let (major, minor) = device.limits().capability;
        return Answer::Skipped(format!("{target} code, the device has {major}.{minor}"));
    }
    let attempt = || -> Result<Answer, vincie_gpu::Error> {
        let trace = if traces { Some(Trace::start(&[device])?) } else { None };
        let run = device.run_case(&case)?;
        let trace = trace.map_or(Ok(Vec::new()), |trace| trace.json().map(|text| events(&text)))?;
        let written = Output::serialize(&run.outputs)
            .map_err(|error| error.to_string())
            .and_then(|bytes| fs::write(outputs, bytes).map_err(|e| e.to_string()));
        if let Err(text) = written {
            return Ok(Answer::Error(format!("{}: {text}", outputs.display())));
        }
        Ok(Answer::Done(Done {
            microseconds: run.time.as_secs_f64() * 1e6,
            seconds: begun.elapsed().as_secs_f64(),
            registers: run.registers,
            local_bytes: run.local_bytes,
            overrun: run.overrun,
            trace,
        }))
    };
    attempt().unwrap_or_else(|error| match error.kind {
        ErrorKind::Fault => Answer::Fault(error.to_string()),
        _ if error.is_later_ptx() => Answer::Skipped(format!("the driver is older: {error}")),
        _ => Answer::Error(error.to_string()),
    })
}

fn events(trace: &str) -> Vec<Value> {
    let trace: Value = serde_json::from_str(trace).unwrap_or_default();
    trace["traceEvents"].as_array().cloned().unwrap_or_default()
}

/// How to start the process.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) device: DeviceSpec,
    pub(super) max_instructions: u64,
    pub(super) traces: bool,
    /// Folder for what the driver's compiler made, so that a process that replaces another one does
    /// not wait for it again.
    pub(super) compiled: PathBuf,
}

impl Setup {
    /// The command that starts the process.
    pub(super) fn command(&self) -> Result<Command, String> {
        let program = env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let mut command = Command::new(program);
        command.args(["bench", "gpu-worker", "--device", &self.device.to_string()]);
        command.args(["--max-instructions", &self.max_instructions.to_string()]);
        command.env("CUDA_CACHE_PATH", &self.compiled).env("CUDA_CACHE_MAXSIZE", "2147483648");
        Ok(command)
    }
}

/// The process as its parent sees it.
pub(super) struct Worker {
    process: Process,
    pub(super) about: About,
}

impl Worker {
    /// Starts the process and waits until it has opened the device.
    pub(super) fn start(setup: &Setup) -> Result<Self, String> {
        let mut command = setup.command()?;
        if setup.traces {
            command.arg("--trace");
        }
        let mut process = Process::start(command)?;
        match read(&process.hear(START)?)? {
            Answer::Ready(about) => Ok(Self { process, about }),
            Answer::Error(text) => Err(text),
            other => Err(format!("the second process began with {other:?}")),
        }
    }

    /// Runs a case; an error says how the process was lost.
    pub(super) fn ask(&mut self, request: &Request, limit: Duration) -> Result<Answer, String> {
        self.process.say(&serde_json::to_string(request).map_err(|error| error.to_string())?);
        read(&self.process.hear(limit)?)
    }
}

fn read(line: &str) -> Result<Answer, String> {
    serde_json::from_str(line).map_err(|error| format!("{error} in {line:?}"))
}
