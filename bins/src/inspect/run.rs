//! Checkpoints and runs: folders with safetensors files, metrics and configurations.

use super::metrics::{self, Course};
use super::tensors::TensorFile;
use super::{Arguments, name_of};
use crate::console::{Console, printable};
use crate::failure::Failure;
use crate::report::Page;
use crate::table::{Align, Table};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use vincie_dit::train::metrics::StepMetrics;

/// Name of the metrics in a run's folder.
const METRICS_FILE: &str = "metrics.jsonl";

/// Folder of the checkpoints in a run's folder.
const CHECKPOINTS: &str = "checkpoints";

/// Largest configuration that is shown, bytes.
const MAX_CONFIG_BYTES: u64 = 256 << 10;

/// What a run's or checkpoint's folder holds; `--json` prints it as it is.
#[derive(Serialize)]
struct Run {
    path: PathBuf,
    kind: &'static str,
    /// Checkpoints of a run, by step.
    checkpoints: Vec<Entry>,
    /// Numbers of a run over its steps.
    metrics: Vec<Course>,
    /// Tensor files of the folder itself.
    tensors: Vec<TensorFile>,
    /// Files and folders beside those.
    files: Vec<Entry>,
    #[serde(skip)]
    steps: Vec<StepMetrics>,
}

/// A file or folder with its size in bytes.
#[derive(Serialize)]
struct Entry {
    name: String,
    bytes: u64,
}

/// Whether a folder holds tensors, metrics or checkpoints.
pub(super) fn is_run(path: &Path) -> Result<bool, Failure> {
    let has_run = path.join(METRICS_FILE).is_file() || path.join(CHECKPOINTS).is_dir();
    Ok(has_run || entries(path)?.iter().any(|inner| is_tensors(inner)))
}

pub(super) fn inspect(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    let run = Run::read(arguments, console)?;
    if let Some(html) = &arguments.html {
        run.page().write(html)?;
        console.note(format!("wrote {}", html.display()));
    }
    if arguments.json { console.json(&run) } else { run.print(console) }
}

impl Run {
    fn read(arguments: &Arguments, console: &Console) -> Result<Self, Failure> {
        let path = arguments.path.as_path();
        let mut run = Self {
            path: path.to_owned(),
            kind: "run",
            checkpoints: Vec::new(),
            metrics: Vec::new(),
            tensors: Vec::new(),
            files: Vec::new(),
            steps: Vec::new(),
        };
        for inner in entries(path)? {
            let name = inner.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if is_tensors(&inner) {
                run.tensors.push(TensorFile::read(&inner, arguments, console)?);
            } else if name == METRICS_FILE && inner.is_file() {
                run.steps = vincie_dit::train::metrics::read(&inner)?;
                run.metrics = metrics::courses(&run.steps);
            } else if name == CHECKPOINTS && inner.is_dir() {
                for checkpoint in entries(&inner)?.into_iter().filter(|inner| inner.is_dir()) {
                    let name = format!("{CHECKPOINTS}/{}", name_of(&checkpoint));
                    run.checkpoints.push(Entry { name, bytes: size(&checkpoint)? });
                }
            } else {
                run.files.push(Entry { name, bytes: size(&inner)? });
            }
        }
        Ok(run)
    }

    fn print(&self, console: &Console) -> Result<(), Failure> {
        let mut tables: Vec<Table> = Vec::new();
        tables.extend(table("checkpoint", &self.checkpoints));
        tables.extend((!self.metrics.is_empty()).then(|| metrics::table(&self.metrics)));
        tables.extend(table("file", &self.files));
        for (number, table) in tables.iter().enumerate() {
            console.line(format!("{}{table}", if number > 0 { "\n" } else { "" }))?;
        }
        for (number, file) in self.tensors.iter().enumerate() {
            let gap = if number + tables.len() > 0 { "\n" } else { "" };
            console.line(format!("{gap}{}", printable(&name_of(&file.path))))?;
            file.print(console)?;
        }
        Ok(())
    }

    fn page(&self) -> Page {
        let mut page = Page::new(format!("Run {}", name_of(&self.path)));
        if !self.steps.is_empty() {
            page = metrics::blocks(page.section("Training"), &self.steps);
        }
        if let Some(table) = table("checkpoint", &self.checkpoints) {
            page = page.section("Checkpoints").table(&table);
        }
        for entry in &self.files {
            let is_config = [".toml", ".json"].iter().any(|end| entry.name.ends_with(end));
            if !is_config || entry.bytes > MAX_CONFIG_BYTES {
                continue;
            }
            // A file that cannot be read as text is still in the table of files.
            if let Ok(text) = fs::read_to_string(self.path.join(&entry.name)) {
                page = page.section(&entry.name).code(text.trim_end());
            }
        }
        for file in &self.tensors {
            page = file.blocks(page.section(&name_of(&file.path)));
        }
        match table("file", &self.files) {
            Some(table) => page.section("Other files").table(&table),
            None => page,
        }
    }
}

fn table(name: &str, entries: &[Entry]) -> Option<Table> {
    let mut table = Table::new([(name, Align::Left), ("bytes", Align::Right)]);
    for entry in entries {
        table.row([entry.name.clone(), entry.bytes.to_string()]);
    }
    (!entries.is_empty()).then_some(table)
}

/// What a folder holds, by name, without hidden entries.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |error: std::io::Error| Failure::new(format!("{}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().unwrap_or_default();
        if !name.as_encoded_bytes().starts_with(b".") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_tensors(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("safetensors" | "pth" | "pt")) && path.is_file()
}

/// Bytes of a file, or of the files of a folder.
fn size(path: &Path) -> Result<u64, Failure> {
    if path.is_dir() {
        return entries(path)?.iter().map(|inner| size(inner)).sum();
    }
    Ok(fs::metadata(path).map_or(0, |metadata| metadata.len()))
}
