//! `metrics.jsonl`: one JSON object a step, appended, cut back to the checkpoint when a run is
//! resumed, and read again for reports.

use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Longest line, bytes.
const MAX_LINE: u64 = 1 << 20;

/// What is known of one optimizer step. Numbers that are not finite are `null` in the file and not
/// a number when read back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Optimizer steps taken, this one included.
    pub step: u64,
    /// The weighted loss that was trained on.
    #[serde(deserialize_with = "null_as_nan")]
    pub loss: f64,
    /// Unweighted loss of each task that had a target.
    #[serde(deserialize_with = "nulls_as_nan")]
    pub losses: BTreeMap<String, f64>,
    /// Learning rate.
    #[serde(deserialize_with = "null_as_nan")]
    pub learning_rate: f64,
    /// Global norm of the gradients before clipping.
    #[serde(deserialize_with = "null_as_nan")]
    pub gradient_norm: f64,
    /// Tokens, text and visual, per second.
    #[serde(deserialize_with = "null_as_nan")]
    pub tokens_per_second: f64,
    /// Sessions per second.
    #[serde(deserialize_with = "null_as_nan")]
    pub sessions_per_second: f64,
    /// Wall time of the step, milliseconds.
    #[serde(deserialize_with = "null_as_nan")]
    pub step_ms: f64,
    /// Part of it spent waiting for data, milliseconds.
    #[serde(deserialize_with = "null_as_nan")]
    pub data_wait_ms: f64,
    /// Largest memory in use so far, bytes.
    pub peak_memory_bytes: u64,
    /// Model FLOP utilisation: share of the machine's measured peak; `None` where no peak is known.
    pub mfu: Option<f64>,
    /// Results of the evaluation after this step, if there was one.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "nulls_as_nan"
    )]
    pub evaluation: BTreeMap<String, f64>,
}

/// The open file. Every line is handed to the system at once, so that others can follow it.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
    bytes: u64,
    lost: u64,
}

impl StepMetrics {
    /// All numbers under their names in CSV files and TensorBoard, `loss/{task}` and
    /// `evaluation/{name}` among them; the step is left out.
    pub fn scalars(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        let named = |prefix: &'static str, map: &'_ BTreeMap<String, f64>| {
            map.iter().map(|(name, &v)| (format!("{prefix}/{name}"), v)).collect::<Vec<_>>()
        };
        let plain = [
            ("loss", Some(self.loss)),
            ("learning_rate", Some(self.learning_rate)),
            ("gradient_norm", Some(self.gradient_norm)),
            ("tokens_per_second", Some(self.tokens_per_second)),
            ("sessions_per_second", Some(self.sessions_per_second)),
            ("step_ms", Some(self.step_ms)),
            ("data_wait_ms", Some(self.data_wait_ms)),
            ("peak_memory_bytes", Some(self.peak_memory_bytes as f64)),
            ("mfu", self.mfu),
        ];
        let plain = plain.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        plain.chain(named("loss", &self.losses)).chain(named("evaluation", &self.evaluation))
    }
}

impl Metrics {
    /// Opens the file to append to its first `bytes` bytes, a length that [`Metrics::sync`] gave,
    /// and 0 to start anew. What comes after them, and a line that is cut off by them, is removed.
    /// A file that is shorter than that, because the machine stopped, is gone on with as it is.
    pub fn open(path: impl Into<PathBuf>, bytes: u64) -> Result<Self> {
        let path = path.into();
        let io = |source| Error::io(&path, source);
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        let end = end_of_line(&mut file, bytes.min(found)).map_err(io)?;
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(io)?;
        Ok(Self { path, file, bytes: end, lost: bytes - end })
    }

    /// Bytes that were missing when the file was opened.
    pub fn lost_bytes(&self) -> u64 {
        self.lost
    }

