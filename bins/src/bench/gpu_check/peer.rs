//! PyTorch on the same device, in a process of its own, asked for each piece of work right after ours.

use super::jobs::timing::Work;
use super::process::Process;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long Python may take to import what it needs.
const START: Duration = Duration::from_secs(90);

/// The scripts, which find each other by name.
const SCRIPTS: [(&str, &str); 2] = [
    ("torch_gpu.py", include_str!("../../../../tests/peers/torch_gpu.py")),
    ("torch_nadit.py", include_str!("../../../../tests/peers/torch_nadit.py")),
];

/// A Python with torch, as far as there is one.
pub(super) struct Peer {
    python: PathBuf,
    /// `cuda`, or `cpu` to try the scripts out.
    device: &'static str,
    folder: PathBuf,
    process: Option<Process>,
    /// What torch says of itself, once it was asked; an error says why there is none.
    about: Option<Result<Value, String>>,
}

impl Peer {
    pub(super) fn new(python: PathBuf, device: &'static str, scratch: &Path) -> Self {
        Self { python, device, folder: scratch.join("peers"), process: None, about: None }
    }

    /// What torch says of itself.
    pub(super) fn about(&mut self) -> Result<Value, String> {
        if let Some(about) = &self.about {
            return about.clone();
        }
        let about = self.start();
        self.about = Some(about.clone());
        about
    }

    /// Times the same work; an answer has `ms`, or `error`.
    pub(super) fn ask(&mut self, work: &Work, limit: Duration) -> Result<Value, String> {
        self.about()?;
        if self.process.is_none() {
            self.start()?;
        }
        let Some(mut process) = self.process.take() else {
            return Err("its process cannot be started again".to_owned());
        };
        process.say(&serde_json::to_string(work).map_err(|error| error.to_string())?);
        let answer = read(&process.hear(limit)?)?;
        self.process = Some(process);
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }

    fn start(&mut self) -> Result<Value, String> {
        fs::create_dir_all(&self.folder).map_err(|error| error.to_string())?;
        for (name, text) in SCRIPTS {
            fs::write(self.folder.join(name), text).map_err(|error| format!("{name}: {error}"))?;
        }
        let mut command = Command::new(&self.python);
        command.arg(self.folder.join(SCRIPTS[0].0)).args(["--device", self.device]);
        let log =
            fs::File::create(self.folder.join("stderr")).map_err(|error| error.to_string())?;
        command.stderr(log);
        let mut process = Process::start(command)?;
        let begun = process.hear(START).map_err(|error| self.explain(&error))?;
        let about = read(&begun)?;
        if let Some(error) = about["error"].as_str() {
            return Err(error.to_owned());
        }
        self.process = Some(process);
        Ok(about)
    }

    /// An error with the last line that the scripts left on standard error.
    fn explain(&self, error: &str) -> String {
        let said = fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
        match said.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(line) => format!("{error}: {line}"),
            None => error.to_owned(),
        }
    }
}

fn read(line: &str) -> Result<Value, String> {
    serde_json::from_str(line).map_err(|error| format!("{error} in {line:?}"))
}
