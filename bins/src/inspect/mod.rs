//! `vincie inspect`: what a file or folder of ours holds.

mod metrics;
mod run;
mod sessions;
mod statistics;
mod tensors;

pub(crate) use sessions::transition_figures;

use crate::console::Console;
use crate::failure::Failure;
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use vincie_dit::weights::Form;

/// Show what is inside a data set, a file of weights, a checkpoint or a run.
///
/// Of sessions (a shard, a folder of shards, session folders, a .jsonl list): keys, frames, sizes,
/// instructions, shares of the masks and where each field comes from. Of tensors (a .safetensors
/// or PyTorch file, an index of several, or a folder with some): the model where it is one that is
/// known, names, types, shapes and the range of their values, with the number of values that are
/// not finite. Of a run: its checkpoints and metrics as well. The HTML
/// page shows frames with their masks and curves, and needs no other file.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie inspect sessions/ --html sessions.html\n  \
                        vincie inspect model.safetensors --json")]
pub(crate) struct Arguments {
    /// Data set, shard, .jsonl list, file of weights, checkpoint or run folder
    path: PathBuf,

    /// Write a self-contained page, replacing one that exists
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,

    /// List at most N sessions, or N tensors a file [default: 10 sessions, all tensors]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Of tensors, show names, types and shapes only: no value is read, whatever the size
    #[arg(long)]
    no_values: bool,
}

/// What a path holds.
enum Content {
    Sessions,
    Tensors,
    Run,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    if let Some(html) = &arguments.html {
        check_page_name(html)?;
    }
    match content(&arguments.path)? {
        Content::Sessions => sessions::inspect(&arguments, console),
        Content::Tensors => tensors::inspect(&arguments, console),
        Content::Run => run::inspect(&arguments, console),
    }
}

/// A page replaces a file of its name, so the name must be that of a page: no slip of the hand
/// may replace a shard or a checkpoint.
fn check_page_name(path: &Path) -> Result<(), Failure> {
    let is_page = path.extension().is_some_and(|found| found == "html" || found == "htm");
    match is_page {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "--html {}: the name of a page ends in .html",
            path.display()
        ))),
    }
}

fn content(path: &Path) -> Result<Content, Failure> {
    let fail = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    if fs::metadata(path).map_err(fail)?.is_dir() {
        let is_run = run::is_run(path)?;
        return Ok(match has_index(path).map_err(fail)? {
            true => Content::Tensors,
            false if is_run => Content::Run,
            false => Content::Sessions,
        });
    }
    if let Some("tar" | "jsonl") = path.extension().and_then(|extension| extension.to_str()) {
        return Ok(Content::Sessions);
    }
    match Form::of(path)? {
        Some(_) => Ok(Content::Tensors),
        None => Err(Failure::new(format!(
            "{}: is no .tar shard, .jsonl list or file of weights (.safetensors, .pth, .index.json)",
            path.display()
        ))),
    }
}

/// Whether a folder holds an index of several files of weights.
fn has_index(folder: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if [".safetensors.index.json", ".bin.index.json"]
            .iter()
            .any(|end| name.to_string_lossy().ends_with(end))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last part of a path, as a title.
fn name_of(path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = absolute.file_name().unwrap_or(absolute.as_os_str());
    name.to_string_lossy().into_owned()
}

/// A share of 1 as per cent.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