    /// Appends a step. On an `Err` nothing of it stays in the file, as far as the system allows.
    pub fn append(&mut self, metrics: &StepMetrics) -> Result<()> {
        let mut line = serde_json::to_vec(metrics).expect("keys are texts, as JSON needs");
        line.push(b'\n');
        self.file.write_all(&line).map_err(|source| {
            // A line that stays torn is passed over by readers, and cut off on the next start.
            let _ = self.file.set_len(self.bytes);
            let _ = self.file.seek(SeekFrom::Start(self.bytes));
            Error::io(&self.path, source)
        })?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Makes all lines durable; returns the length for a checkpoint.
    pub fn sync(&mut self) -> Result<u64> {
        self.file.sync_all().map_err(|source| Error::io(&self.path, source))?;
        Ok(self.bytes)
    }
}

/// Reads all steps. A last line without its end is still being written and left out.
pub fn read(path: &Path) -> Result<Vec<StepMetrics>> {
    let io = |source| Error::io(path, source);
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let mut all = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(io)?;
        let number = all.len() + 1;
        if line.last() != Some(&b'\n') {
            if line.len() as u64 == MAX_LINE {
                let what = format!("line {number} is longer than {MAX_LINE} bytes");
                return Err(Error::format(path, what));
            }
            return Ok(all);
        }
        let step = serde_json::from_slice(&line).map_err(|error| {
            Error::format(path, format!("line {number} holds no metrics of a step: {error}"))
        })?;
        all.push(step);
    }
}

/// Writes steps as CSV (RFC 4180): a column for every number that any step has, empty where a step
/// lacks it.
pub fn write_csv(steps: &[StepMetrics], mut to: impl Write) -> io::Result<()> {
    let mut columns: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    for (name, _) in steps.iter().flat_map(StepMetrics::scalars) {
        if known.insert(name.clone()) {
            columns.push(name);
        }
    }
    write!(to, "step")?;
    for column in &columns {
        match column.contains([',', '"', '\n', '\r']) {
            true => write!(to, ",\"{}\"", column.replace('"', "\"\""))?,
            false => write!(to, ",{column}")?,
        }
    }
    write!(to, "\r\n")?;
    for step in steps {
        write!(to, "{}", step.step)?;
        let values: BTreeMap<String, f64> = step.scalars().collect();
        for column in &columns {
            match values.get(column) {
                Some(value) => write!(to, ",{value}")?,
                None => write!(to, ",")?,
            }
        }
        write!(to, "\r\n")?;
    }
    to.flush()
}

