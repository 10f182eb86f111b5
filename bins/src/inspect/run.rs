//! Checkpoints and runs: folders with safetensors files, metrics and configurations.

use super::metrics::{METRICS_FILE, Metrics};
use super::tensors::TensorFile;
use super::{Arguments, name_of};
use crate::console::{Console, printable};
use crate::failure::Failure;
use crate::report::Page;
use crate::table::{Align, Table};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest configuration that is shown, bytes.
const MAX_CONFIG_BYTES: u64 = 256 << 10;

/// What a run's or checkpoint's folder holds; `--json` prints it as it is.
#[derive(Serialize)]
struct Run {
    path: PathBuf,
    kind: &'static str,
    /// Files beside those below.
    files: Vec<Entry>,
    /// Tensor files of the folder itself.
    tensors: Vec<TensorFile>,
    /// Folders below that hold tensor files.
    checkpoints: Vec<Entry>,
    metrics: Option<Metrics>,
}

/// A file or folder with its size in bytes.
#[derive(Serialize)]
struct Entry {
    name: String,
    bytes: u64,
}

/// Whether a folder holds tensors or metrics, itself or in a folder below.
pub(super) fn is_run(path: &Path) -> Result<bool, Failure> {
    if path.join(METRICS_FILE).is_file() || has_tensors(path)? {
        return Ok(true);
    }
    for inner in entries(path)?.into_iter().filter(|inner| inner.is_dir()) {
        if has_tensors(&inner)? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn inspect(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    let run = Run::read(&arguments.path, arguments.limit, console)?;
    if let Some(html) = &arguments.html {
        run.page().write(html)?;
        console.note(format!("wrote {}", html.display()));
    }
    if arguments.json { console.json(&run) } else { run.print(console) }
}

impl Run {
    fn read(path: &Path, limit: Option<usize>, console: &Console) -> Result<Self, Failure> {
        let mut run = Self {
            path: path.to_owned(),
            kind: "run",
            files: Vec::new(),
            tensors: Vec::new(),
            checkpoints: Vec::new(),
            metrics: None,
        };
        for inner in entries(path)? {
            let name = inner.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if is_tensors(&inner) {
                run.tensors.push(TensorFile::read(&inner, limit, console)?);
            } else if name == METRICS_FILE {
                run.metrics = Some(Metrics::read(&inner)?);
            } else if inner.is_dir() {
                if has_tensors(&inner)? {
                    let bytes = entries(&inner)?.iter().map(|file| size(file)).sum();
                    run.checkpoints.push(Entry { name, bytes });
                }
            } else {
                run.files.push(Entry { name, bytes: size(&inner) });
            }
        }
        Ok(run)
    }

    fn print(&self, console: &Console) -> Result<(), Failure> {
        let mut sections: Vec<Table> = Vec::new();
        sections.extend(table("checkpoint", &self.checkpoints));
        sections.extend(self.metrics.as_ref().map(Metrics::table));
        sections.extend(table("file", &self.files));
        let mut is_first = true;
        let mut gap = || match std::mem::take(&mut is_first) {
            true => Ok(()),
            false => console.line(""),
        };
        for table in sections {
            gap()?;
            console.line(table)?;
        }
        for file in &self.tensors {
            gap()?;
            console.line(printable(&name_of(&file.path)))?;
            file.print(console)?;
        }
        Ok(())
    }

    fn page(&self) -> Page {
        let mut page = Page::new(format!("Run {}", name_of(&self.path)));
        if let Some(metrics) = &self.metrics {
            page = page.section("Metrics").plot(&metrics.losses()).table(&metrics.table());
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

fn has_tensors(folder: &Path) -> Result<bool, Failure> {
    Ok(entries(folder)?.iter().any(|path| is_tensors(path)))
}

fn is_tensors(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors") && path.is_file()
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
