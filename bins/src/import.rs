//! `vincie import`: sessions of published data sets into shards.

use crate::annotate::parse_size;
use crate::console::{Console, printable};
use crate::failure::Failure;
use crate::publish::Folder;
use crate::table::{Align, Table};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use vincie_data::session::{ImportConfig, open_sessions, open_tables};
use vincie_data::shard::{FrameFormat, ShardWriter, Statistics, WriterConfig};
use vincie_data::{Error, Limits};

/// Most reasons that are told apart.
const MAX_REASONS: usize = 100;

/// Turn published data sets and hand-made folders into shards of sessions.
///
/// Reads the Parquet files of VINCIE-10M and MagicBrush (or a folder of them), lists in JSONL of sessions
/// or of edits, session folders and folders of these, and shards of any tool. The shards are written into
/// a new folder, which appears when everything is done. Rows that cannot be used are left out and counted
/// by reason.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  vincie import VINCIE-10M/data --out sessions --size 512x288 --limit 1000\n  \
                        vincie import magicbrush/train-*.parquet --out edits"
)]
pub(crate) struct Arguments {
    /// Parquet or JSONL files, shards, or folders
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<PathBuf>,

    /// Folder to write, which must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Scale and cut frames to this size; without, they keep theirs, and sessions whose frames
    /// differ in size are left out
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<[usize; 2]>,

    /// Stop behind N sessions
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Store frames as PNG rather than JPEG
    #[arg(long)]
    lossless: bool,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// A run; `--json` prints it as it is.
#[derive(Debug, Serialize)]
struct Summary {
    out: PathBuf,
    statistics: Statistics,
    /// Rows that were left out.
    skipped: u64,
    reasons: Vec<Reason>,
}

/// Why rows were left out.
#[derive(Debug, Serialize)]
struct Reason {
    rows: u64,
    /// What was wrong with the first of them.
    first: String,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let config = ImportConfig { limits: Limits::default(), size: arguments.size };
    let output = Folder::begin(&arguments.out)?;
    let frames = if arguments.lossless { FrameFormat::Png } else { FrameFormat::default() };
    let shards = WriterConfig { frames, ..WriterConfig::default() };
    let mut writer = ShardWriter::create(output.partial(), shards)?;
    let mut reasons = BTreeMap::new();
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let progress = console.progress("importing", "sessions", arguments.limit);
    // All sources are opened first, so that a wrong name ends the run before anything is written.
    let opened: Vec<_> = match &arguments.sources[..] {
        several if several.len() > 1 && several.iter().all(|path| is_table(path)) => {
            // Conversations may go on in the next file, so files named together are read together.
            vec![open_tables(several, &config)?]
        }
        each => each.iter().map(|path| open_sessions(path, &config)).collect::<Result<_, _>>()?,
    };
    for sessions in opened {
        let mut sessions = sessions;
        let wanted = std::iter::from_fn(|| {
            // None is read that is not wanted any more: its pictures would be decoded for nothing.
            let session = if left > 0 { sessions.next()? } else { return None };
            if session.is_ok() {
                left -= 1;
                progress.advance(1);
            }
            Some(session)
        });
        writer.write_all(wanted, |error| count(&mut reasons, &error))?;
    }
    drop(progress);
    let dataset = writer.finish()?;
    let mut reasons: Vec<Reason> = reasons.into_values().collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.rows));
    let skipped = reasons.iter().map(|reason| reason.rows).sum();
    if dataset.statistics.sessions == 0 {
        return Err(Failure::new(match reasons.first() {
            Some(reason) => format!("no sessions; {skipped} rows left out, as {}", reason.first),
            None => "no sessions: the sources are empty".to_owned(),
        }));
    }
    output.publish()?;
    let summary = Summary { out: arguments.out, statistics: dataset.statistics, skipped, reasons };
    if arguments.json { console.json(&summary) } else { summary.print(console) }
}

impl Summary {
    fn print(&self, console: &Console) -> Result<(), Failure> {
        if !self.reasons.is_empty() {
            let mut table = Table::new([("left out", Align::Right), ("first reason", Align::Left)]);
            for reason in &self.reasons {
                table.row([reason.rows.to_string(), reason.first.clone()]);
            }
            console.line(table)?;
        }
        let Statistics { sessions, transitions, bytes, .. } = self.statistics;
        console.line(printable(&format!(
            "{sessions} sessions with {transitions} transitions, {:.1} MB, in {}; {} left out",
            bytes as f64 / 1e6,
            self.out.display(),
            self.skipped
        )))
    }
}

fn is_table(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet")
}

/// Counts an error with those that differ from it in names and numbers only.
fn count(reasons: &mut BTreeMap<String, Reason>, error: &Error) {
    let text = error.to_string();
    let mut kind = match error {
        Error::Format { what, .. } | Error::Limit { what, .. } => alike(what),
        Error::Io { source, .. } => alike(&source.to_string()),
        Error::Unsupported(what) | Error::NoSessions(what) => alike(what),
    };
    if reasons.len() >= MAX_REASONS && !reasons.contains_key(&kind) {
        kind = String::new();
    }
    reasons.entry(kind).or_insert(Reason { rows: 0, first: text }).rows += 1;
}

/// A message without its quoted words and numbers.
fn alike(text: &str) -> String {
    let mut kind = String::with_capacity(text.len());
    let mut is_quoted = false;
    for c in text.chars() {
        is_quoted ^= c == '"';
        let is_repeated = c.is_ascii_digit() && kind.ends_with('0');
        if !is_quoted && !is_repeated {
            kind.push(if c.is_ascii_digit() { '0' } else { c });
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::alike;

    #[test]
    fn reasons_differ_by_more_than_names_and_numbers() {
        assert_eq!(alike("row 12: img_id \"a 1\" is bad"), alike("row 7: img_id \"b\" is bad"));
        assert_ne!(alike("row 12: has no ann_v0"), alike("row 12: has no image"));
    }
}
