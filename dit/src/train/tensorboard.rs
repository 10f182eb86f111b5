//! TensorBoard's event files, written from scratch: TFRecord framing round protocol buffers of type
//! `tensorflow.Event` (TensorFlow, `core/util/event.proto` and `core/framework/summary.proto`).

use super::crc::masked;
use super::metrics::StepMetrics;
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers of the fields that are written, by message.
mod field {
    pub(super) const EVENT_WALL_TIME: u32 = 1;
    pub(super) const EVENT_STEP: u32 = 2;
    pub(super) const EVENT_FILE_VERSION: u32 = 3;
    pub(super) const EVENT_SUMMARY: u32 = 5;
    pub(super) const EVENT_SESSION_LOG: u32 = 7;
    pub(super) const SESSION_LOG_STATUS: u32 = 1;
    pub(super) const SUMMARY_VALUE: u32 = 1;
    pub(super) const VALUE_TAG: u32 = 1;
    pub(super) const VALUE_SIMPLE: u32 = 2;
    pub(super) const VALUE_IMAGE: u32 = 4;
    pub(super) const IMAGE_HEIGHT: u32 = 1;
    pub(super) const IMAGE_WIDTH: u32 = 2;
    pub(super) const IMAGE_COLOURSPACE: u32 = 3;
    pub(super) const IMAGE_ENCODED: u32 = 4;
}

/// What the first record must say.
const VERSION: &str = "brain.Event:2";

/// `SessionLog.START`: events of earlier files from this step on are superseded.
const START: u64 = 1;

/// Three channels.
const RGB: u64 = 3;

/// One event file. Every event is handed to the system at once.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// Makes a new file in the folder, which is made, too, where it is missing. A run that goes on
    /// after
    /// `start` steps hides what files of earlier starts say of later ones.
    pub fn create(folder: &Path, start: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let now = wall_time();
        let (path, file) = new_file(folder, now as u64)?;
        let mut writer = Self { path, file };
        writer.write(&event(now, 0, field::EVENT_FILE_VERSION, VERSION.as_bytes()))?;
        let mut session = Vec::new();
        number(&mut session, field::SESSION_LOG_STATUS, START);
        let superseded = if start == 0 { 0 } else { start + 1 };
        writer.write(&event(now, superseded, field::EVENT_SESSION_LOG, &session))?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes numbers of a step under their tags; a slash in a tag makes a group.
    pub fn scalars<'t>(
        &mut self,
        step: u64,
        scalars: impl IntoIterator<Item = (&'t str, f64)>,
    ) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            bytes(&mut summary, field::SUMMARY_VALUE, &scalar(tag, value));
        }
        self.write(&event(wall_time(), step, field::EVENT_SUMMARY, &summary))
    }

    /// Writes all metrics of a step.
    pub fn metrics(&mut self, metrics: &StepMetrics) -> Result<()> {
        let scalars: Vec<(String, f64)> = metrics.scalars().collect();
        self.scalars(metrics.step, scalars.iter().map(|(tag, value)| (tag.as_str(), *value)))
    }

    /// Writes a picture of a step: a PNG file's bytes, and its height and width in pixels.
    pub fn image(&mut self, step: u64, tag: &str, size: [usize; 2], png: &[u8]) -> Result<()> {
        let mut summary = Vec::new();
        bytes(&mut summary, field::SUMMARY_VALUE, &image(tag, size, png));
        self.write(&event(wall_time(), step, field::EVENT_SUMMARY, &summary))
    }

    fn write(&mut self, payload: &[u8]) -> Result<()> {
        self.file.write_all(&record(payload)).map_err(|source| Error::io(&self.path, source))
    }
}

/// A file that did not exist. Names sort by time, and by a count within a second.
fn new_file(folder: &Path, seconds: u64) -> Result<(PathBuf, File)> {
    let mut count = 0u32;
    loop {
        let process = std::process::id();
        let name = format!("events.out.tfevents.{seconds:010}.vincie.{process}.{count}");
        let path = folder.join(name);
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && count < u32::MAX => {
                count += 1
            }
            opened => {
                let file = opened.map_err(|source| Error::io(&path, source))?;
                return Ok((path, file));
            }
        }
    }
}

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Length, its checksum, payload, its checksum.
fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(payload.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked(&length).to_le_bytes());
    record.extend_from_slice(payload);
    record.extend_from_slice(&masked(payload).to_le_bytes());
    record
}

fn event(wall_time: f64, step: u64, what: u32, content: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(content.len() + 32);
    key(&mut event, field::EVENT_WALL_TIME, Wire::Fixed64);
    event.extend_from_slice(&wall_time.to_le_bytes());
    number(&mut event, field::EVENT_STEP, step);
    bytes(&mut event, what, content);
    event
}

fn scalar(tag: &str, value: f64) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(&mut message, field::VALUE_TAG, tag.as_bytes());
    key(&mut message, field::VALUE_SIMPLE, Wire::Fixed32);
    message.extend_from_slice(&(value as f32).to_le_bytes());
    message
}

fn image(tag: &str, [height, width]: [usize; 2], png: &[u8]) -> Vec<u8> {
    let mut picture = Vec::with_capacity(png.len() + 32);
    number(&mut picture, field::IMAGE_HEIGHT, height as u64);
    number(&mut picture, field::IMAGE_WIDTH, width as u64);
    number(&mut picture, field::IMAGE_COLOURSPACE, RGB);
    bytes(&mut picture, field::IMAGE_ENCODED, png);
    let mut message = Vec::new();
    bytes(&mut message, field::VALUE_TAG, tag.as_bytes());
    bytes(&mut message, field::VALUE_IMAGE, &picture);
    message
}

