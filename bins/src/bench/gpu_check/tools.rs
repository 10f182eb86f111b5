//! NVIDIA's own tools on single jobs, where the machine has them: the profiler on the kernels that take
//! most of the time, and the sanitizer on a few ops. Their reports stay beside the record.

use super::bench::Bench;
use super::jobs::timing::{Kind, Layout, Work};
use super::jobs::{Job, Pass};
use super::report::{Row, Status};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Most bytes of a report.
const MOST_BYTES: usize = 128 << 10;

/// Longest time of a tool.
const LIMIT: Duration = Duration::from_secs(60);

/// Exit code of the sanitizer where it found something.
const FOUND: i32 = 86;

/// One run of a tool.
#[derive(Clone, Debug)]
pub(super) enum Tool {
    /// The profiler, on the kernel of this rank among the slowest.
    Profile { rank: usize },
    /// The profiler, on this kernel.
    ProfileKernel { kernel: &'static str, work: Work },
    /// The sanitizer with one of its tools.
    Sanitize { tool: &'static str, op: &'static str, dtype: Kind, pass: Pass },
}

/// All runs, the most telling first.
pub(super) fn list() -> Vec<Tool> {
    let attention = |back| Work::Attention {
        dtype: Kind::Bf16,
        heads: 20,
        dim: 128,
        length: 4096,
        frames: 1,
        back,
    };
    let product =
        Work::Product { layout: Layout::Nt, dtype: Kind::Bf16, m: 8192, n: 8192, k: 8192 };
    let kernel = |kernel, work| Tool::ProfileKernel { kernel, work };
    let check = |tool, op, dtype, pass| Tool::Sanitize { tool, op, dtype, pass };
    vec![
        Tool::Profile { rank: 0 },
        Tool::Profile { rank: 1 },
        Tool::Profile { rank: 2 },
        check("memcheck", "attention", Kind::Bf16, Pass::Gradients),
        check("racecheck", "matmul", Kind::Bf16, Pass::Forward),
        kernel("matmul_nt_bf16_bf16_128x256", product),
        kernel("attention_forward_bf16_d128_q128", attention(false)),
        kernel("attention_backward_keys_bf16_d128_r128", attention(true)),
        kernel("attention_backward_queries_bf16_d128_r128", attention(true)),
        check("memcheck", "matmul", Kind::Bf16, Pass::Forward),
        check("racecheck", "attention", Kind::Bf16, Pass::Forward),
        check("memcheck", "rms_norm", Kind::F32, Pass::Gradients),
    ]
}

impl Tool {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Profile { rank } => format!("ncu, slowest kernel {}", rank + 1),
            Self::ProfileKernel { kernel, .. } => format!("ncu {kernel}"),
            Self::Sanitize { tool, op, dtype, pass } => {
                format!("{tool} {op} {} {}", dtype.name(), pass.name())
            }
        }
    }

    /// Runs the tool; its report goes into the folder.
    pub(super) fn run(&self, bench: &mut Bench, folder: &Path, end: Instant) -> Row {
        let row = Row::new(&self.name());
        if bench.is_emulated() {
            let reason = "the device is emulated; these tools watch a GPU";
            return row.because(Status::Skipped, reason);
        }
        let limit = LIMIT.min(end.saturating_duration_since(Instant::now()));
        match self {
            Self::Sanitize { tool, op, dtype, pass } => {
                let job = Job::Op { op: (*op).to_owned(), dtype: *dtype, pass: *pass };
                let code = FOUND.to_string();
                let options = ["--tool", tool, "--error-exitcode", &code, "--print-limit", "20"];
                run(row, "compute-sanitizer", &options, &job, bench, folder, limit)
            }
            Self::ProfileKernel { kernel, work } => {
                profile(row, kernel, work, bench, folder, limit)
            }
            Self::Profile { rank } => {
                let Some((work, kernel)) = bench.slow(*rank) else {
                    return row.because(Status::Skipped, "no step was timed");
                };
                profile(row, &kernel, &work, bench, folder, limit)
            }
        }
    }
}

