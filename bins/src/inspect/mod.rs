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
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Show what is inside a data set, a safetensors file, a checkpoint or a run.
///
/// Of sessions (a shard, a folder of shards, session folders, a .jsonl list): keys, frames, sizes,
/// instructions, shares of the masks and where each field comes from. Of tensors (a .safetensors
/// file or a folder with some): names, types, shapes and the range of their values, with the
/// number of values that are not finite. Of a run: its checkpoints and metrics as well. The HTML
/// page shows frames with their masks and curves, and needs no other file.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie inspect sessions/ --html sessions.html\n  \
                        vincie inspect model.safetensors --json")]
pub(crate) struct Arguments {
    /// Data set, shard, .jsonl list, .safetensors file, checkpoint or run folder
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
        return Ok(if run::is_run(path)? { Content::Run } else { Content::Sessions });
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => return Ok(Content::Tensors),
        Some("tar" | "jsonl") => return Ok(Content::Sessions),
        _ => {}
    }
    // A safetensors file of another name: eight bytes of length, then a JSON object.
    let mut start = Vec::new();
    File::open(path).map_err(fail)?.take(9).read_to_end(&mut start).map_err(fail)?;
    if start.len() == 9 && start[8] == b'{' {
        return Ok(Content::Tensors);
    }
    Err(Failure::new(format!(
        "{}: is no .tar shard, .jsonl list or .safetensors file",
        path.display()
    )))
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
