//! What the sections of a check share: the process of the device, the emulated device to compare
//! with, a folder for files in between, and the trace.

use super::jobs::Job;
use super::jobs::timing::Work;
use super::peer::Peer;
use super::protocol::{Answer, Request};
use super::report::{Row, Status};
use super::worker::{Setup, Worker};
use crate::failure::Failure;
use crate::ptx::driver::{self, About};
use crate::publish;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use vincie_gpu::{Device, DeviceSpec, ErrorKind};
use vincie_ptx::Options;
use vincie_ptx::corpus::{Case, Output};

/// Time of an emulated device for a second of a GPU's limit.
const PATIENCE: Duration = Duration::from_secs(20);

/// Process of the emulator's spans in the trace; the host has 0 and the device 1.
const EMULATOR: u32 = 2;

/// See the module.
pub(super) struct Bench {
    setup: Setup,
    worker: Option<Worker>,
    /// The device's account of itself.
    pub(super) about: About,
    /// Longest time of one case.
    timeout: Duration,
    /// Checks and limits of the emulator.
    pub(super) options: Options,
    emulated: Option<Device>,
    /// The next emulated device: one that failed stays so.
    next: u32,
    pub(super) scratch: Scratch,
    begun: Instant,
    events: Vec<Value>,
    /// Kernels that jobs launched.
    pub(super) launched: BTreeSet<String>,
    /// Whether work was left out for want of time.
    pub(super) is_cut: bool,
    /// Bandwidth of copies, once it was measured.
    pub(super) copy_gb_per_s: Option<f64>,
    /// PyTorch, where it is wanted.
    pub(super) peer: Option<Peer>,
    /// Work that says which kernels take most of its time, and those.
    slow: Option<(Work, Vec<String>)>,
}

/// A folder that goes away with the value.
pub(super) struct Scratch(PathBuf);

impl Bench {
    /// Opens the device in a process of its own.
    pub(super) fn open(
        setup: Setup,
        scratch: Scratch,
        timeout: Duration,
        options: Options,
    ) -> Result<Self, Failure> {
        let worker = Worker::start(&setup).map_err(Failure::new)?;
        Ok(Self {
            setup,
            about: worker.about.clone(),
            worker: Some(worker),
            timeout,
            options,
            emulated: None,
            next: 0,
            scratch,
            begun: Instant::now(),
            events: Vec::new(),
            launched: BTreeSet::new(),
            is_cut: false,
            copy_gb_per_s: None,
            peer: None,
            slow: None,
        })
    }

    /// Runs a launch file on the device. An error says how its process was lost; the next case has
    /// a new one.
    pub(super) fn launch(
        &mut self,
        path: &Path,
        name: &str,
    ) -> Result<(Answer, Vec<Output>), String> {
        let outputs = self.scratch.0.join("outputs.safetensors");
        let request = Request::Launch { case: path.to_owned(), outputs: outputs.clone() };
        let start = self.begun.elapsed();
        let mut answer = self.ask(&request, name, self.timeout)?;
        let Answer::Done(done) = &mut answer else { return Ok((answer, Vec::new())) };
        self.take_events(std::mem::take(&mut done.trace), start);
        let bytes = fs::read(&outputs).map_err(|error| format!("outputs: {error}"))?;
        let outputs = Output::deserialize(&bytes).map_err(|error| error.to_string())?;
        Ok((answer, outputs))
    }

    /// Has the process of the device do a job, within a limit.
    pub(super) fn job(&mut self, job: &Job, name: &str, limit: Duration) -> Row {
        let mut row = Row::new(name);
        // How long the emulator takes is a matter of the host.
        let limit = if self.is_emulated() { PATIENCE * limit.as_secs() as u32 } else { limit };
        match self.ask(&Request::Job(job.clone()), name, limit) {
            Ok(Answer::Told(told)) => {
                self.launched.extend(told.launched);
                row.gpu_microseconds = told.microseconds;
                row.details = told.details;
                (row.status, row.reason) = (told.status, told.reason);
                row
            }
            Ok(Answer::Skipped(reason)) => row.because(Status::Skipped, reason),
            Ok(Answer::Fault(reason)) => row.because(Status::Fault, reason),
            Ok(Answer::Error(reason)) => row.because(Status::Error, reason),
            Ok(other) => row.because(Status::Error, format!("a job was answered with {other:?}")),
            Err(reason) => row.because(Status::Lost, reason),
        }
    }

