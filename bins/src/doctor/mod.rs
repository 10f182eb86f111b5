//! `vincie doctor`: what this machine offers and what this build makes of it.
//!
//! Everything is looked up, nothing is computed, so the command is done within 50 ms: programs
//! that take longer to start are not asked.

mod driver;
mod gpu;
mod machine;
mod model;
mod video;

pub(crate) use driver::kernel_module;

use crate::command::VERSION;
use crate::console::{Console, printable};
use crate::disk::Disk;
use crate::failure::Failure;
use crate::number::bytes;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vincie_data::Limits;
use vincie_data::session::{MAX_FRAMES, MAX_INSTRUCTION_BYTES};
use vincie_data::shard::{MAX_SESSION_BYTES, MAX_SHARD_SESSIONS};
use vincie_gpu::DeviceSpec;

/// Longest wait for a program's answer.
const PATIENCE: Duration = Duration::from_millis(20);

/// Tell what this machine offers: processor, memory, disk, video decoders, GPU driver.
///
/// Lists what commands will find and use here, where each thing was looked for, and the limits
/// that input has to keep. Nothing is computed or changed; the answer takes milliseconds. A GPU driver
/// is looked for but not started, which --device asks for. With --model, tells instead which parts of a
/// released model a folder holds, what is missing, and what each stage of editing needs.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie doctor\n  vincie doctor --json\n  \
                        vincie doctor --device cuda\n  vincie doctor --model VINCIE-3B/")]
pub(crate) struct Arguments {
    /// Start the driver of a device and tell what it says: cuda[:N] or emulated[:N]
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceSpec>,

    /// Tell what a folder of released weights holds, and the memory that each stage takes
    #[arg(long, value_name = "FOLDER", conflicts_with = "device")]
    model: Option<PathBuf>,

    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Everything `doctor` knows; `--json` prints it as it is.
#[derive(Serialize)]
struct Diagnosis {
    version: &'static str,
    build: Build,
    devices: Vec<&'static str>,
    processor: machine::Processor,
    memory: machine::Memory,
    disk: Option<Disk>,
    decoders: Vec<video::Decoder>,
    driver: driver::Driver,
    limits: Vec<Limit>,
}

/// How the program was built.
#[derive(Serialize)]
struct Build {
    target: String,
    profile: &'static str,
}

/// A bound on what comes from outside.
#[derive(Serialize)]
struct Limit {
    what: &'static str,
    most: u64,
    unit: &'static str,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    if let Some(device) = arguments.device {
        return gpu::run(device, arguments.json, console);
    }
    if let Some(folder) = arguments.model {
        return model::run(&folder, arguments.json, console);
    }
    let driver = driver::Driver::look();
    let mut devices = vec!["cpu", "emulated"];
    if driver.is_found() {
        devices.push("cuda");
    }
    // The one program that is asked runs while the rest is looked up.
    let disk = Disk::ask(Path::new("."));
    let diagnosis = Diagnosis {
        version: VERSION.as_str(),
        build: Build {
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
        },
        devices,
        processor: machine::Processor::look(),
        memory: machine::Memory::look(),
        decoders: video::decoders(),
        driver,
        limits: limits(),
        disk: disk.answer(PATIENCE),
    };
    if arguments.json {
        return console.json(&diagnosis);
    }
    for (name, text) in diagnosis.lines() {
        console.line(format!("{name:<12}{}", printable(&text)))?;
    }
    Ok(())
}

impl Diagnosis {
    /// Names and texts; a line that goes on has an empty name.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let Build { target, profile } = &self.build;
        let mut lines = vec![
            ("vincie", format!("{}, {target}, {profile} build", self.version)),
            ("devices", self.devices.join(", ")),
            ("processor", self.processor.to_string()),
            ("simd", self.processor.simd()),
            ("memory", self.memory.to_string()),
            ("disk here", self.disk.as_ref().map_or("not known".to_owned(), ToString::to_string)),
        ];
        let named = |name: &'static str, texts: Vec<String>| {
            texts
                .into_iter()
                .enumerate()
                .map(move |(i, text)| (if i == 0 { name } else { "" }, text))
        };
        lines.extend(named("video", self.decoders.iter().map(ToString::to_string).collect()));
        lines.extend(named("gpu driver", self.driver.lines()));
        lines.extend(named("limits", self.limits.iter().map(Limit::line).collect()));
        lines
    }
}

impl Limit {
    fn line(&self) -> String {
        let most = match self.unit {
            "bytes" => bytes(self.most),
            unit => format!("{} {unit}", self.most),
        };
        format!("{}: {most}", self.what)
    }
}

fn limits() -> Vec<Limit> {
    let Limits { side, pixels, frames, encoded_bytes } = Limits::default();
    let limit = |what, most: usize, unit| Limit { what, most: most as u64, unit };
    vec![
        limit("picture side", side, "pixels"),
        limit("picture", pixels, "pixels"),
        limit("compressed picture", encoded_bytes, "bytes"),
        limit("video", frames, "frames"),
        limit("session", MAX_FRAMES, "frames"),
        limit("instruction", MAX_INSTRUCTION_BYTES, "bytes"),
        limit("session in a shard", MAX_SESSION_BYTES as usize, "bytes"),
        limit("shard", MAX_SHARD_SESSIONS, "sessions"),
    ]
}
