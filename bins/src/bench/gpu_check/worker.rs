//! The process that talks to the device. A kernel may fault, which ends the use of a device for its
//! process, or never end: then this process is replaced and nothing else is lost.
//!
//! It reads a line of JSON for each case and answers with one, after one about the device.

use crate::console::Console;
use crate::failure::Failure;
use crate::ptx::driver::{self, About};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};
use vincie_gpu::{Device, DeviceSpec, ErrorKind, Trace};
use vincie_ptx::Options;
use vincie_ptx::corpus::{Case, Output};

/// How long a driver may take to start.
const START: Duration = Duration::from_secs(90);

/// How long a process that was told to end may take.
const FAREWELL: Duration = Duration::from_secs(5);

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
}

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// A launch file.
    pub(super) case: PathBuf,
    /// Where to leave what buffers hold afterwards.
    pub(super) outputs: PathBuf,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The first answer: the device is open.
    Ready(About),
    /// Outputs are written.
    Done(Done),
    /// The device cannot run the case.
    Skipped(String),
    /// The device failed; the process ends.
    Fault(String),
    /// The case, or at first the device, cannot be used.
    Error(String),
}

/// What a launch came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    /// Time on the device.
    pub(super) microseconds: f64,
    /// Time of all of it: the driver's compiler, copies, the launch.
    pub(super) seconds: f64,
    pub(super) registers: Option<u32>,
    pub(super) local_bytes: Option<u32>,
    pub(super) overrun: Vec<String>,
    #[serde(default)]
    pub(super) trace: Vec<Value>,
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
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| Failure::new(format!("standard input: {error}")))?;
        let request: Request = serde_json::from_str(&line)
            .map_err(|error| Failure::malformed(format!("a request: {error}")))?;
        let answer = answer(&device, &request, arguments.trace);
        say(&answer)?;
        if let Answer::Fault(_) = answer {
            break;
        }
    }
    Ok(())
}

fn answer(device: &Device, request: &Request, traces: bool) -> Answer {
    let begun = Instant::now();
    let prepared = Case::load(&request.case).map_err(|error| error.to_string()).and_then(|case| {
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
            .and_then(|bytes| fs::write(&request.outputs, bytes).map_err(|e| e.to_string()));
        if let Err(text) = written {
            return Ok(Answer::Error(format!("{}: {text}", request.outputs.display())));
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) device: DeviceSpec,
    pub(super) max_instructions: u64,
    pub(super) traces: bool,
}

/// The process as its parent sees it.
pub(super) struct Worker {
    child: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    /// False once it did not answer in time: it will not see that its input ended.
    is_responsive: bool,
    pub(super) about: About,
}

impl Worker {
    /// Starts the process and waits until it has opened the device.
    pub(super) fn start(setup: Setup) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let mut command = Command::new(program);
        command.args(["bench", "gpu-worker", "--device", &setup.device.to_string()]);
        command.args(["--max-instructions", &setup.max_instructions.to_string()]);
        if setup.traces {
            command.arg("--trace");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("a second process: {error}"))?;
        let requests = child.stdin.take();
        let output = child.stdout.take().expect("its output is piped");
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let about = About::default();
        let mut worker = Self { child, requests, answers, is_responsive: true, about };
        match worker.hear(START)? {
            Answer::Ready(about) => worker.about = about,
            Answer::Error(text) => return Err(text),
            other => return Err(format!("the second process began with {other:?}")),
        }
        Ok(worker)
    }

    /// Runs a case; an error says how the process was lost.
    pub(super) fn ask(&mut self, request: &Request, limit: Duration) -> Result<Answer, String> {
        let mut line = serde_json::to_string(request).map_err(|error| error.to_string())?;
        line.push('\n');
        let requests = self.requests.as_mut().expect("it is there until the end");
        // A process that has gone is noticed below, with how it ended.
        let _ = requests.write_all(line.as_bytes()).and_then(|()| requests.flush());
        self.hear(limit)
    }

    fn hear(&mut self, limit: Duration) -> Result<Answer, String> {
        match self.answers.recv_timeout(limit) {
            Ok(line) => serde_json::from_str(&line).map_err(|error| format!("{error} in {line:?}")),
            Err(RecvTimeoutError::Timeout) => {
                self.is_responsive = false;
                Err(format!("no answer within {} s", limit.as_secs_f64()))
            }
            Err(RecvTimeoutError::Disconnected) => Err(match self.child.wait() {
                Ok(status) => format!("the process of the device ended: {status}"),
                Err(error) => format!("the process of the device ended: {error}"),
            }),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.requests.take());
        let end = Instant::now() + FAREWELL;
        let mut has_ended = false;
        while self.is_responsive && !has_ended && Instant::now() < end {
            has_ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            thread::sleep(Duration::from_millis(2));
        }
        if !has_ended {
            // Both fail only where there is no such process any more.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
