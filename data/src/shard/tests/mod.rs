//! Shards as a whole: what is written, read back, damaged and published.

mod damage;
mod foreign;
mod publishing;
mod round_trip;

use super::*;
use crate::session::{Session, fixtures};
use crate::{Limits, Result};
use std::fs;
use std::io::Cursor;
use std::path::Path;

/// Small limits, so that a test that exceeded them would be seen.
fn limits() -> Limits {
    Limits { side: 64, pixels: 64 * 64 * 20, frames: 20, encoded_bytes: 1 << 20 }
}

fn lossless(name: &str) -> WriterConfig {
    WriterConfig { name: name.to_owned(), frames: FrameFormat::Png, ..WriterConfig::default() }
}

/// Sessions of two to five frames.
fn sessions(count: u32) -> Vec<Session> {
    (0..count)
        .map(|seed| {
            fixtures::session(&format!("clip-{seed:03}"), seed, 2 + seed as usize % 4, 6, 5)
        })
        .collect()
}

fn write(folder: &Path, config: WriterConfig, sessions: &[Session]) -> Dataset {
    let mut writer = ShardWriter::create(folder, config).expect("the folder is usable");
    for session in sessions {
        writer.write(session).expect("the session is valid");
    }
    writer.finish().expect("the disk takes it")
}

fn read_bytes(bytes: &[u8]) -> Vec<Result<Session>> {
    ShardReader::from_reader("memory.tar", Cursor::new(bytes), &limits())
        .expect("memory can be sought")
        .into_sessions()
        .collect()
}

/// Tar members without an end marker.
fn members(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = members(files);
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// The files of a folder by name, hidden ones included.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| {
            let entry = entry.expect("the folder can be read");
            let name = entry.file_name().into_string().expect("names are text");
            (name, fs::read(entry.path()).expect("files can be read"))
        })
        .collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_iter().map(|(name, _)| name).collect()
}

/// The message of an error, which is one line.
fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    let text = result.expect_err("it is refused").to_string();
    assert!(!text.contains('\n'), "{text:?} is one line");
    text
}
