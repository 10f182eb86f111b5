//! The numbers that a run wrote while it trained: `metrics.jsonl`, an object a line.

use crate::failure::Failure;
use crate::report::{Axis, Curve, Plot};
use crate::table::{Align, Table};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Name of the file in a run's folder.
pub(super) const METRICS_FILE: &str = "metrics.jsonl";

/// Longest line that is read, bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Part of a name that marks values measured on held-out data.
const HELD_OUT: &str = "held_out";

/// Series of values by name. Nested objects give names with dots: `loss.next_image`.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Metrics {
    /// `[step, value]` in file order.
    series: BTreeMap<String, Vec<[f64; 2]>>,
    /// Lines that are no JSON objects, such as one that was cut when the run was killed.
    bad_lines: usize,
}

impl Metrics {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let fail = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        Self::parse(BufReader::new(File::open(path).map_err(fail)?)).map_err(fail)
    }

    fn parse(mut reader: impl BufRead) -> std::io::Result<Self> {
        let mut metrics = Self::default();
        let mut line = Vec::new();
        for number in 0.. {
            line.clear();
            let length = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            match serde_json::from_slice::<Value>(&line) {
                Ok(Value::Object(object)) => {
                    let step = object.get("step").and_then(Value::as_f64);
                    let step = step.unwrap_or(f64::from(number));
                    for (key, value) in object.iter().filter(|(key, _)| *key != "step") {
                        metrics.add(key, value, step);
                    }
                }
                _ if line.iter().all(u8::is_ascii_whitespace) => {}
                _ => metrics.bad_lines += 1,
            }
        }
        Ok(metrics)
    }

    fn add(&mut self, name: &str, value: &Value, step: f64) {
        match value {
            Value::Number(number) => {
                let value = number.as_f64().unwrap_or(f64::NAN);
                self.series.entry(name.to_owned()).or_default().push([step, value]);
            }
            Value::Object(inner) => {
                for (key, value) in inner {
                    self.add(&format!("{name}.{key}"), value, step);
                }
            }
            _ => {}
        }
    }

    /// Every series with its first, smallest and last value.
    pub(super) fn table(&self) -> Table {
        let columns = [
            ("metric", Align::Left),
            ("values", Align::Right),
            ("last step", Align::Right),
            ("first", Align::Right),
            ("least", Align::Right),
            ("last", Align::Right),
        ];
        let mut table = Table::new(columns);
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.5}"));
        for (name, points) in &self.series {
            let values = || points.iter().map(|point| point[1]);
            table.row([
                name.clone(),
                points.len().to_string(),
                points.last().map_or("-".to_owned(), |point| point[0].to_string()),
                number(values().next()),
                number(values().reduce(f64::min)),
                number(values().next_back()),
            ]);
        }
        table
    }

    /// The losses, each with its held-out values.
    pub(super) fn losses(&self) -> Plot {
        let mut curves: BTreeMap<String, Curve> = BTreeMap::new();
        for (name, points) in self.series.iter().filter(|(name, _)| name.contains("loss")) {
            let is_held_out = name.contains(HELD_OUT);
            let name = name.replace(HELD_OUT, "");
            let name = name.trim_matches(['.', '_', '/']).to_owned();
            let curve = curves.entry(name.clone()).or_insert_with(|| Curve::new(name, Vec::new()));
            let list = if is_held_out { &mut curve.held_out } else { &mut curve.points };
            list.clone_from(points);
        }
        Plot {
            title: "Loss".to_owned(),
            x: Axis::linear("step"),
            y: Axis::log("loss"),
            curves: curves.into_values().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_collected_by_name() {
        let text = "{\"step\": 1, \"loss\": {\"a\": 2.0, \"b\": 3}, \"note\": \"x\"}\n\
                    {\"step\": 2, \"loss\": {\"a\": 1.0}, \"held_out\": {\"loss\": {\"a\": 4}}}\n\
                    \n{\"step\": 3, \"lo";
        let metrics = Metrics::parse(text.as_bytes()).expect("a string can be read");
        assert_eq!(metrics.bad_lines, 1);
        assert_eq!(metrics.series["loss.a"], [[1.0, 2.0], [2.0, 1.0]]);
        assert_eq!(metrics.series["loss.b"], [[1.0, 3.0]]);
        let plot = metrics.losses();
        assert_eq!(plot.curves.len(), 2);
        assert_eq!(plot.curves[0].name, "loss.a");
        assert_eq!(plot.curves[0].held_out, [[2.0, 4.0]]);
        assert_eq!(metrics.table().rows().len(), 3);
    }

    #[test]
    fn garbage_is_counted() {
        let bytes = [&[0xff; 5000][..], b"\n[1]\n{}\n"].concat();
        let metrics = Metrics::parse(&bytes[..]).expect("bytes can be read");
        assert_eq!((metrics.bad_lines, metrics.series.len()), (2, 0));
    }
}