/// End of the last whole line within the first `end` bytes.
fn end_of_line(file: &mut File, mut end: u64) -> io::Result<u64> {
    let mut block = [0; 4096];
    while end > 0 {
        let start = (end - 1) / block.len() as u64 * block.len() as u64;
        let block = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(block)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn null_as_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn nulls_as_nan<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, f64>, D::Error> {
    let all = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::scratch::Scratch;
    use std::fs;

    fn step(step: u64) -> StepMetrics {
        StepMetrics {
            step,
            loss: 1.0 / step as f64,
            losses: BTreeMap::from([("next-image".to_owned(), 0.1 * step as f64)]),
            learning_rate: 3e-4,
            step_ms: 12.5,
            peak_memory_bytes: 1 << 40,
            mfu: step.is_multiple_of(2).then_some(0.25),
            ..StepMetrics::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let scratch = Scratch::new("metrics");
        let path = scratch.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, 0).expect("the folder is writable");
        let steps: Vec<StepMetrics> = (1..=5).map(step).collect();
        for (i, step) in steps.iter().enumerate() {
            metrics.append(step).expect("the disk has room");
            assert_eq!(
                read(&path).expect("every line is whole"),
                steps[..=i],
                "nothing is held back"
            );
        }
        let text = fs::read_to_string(&path).expect("it is text");
        assert_eq!(
            text.lines().next(),
            Some(concat!(
                r#"{"step":1,"loss":1.0,"losses":{"next-image":0.1},"learning_rate":0.0003,"#,
                r#""gradient_norm":0.0,"tokens_per_second":0.0,"sessions_per_second":0.0,"#,
                r#""step_ms":12.5,"data_wait_ms":0.0,"peak_memory_bytes":1099511627776,"mfu":null}"#
            ))
        );
    }

    #[test]
    fn a_diverged_run_can_be_read() {
        let scratch = Scratch::new("diverged");
        let path = scratch.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, 0).expect("the folder is writable");
        let mut diverged = step(1);
        diverged.gradient_norm = f64::INFINITY;
        diverged.losses.insert("next-mask".to_owned(), f64::NAN);
        metrics.append(&diverged).expect("the disk has room");
        let read = read(&path).expect("null stands for what is not finite");
        assert!(read[0].gradient_norm.is_nan() && read[0].losses["next-mask"].is_nan());
        assert_eq!(read[0].loss, 1.0);
    }

    #[test]
    fn resuming_removes_what_came_after_the_checkpoint() {
        let scratch = Scratch::new("resume");
        let path = scratch.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, 0).expect("the folder is writable");
        (1..=3).for_each(|i| metrics.append(&step(i)).expect("the disk has room"));
        let saved = metrics.sync().expect("the disk has room");
        (4..=9).for_each(|i| metrics.append(&step(i)).expect("the disk has room"));
        drop(metrics);
        let mut resumed = Metrics::open(&path, saved).expect("the file is there");
        assert_eq!(resumed.lost_bytes(), 0);
        resumed.append(&step(4)).expect("the disk has room");
        let expected: Vec<StepMetrics> = (1..=4).map(step).collect();
        assert_eq!(read(&path).expect("every line is whole"), expected);
    }

    #[test]
    fn goes_on_after_a_torn_line_at_any_place() {
        let scratch = Scratch::new("torn");
        let path = scratch.path().join("metrics.jsonl");
        let line = |i| serde_json::to_string(&step(i)).expect("it is plain data") + "\n";
        let text: String = (1..=40).map(line).collect();
        let whole = |bytes: usize| text[..bytes].matches('\n').count() as u64;
        for bytes in (0..text.len()).step_by(41).chain([text.len()]) {
            fs::write(&path, &text[..bytes]).expect("the folder is writable");
            let left = whole(bytes);
            assert_eq!(read(&path).expect("a torn line is passed over").len() as u64, left);
            let mut metrics = Metrics::open(&path, text.len() as u64).expect("the file is there");
            let end = text[..bytes].rfind('\n').map_or(0, |at| at + 1);
            assert_eq!(metrics.lost_bytes() as usize, text.len() - end);
            metrics.append(&step(left + 1)).expect("the disk has room");
            let expected: Vec<StepMetrics> = (1..=left + 1).map(step).collect();
            assert_eq!(read(&path).expect("every line is whole"), expected, "{bytes} bytes");
        }
    }

    #[test]
    fn garbage_is_named_by_its_line() {
        let scratch = Scratch::new("garbage");
        let path = scratch.path().join("metrics.jsonl");
        for (text, message) in [
            ("{}\n", "line 1 holds no metrics of a step: missing field `step` at line 1 column 2"),
            (
                "\u{0}\u{0}\n",
                "line 1 holds no metrics of a step: expected value at line 1 column 1",
            ),
        ] {
            fs::write(&path, text).expect("the folder is writable");
            let error = read(&path).expect_err("it is garbage").to_string();
            assert_eq!(error, format!("{}: {message}", path.display()));
        }
        fs::write(&path, vec![b'x'; MAX_LINE as usize + 1]).expect("the folder is writable");
        let error = read(&path).expect_err("it is too long").to_string();
        assert!(error.ends_with("line 1 is longer than 1048576 bytes"), "{error}");
        let missing = scratch.path().join("none/metrics.jsonl");
        assert!(read(&missing).is_err() && Metrics::open(missing, 0).is_err());
    }

    #[test]
    fn csv_has_a_column_for_every_number() {
        let mut second = step(2);
        second.losses.clear();
        second.evaluation.insert("loss, \"held out\"".to_owned(), 0.5);
        let mut csv = Vec::new();
        write_csv(&[step(1), second], &mut csv).expect("memory has room");
        assert_eq!(
            String::from_utf8(csv).expect("it is text").split("\r\n").collect::<Vec<_>>(),
            [
                "step,loss,learning_rate,gradient_norm,tokens_per_second,sessions_per_second,step_ms,\
                 data_wait_ms,peak_memory_bytes,loss/next-image,mfu,\
                 \"evaluation/loss, \"\"held out\"\"\"",
                "1,1,0.0003,0,0,0,12.5,0,1099511627776,0.1,,",
                "2,0.5,0.0003,0,0,0,12.5,0,1099511627776,,0.25,0.5",
                "",
            ]
        );
        let mut empty = Vec::new();
        write_csv(&[], &mut empty).expect("memory has room");
        assert_eq!(empty, b"step\r\n");
    }
}