fn profile(
    mut row: Row,
    kernel: &str,
    work: &Work,
    bench: &mut Bench,
    folder: &Path,
    limit: Duration,
) -> Row {
    row.detail("kernel", kernel);
    row.detail("work", work.name());
    let job = Job::Timing { work: work.clone(), is_single: true };
    let name = format!("regex:^{kernel}$");
    // The first launch finds cold caches of instructions.
    let options =
        ["--set", "full", "--kernel-name", &name, "--launch-skip", "1", "--launch-count", "1"];
    run(row, "ncu", &options, &job, bench, folder, limit)
}

fn run(
    mut row: Row,
    tool: &str,
    options: &[&str],
    job: &Job,
    bench: &mut Bench,
    folder: &Path,
    limit: Duration,
) -> Row {
    let Some(program) = find(tool) else {
        return row.because(Status::Skipped, format!("no {tool} on this machine"));
    };
    let ours = match bench.command_of(job) {
        Ok(ours) => ours,
        Err(reason) => return row.because(Status::Error, reason),
    };
    // The tool's own process wants the device's memory.
    bench.rest();
    let file = format!("{}.txt", row.name.replace([' ', ','], "-").replace("--", "-"));
    let path = folder.join(&file);
    let mut command = Command::new(program);
    command.args(options).arg(ours.get_program()).args(ours.get_args());
    for (key, value) in ours.get_envs() {
        if let Some(value) = value {
            command.env(key, value);
        }
    }
    let status = match wait(command, &path, limit) {
        Ok(status) => status,
        Err(reason) => return row.because(Status::Skipped, reason),
    };
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return row.because(Status::Error, format!("{file}: {error}")),
    };
    if text.len() > MOST_BYTES {
        let cut: String = text.chars().take(MOST_BYTES).collect();
        // What stays of a report that cannot be cut is the whole of it.
        let _ = fs::write(&path, cut + "\n[cut here]\n");
    }
    row.detail("report", &file);
    let line = |part: &str| text.lines().find(|line| line.contains(part)).map(str::trim);
    if let Some(line) = line("ERR_NVGPUCTRPERM") {
        return row.because(Status::Skipped, line);
    }
    if let Some(line) = line("No kernels were profiled") {
        return row.because(Status::Error, line);
    }
    match (status.code(), line("ERROR SUMMARY")) {
        (Some(FOUND), summary) => row.because(Status::Fails, summary.unwrap_or("errors")),
        (Some(0), _) => row,
        _ => {
            let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            row.because(Status::Error, format!("{tool}: {status}: {}", last.trim()))
        }
    }
}

/// Runs a command with its output in a file; what does not end in time is ended, with all that it
/// started.
fn wait(mut command: Command, path: &Path, limit: Duration) -> Result<ExitStatus, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", path.display());
    let output = File::create(path).map_err(fail)?;
    command.stderr(output.try_clone().map_err(fail)?).stdout(output).stdin(Stdio::null());
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.process_group(0).spawn().map_err(|error| format!("{program}: {error}"))?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(fail)? {
            return Ok(status);
        }
        if begun.elapsed() >= limit {
            let group = format!("-{}", child.id());
            // Both fail only where there is no such process any more.
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
            return Err(format!("{program}: not done after {:.0} s", limit.as_secs_f64()));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A tool in the search path, or where the toolkit and the profiler are installed.
fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for (root, below) in [("/usr/local", "bin"), ("/opt/nvidia/nsight-compute", "")] {
        let Ok(entries) = fs::read_dir(root) else { continue };
        let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        places.extend(folders.into_iter().rev().map(|folder| folder.join(below)));
    }
    places.into_iter().map(|place| place.join(tool)).find(|path| path.is_file())
}
