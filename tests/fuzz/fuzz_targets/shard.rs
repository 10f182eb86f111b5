//! Shards and their indexes: valid sessions and errors of one line, never a panic.
//!
//! The input is taken as an index, as an archive, and as a recipe for an archive whose headers are
//! right, because random bytes seldom get past a checksum.
#![no_main]

mod shared;

use std::io::Cursor;
use vincie_data::shard::{ShardIndex, ShardReader};

/// Names that recipes choose from.
const NAMES: [&str; 16] = [
    "a.json",
    "a.000.png",
    "a.001.jpg",
    "a.000.cur.png",
    "a.000.next.png",
    "a.002.png",
    "b.json",
    "b.000.jpg",
    "b.001.png",
    "./a.json",
    "../a.json",
    "/a.json",
    "a.txt",
    "././@LongLink",
    "pax",
    "",
];

libfuzzer_sys::fuzz_target!(init: shared::allow_caught_panics(), |bytes: &[u8]| {
    if let Ok(index) = ShardIndex::parse(bytes) {
        // Whatever passes the check stays inside the shard.
        if index.check(index.bytes).is_ok() {
            assert!(index.sessions.iter().all(|entry| entry.offset + entry.size <= index.bytes));
        }
    }
    read(bytes);
    read(&archive(bytes));
});

fn read(bytes: &[u8]) {
    let reader = ShardReader::from_reader("input", Cursor::new(bytes), &shared::LIMITS);
    for session in reader.expect("memory can be sought").into_sessions() {
        match session {
            Ok(session) => session.validate().expect("only valid sessions come out"),
            Err(error) => assert_eq!(error.to_string().lines().count(), 1),
        }
    }
}

/// Members of a byte for name and kind, two for the size, and the content.
fn archive(mut recipe: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let [choice, low, high, rest @ ..] = recipe {
        let size = usize::from(u16::from_le_bytes([*low, *high]));
        let content = &rest[..size.min(rest.len())];
        recipe = &rest[content.len()..];
        let name = NAMES[usize::from(choice % 16)];
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = match (name, choice >> 4) {
            ("././@LongLink", _) => b'L',
            ("pax", _) => b'x',
            (_, 15) => b'5',
            (_, 14) => b'2',
            _ => b'0',
        };
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}