    /// Ends the process of the device, so that others have all of its memory; the next case has a
    /// new one.
    pub(super) fn rest(&mut self) {
        self.worker = None;
    }

    /// The command that does one job and ends.
    pub(super) fn command_of(&self, job: &Job) -> Result<Command, String> {
        let job = serde_json::to_string(job).map_err(|error| error.to_string())?;
        let mut command = self.setup.command()?;
        command.args(["--once", &job]);
        Ok(command)
    }

    pub(super) fn is_emulated(&self) -> bool {
        self.about.is_emulated()
    }

    /// Notes the kernels of a piece of work, the slowest first, unless others were noted before.
    pub(super) fn note_slow(&mut self, work: &Work, kernels: &[Value]) {
        let names = kernels.iter().filter_map(|kernel| kernel["kernel"].as_str());
        self.slow.get_or_insert_with(|| (work.clone(), names.map(str::to_owned).collect()));
    }

    /// The kernel of that rank, and work that launches it.
    pub(super) fn slow(&self, rank: usize) -> Option<(Work, String)> {
        let (work, kernels) = self.slow.as_ref()?;
        Some((work.clone(), kernels.get(rank)?.clone()))
    }

    fn ask(&mut self, request: &Request, name: &str, limit: Duration) -> Result<Answer, String> {
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start(&self.setup)?,
        };
        let start = self.begun.elapsed();
        let answer = worker.ask(request, limit)?;
        self.trace(name, "case", 0, start);
        // After a fault the process ends with its device.
        if !matches!(answer, Answer::Fault(_)) {
            self.worker = Some(worker);
        }
        Ok(answer)
    }

    /// What the case leaves on an emulated device, without checks.
    pub(super) fn emulate(&mut self, case: &Case) -> Result<Vec<Output>, String> {
        let start = self.begun.elapsed();
        let device = match self.emulated.take() {
            Some(device) => device,
            None => driver::open(DeviceSpec::Emulated(self.next), &self.options)
                .map_err(|error| error.to_string())?,
        };
        let run = device.run_case(case);
        match &run {
            Err(error) if error.kind == ErrorKind::Fault => self.next += 1,
            _ => self.emulated = Some(device),
        }
        self.trace(&case.name, "emulator", EMULATOR, start);
        run.map(|run| run.outputs).map_err(|error| error.to_string())
    }

    /// Adds a span that ends now.
    fn trace(&mut self, name: &str, category: &str, process: u32, start: Duration) {
        if self.setup.traces {
            let length = self.begun.elapsed() - start;
            let microseconds = |time: Duration| time.as_nanos() as f64 / 1e3;
            self.events.push(json!({
                "name": name, "cat": category, "ph": "X", "pid": process, "tid": 1000,
                "ts": microseconds(start), "dur": microseconds(length), "args": {},
            }));
        }
    }

    /// Takes over what the process of the device traced since `start`.
    fn take_events(&mut self, events: Vec<Value>, start: Duration) {
        for mut event in events {
            if let Some(time) = event["ts"].as_f64() {
                event["ts"] = (time + start.as_nanos() as f64 / 1e3).into();
            } else if self.events.contains(&event) {
                // Names of processes come with every case.
                continue;
            }
            self.events.push(event);
        }
    }

    /// Writes the trace.
    pub(super) fn write_trace(&self, path: &Path) -> Result<(), Failure> {
        let mut events = self.events.clone();
        events.push(json!({
            "name": "process_name", "ph": "M", "pid": EMULATOR, "tid": 0,
            "args": {"name": "emulator"},
        }));
        let trace = json!({ "traceEvents": events, "displayTimeUnit": "ns" });
        publish::file(path, trace.to_string().as_bytes())
    }
}

impl Scratch {
    pub(super) fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("vincie-gpu-check-{}", std::process::id()));
        // What a killed process of the same number left is of no use to anybody.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A temporary folder that stays does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