/// How a field's value is laid out in a protocol buffer.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

fn key(to: &mut Vec<u8>, field: u32, wire: Wire) {
    varint(to, u64::from(field << 3 | wire as u32));
}

/// A whole number; 0 is what is read where there is none.
fn number(to: &mut Vec<u8>, field: u32, value: u64) {
    if value > 0 {
        key(to, field, Wire::Varint);
        varint(to, value);
    }
}

fn bytes(to: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(to, field, Wire::Bytes);
    varint(to, value.len() as u64);
    to.extend_from_slice(value);
}

/// Seven bits a byte, the lowest first; all but the last byte have the top bit set.
fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::scratch::Scratch;

    /// A 1 x 1 red picture.
    const PNG: &str = "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49\
        444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082";

    /// What the `RecordWriter` and the message classes of TensorBoard 2.21 write for [`records`].
    const GOLDEN: [&str; 4] = [
        "1800000000000000a37f4b220900001098be48da411a0d627261696e2e4576656e743a329a6cdf0f",
        "100000000000000095fbfe180900001098be48da4110ac023a020801a662df4f",
        "33000000000000000ca720560900001098be48da4110ac022a250a0b0a046c6f7373150000003f0a\
         160a0f6c6f73732f6e6578742d696d616765150000c07f5615415c",
        "6500000000000000ebd05a690900001098be48da4110ac022a570a550a0465646974224d08011001\
         1803224589504e470d0a1a0a0000000d4948445200000001000000010802000000907753de000000\
         0c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae42608243315dfc",
    ];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let byte = |i| u8::from_str_radix(&text[i..i + 2], 16).expect("two hexadecimal digits");
        (0..text.len()).step_by(2).map(byte).collect()
    }

    /// One record of each kind at a fixed time.
    fn records() -> [Vec<u8>; 4] {
        let (time, step) = (1_763_900_000.25, 300);
        let mut session = Vec::new();
        number(&mut session, field::SESSION_LOG_STATUS, START);
        let mut scalars = Vec::new();
        bytes(&mut scalars, field::SUMMARY_VALUE, &scalar("loss", 0.5));
        bytes(&mut scalars, field::SUMMARY_VALUE, &scalar("loss/next-image", f64::NAN));
        let mut picture = Vec::new();
        bytes(&mut picture, field::SUMMARY_VALUE, &image("edit", [1, 1], &unhex(PNG)));
        [
            record(&event(time, 0, field::EVENT_FILE_VERSION, VERSION.as_bytes())),
            record(&event(time, step, field::EVENT_SESSION_LOG, &session)),
            record(&event(time, step, field::EVENT_SUMMARY, &scalars)),
            record(&event(time, step, field::EVENT_SUMMARY, &picture)),
        ]
    }

    #[test]
    fn writes_what_tensorboard_itself_would_write() {
        for (record, golden) in records().iter().zip(GOLDEN) {
            assert_eq!(hex(record), golden);
        }
    }

    #[test]
    fn numbers_are_varints() {
        for (value, expected) in [
            (0, "00"),
            (127, "7f"),
            (128, "8001"),
            (300, "ac02"),
            (u64::MAX, "ffffffffffffffffff01"),
        ] {
            let mut all = Vec::new();
            varint(&mut all, value);
            assert_eq!(hex(&all), expected, "{value}");
        }
    }

    /// Payloads of a file whose lengths and checksums are right to the last byte.
    fn payloads(mut file: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while !file.is_empty() {
            let length = u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
            let payload = &file[12..12 + length];
            assert_eq!(record(payload), file[..length + 16]);
            all.push(payload.to_vec());
            file = &file[length + 16..];
        }
        all
    }

    #[test]
    fn every_start_has_a_file_of_its_own_that_can_be_followed() {
        let scratch = Scratch::new("events");
        let folder = scratch.path().join("tensorboard");
        let mut first = EventWriter::create(&folder, 0).expect("the folder is writable");
        let mut second = EventWriter::create(&folder, 7).expect("the folder is writable");
        assert_ne!(first.path(), second.path());
        assert!(
            first.path() < second.path(),
            "TensorBoard reads files in the order of their names"
        );
        let read = |writer: &EventWriter| payloads(&fs::read(writer.path()).expect("it is there"));
        assert_eq!((read(&first).len(), read(&second).len()), (2, 2));
        first.scalars(1, [("a", 1.0), ("b", 2.0)]).expect("the disk has room");
        first.scalars(2, []).expect("the disk has room");
        assert_eq!(read(&first).len(), 4);
        let metrics = StepMetrics { step: 8, loss: 0.5, ..StepMetrics::default() };
        second.metrics(&metrics).expect("the disk has room");
        second.image(8, "edit", [1, 1], &unhex(PNG)).expect("the disk has room");
        let written = read(&second);
        assert_eq!(written.len(), 4);
        assert_eq!(hex(&written[1][9..]), "10083a020801", "what was said of step 8 is superseded");
        assert_eq!(hex(&written[2][9..22]), hex(b"\x10\x08\x2a\xae\x01\x0a\x0b\x0a\x04loss"));
    }
}
