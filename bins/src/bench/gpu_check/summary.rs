//! The times of a record as a table that people read, on the terminal and beside the record.

use super::report::{Record, Row};
use crate::failure::Failure;
use crate::publish;
use crate::table::{Align, Table};
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

/// Name of the table's file.
const FILE: &str = "gpu-check.md";

/// Columns behind the name of the work.
const COLUMNS: [&str; 8] =
    ["ms", "TFLOP/s", "GB/s", "of copy", "of peak", "target", "PyTorch ms", "ours / PyTorch"];

/// A row's cells; none where nothing was timed.
fn cells(row: &Row) -> Option<Vec<String>> {
    let number = |key: &str| row.details.get(key).and_then(Value::as_f64);
    let ms = number("ms")?;
    let none = || "-".to_owned();
    let text = |value: Option<f64>, digits: usize| {
        value.map_or_else(none, |value| format!("{value:.digits$}"))
    };
    let share = |value: Option<f64>| value.map_or_else(none, |v| format!("{:.0} %", 100.0 * v));
    let target = row.details.get("target").and_then(Value::as_object);
    let target =
        target.and_then(|target| target.iter().next()).map_or_else(none, |(kind, value)| {
            let value = value.as_f64().unwrap_or_default();
            let met = row.details.get("meets_target").and_then(Value::as_bool);
            let met = met.map_or("", |met| if met { ", met" } else { ", missed" });
            match kind.as_str() {
                "tflop_per_second" => format!("{value:.0} TFLOP/s{met}"),
                "share_of_copy" => format!("{:.0} % of copy{met}", 100.0 * value),
                _ => format!("{:.0} % of peak{met}", 100.0 * value),
            }
        });
    let peer = row.details.get("peer");
    let peer_ms = peer.and_then(|peer| peer["ms"].as_f64());
    let way = peer.and_then(|peer| peer["impl"].as_str()).unwrap_or_default();
    let peer_cell = peer_ms.map_or_else(none, |ms| format!("{ms:.4} {way}"));
    Some(vec![
        format!("{ms:.4}"),
        text(number("tflop_per_s"), 1),
        text(number("gb_per_s").filter(|_| number("flops") == Some(0.0)), 0),
        share(number("share_of_copy")),
        share(number("share_of_peak")),
        target,
        peer_cell,
        text(number("ratio"), 2),
    ])
}

/// The table; none where nothing was timed, as on an emulated device.
pub(super) fn table(record: &Record) -> Option<Table> {
    let right = |name| (name, Align::Right);
    let mut table = Table::new([("work", Align::Left)].into_iter().chain(COLUMNS.map(right)));
    let mut count = 0;
    for (_, row) in record.rows() {
        if let Some(cells) = cells(row) {
            table.row([row.name.clone()].into_iter().chain(cells));
            count += 1;
        }
    }
    (count > 0).then_some(table)
}

/// Writes the table as Markdown: every time, and every case that is not passed.
pub(super) fn publish(record: &Record, folder: &Path) -> Result<(), Failure> {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
    let mut text = format!("# {}\n\n", record.device.line());
    // Writing to a text cannot fail.
    let _ = writeln!(text, "vincie {}, {:.0} s in all.\n", record.version(), record.seconds);
    let names: Vec<String> = ["work"].into_iter().chain(COLUMNS).map(str::to_owned).collect();
    let timed: Vec<(&Row, Vec<String>)> =
        record.rows().filter_map(|(_, row)| Some((row, cells(row)?))).collect();
    if timed.is_empty() {
        text += "No times: an emulated device has none that say anything of a GPU.\n";
    } else {
        text += &line(&names);
        text += &line(&vec!["---".to_owned(); names.len()]);
        for (row, cells) in timed {
            text += &line(&[vec![row.name.clone()], cells].concat());
        }
    }
    text += "\n| section | case | result | |\n| --- | --- | --- | --- |\n";
    for (part, row) in record.rows().filter(|(_, row)| row.reason.is_some()) {
        let reason = row.reason.as_deref().unwrap_or_default();
        let reason = reason.lines().next().unwrap_or_default().replace('|', "/");
        text += &line(&[part.name.clone(), row.name.clone(), row.status.name().to_owned(), reason]);
    }
    publish::file(&folder.join(FILE), text.as_bytes())
}
