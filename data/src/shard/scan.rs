//! Finding the sessions of a shard from its headers alone.

use super::index::ShardEntry;
use super::member::{Members, Name, Stop};
use super::part::Part;
use super::{MAX_SESSION_BYTES, MAX_SHARD_SESSIONS};
use std::collections::HashSet;
use std::io::{Read, Seek};

/// Most refusals that are kept word for word; the rest is a number.
const MAX_REFUSALS: usize = 100;

/// What a walk over all headers finds.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Sessions in file order, without hashes.
    pub(crate) entries: Vec<ShardEntry>,
    /// Members that are no part of a session.
    pub(crate) ignored: u64,
    /// Members and sessions that were refused, one line each.
    pub(crate) refused: Vec<String>,
    /// Refusals beyond those kept.
    pub(crate) more_refused: u64,
    /// Why the walk ended early.
    pub(crate) stop: Option<Stop>,
    /// The last session before a stop. Headers cannot tell whether all its files are there.
    pub(crate) tail: Option<ShardEntry>,
}

/// Walks over the headers of `reader`, which holds `length` bytes.
pub(crate) fn scan<R: Read + Seek>(reader: R, length: u64) -> Scan {
    let mut members = Members::new(reader, length);
    let mut scan = Scan::default();
    let mut seen = HashSet::new();
    let mut open: Option<ShardEntry> = None;
    while let Some(member) = members.next() {
        let member = match member {
            Ok(member) => member,
            Err(stop) => {
                scan.stop = Some(stop);
                break;
            }
        };
        let name = match &member.name {
            Name::File(name) => name,
            Name::Other => {
                scan.ignored += 1;
                continue;
            }
            Name::Refused(why) => {
                scan.refuse(format!("member at byte {}: the name {why}", member.start));
                continue;
            }
        };
        let Some((key, _)) = Part::of_name(name) else {
            scan.ignored += 1;
            continue;
        };
        match &mut open {
            Some(entry) if entry.key == key => entry.size = member.end - entry.offset,
            _ => {
                scan.close(open.take(), &mut seen);
                open = Some(ShardEntry {
                    key: key.to_owned(),
                    offset: member.start,
                    size: member.end - member.start,
                    sha256: None,
                    source: None,
                });
            }
        }
        if scan.entries.len() >= MAX_SHARD_SESSIONS {
            scan.stop = Some(Stop {
                is_cut: false,
                what: format!("more than {MAX_SHARD_SESSIONS} sessions in one shard"),
            });
            return scan;
        }
    }
    if scan.stop.is_none() && !members.has_end_marker() {
        let what = format!("cut at byte {length}: the archive has no end marker");
        scan.stop = Some(Stop { is_cut: true, what });
    }
    match open {
        Some(entry) if scan.stop.is_some() && !seen.contains(&entry.key) => scan.tail = Some(entry),
        open => scan.close(open, &mut seen),
    }
    scan
}

impl Scan {
    fn close(&mut self, entry: Option<ShardEntry>, seen: &mut HashSet<String>) {
        let Some(entry) = entry else { return };
        if entry.size > MAX_SESSION_BYTES {
            self.refuse(format!(
                "session {} has {} bytes; the limit is {MAX_SESSION_BYTES}",
                entry.key, entry.size
            ));
        } else if !seen.insert(entry.key.clone()) {
            self.refuse(format!(
                "session {} comes again at byte {}; all files of a key stand together, once",
                entry.key, entry.offset
            ));
        } else {
            self.entries.push(entry);
        }
    }

    fn refuse(&mut self, what: String) {
        if self.refused.len() < MAX_REFUSALS {
            self.refused.push(what);
        } else {
            self.more_refused += 1;
        }
    }
}
