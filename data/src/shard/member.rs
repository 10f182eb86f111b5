//! The members of a tar archive, header by header, with exact offsets and checks before use.
//!
//! The `tar` crate knows the header's fields; walking is done here because a shard's index needs
//! the position of each header, and because nothing may be allocated that the file asks for.

use std::io::{Read, Seek, SeekFrom};
use tar::{EntryType, Header, PaxExtensions};

/// Tar's unit.
pub(crate) const BLOCK: u64 = 512;

/// Largest extension header (long name, PAX records) that is read, bytes.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

/// One member.
#[derive(Debug, PartialEq)]
pub(crate) struct Member {
    /// First byte of its first header, extension headers included.
    pub(crate) start: u64,
    /// First byte of its content.
    pub(crate) data: u64,
    /// Bytes of content.
    pub(crate) size: u64,
    /// First byte behind its padding.
    pub(crate) end: u64,
    /// What it is called.
    pub(crate) name: Name,
}

/// A member's name, judged.
#[derive(Debug, PartialEq)]
pub(crate) enum Name {
    /// A regular file under a relative name without tricks.
    File(String),
    /// A folder, link or device, which sessions do not use.
    Other,
    /// A name that leads out of the archive or is not text, and why.
    Refused(String),
}

/// Why a walk stopped before the end of the archive.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stop {
    /// Whether the file simply ends, as after a broken transfer.
    pub(crate) is_cut: bool,
    /// What is wrong, with the position.
    pub(crate) what: String,
}

/// A walk over the members between `at` and `length`.
pub(crate) struct Members<R> {
    reader: R,
    at: u64,
    length: u64,
    is_done: bool,
    has_end_marker: bool,
}

impl<R: Read + Seek> Members<R> {
    /// A walk from the first byte of an archive, or of a run of members, of `length` bytes.
    pub(crate) fn new(reader: R, length: u64) -> Self {
        Self { reader, at: 0, length, is_done: false, has_end_marker: false }
    }

    /// Position behind the last member.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Whether the walk ended at the zero block that closes an archive.
    pub(crate) fn has_end_marker(&self) -> bool {
        self.has_end_marker
    }

    /// The next member; `None` at the end marker or when no byte is left.
    pub(crate) fn next(&mut self) -> Option<Result<Member, Stop>> {
        if self.is_done || self.at == self.length {
            return None;
        }
        let member = self.read_member().transpose();
        self.is_done = !matches!(member, Some(Ok(_)));
        member
    }

    fn read_member(&mut self) -> Result<Option<Member>, Stop> {
        let start = self.at;
        let mut at = start;
        let mut long_name = None;
        let mut pax_name = None;
        let mut pax_size = None;
        loop {
            let block = self.block(at)?;
            if block.iter().all(|&byte| byte == 0) {
                self.has_end_marker = true;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            check_sum(header).map_err(|what| damaged(at, what))?;
            let mut size = header.entry_size().map_err(|error| damaged(at, error.to_string()))?;
            let kind = header.entry_type();
            let is_extension = kind.is_gnu_longname()
                || kind.is_gnu_longlink()
                || kind.is_pax_local_extensions()
                || kind.is_pax_global_extensions();
            if has_no_content(kind) {
                size = 0;
            } else if !is_extension {
                size = pax_size.unwrap_or(size);
            }
            let data = at + BLOCK;
            let end = size
                .checked_next_multiple_of(BLOCK)
                .and_then(|padded| padded.checked_add(data))
                .filter(|&end| end <= self.length)
                .ok_or_else(|| Stop {
                    is_cut: true,
                    what: format!(
                        "cut at byte {}: the member at {at} has {size} bytes",
                        self.length
                    ),
                })?;
            if kind.is_gnu_sparse() {
                return Err(damaged(at, "sparse members are not supported".to_owned()));
            }
            if !is_extension {
                let name =
                    pax_name.or(long_name).unwrap_or_else(|| header.path_bytes().into_owned());
                self.at = end;
                let name = judge_name(kind, &name);
                return Ok(Some(Member { start, data, size, end, name }));
            }
            if size > MAX_EXTENSION_BYTES {
                return Err(damaged(
                    at,
                    format!("extension header of {size} bytes; the limit is {MAX_EXTENSION_BYTES}"),
                ));
            }
            if kind.is_gnu_longname() {
                let mut name = self.content(data, size)?;
                name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
                long_name = Some(name);
            } else if kind.is_pax_local_extensions() {
                let records = self.content(data, size)?;
                for record in PaxExtensions::new(&records) {
                    let record = record.map_err(|error| damaged(at, error.to_string()))?;
                    match record.key_bytes() {
                        b"path" => pax_name = Some(record.value_bytes().to_vec()),
                        b"size" => pax_size = Some(parse_size(at, record.value_bytes())?),
                        key if key.starts_with(b"GNU.sparse.") => {
                            return Err(damaged(at, "sparse members are not supported".to_owned()));
                        }
                        _ => {}
                    }
                }
            }
            at = end;
        }
    }

    fn block(&mut self, at: u64) -> Result<[u8; BLOCK as usize], Stop> {
        let mut block = [0; BLOCK as usize];
        if self.length - at < BLOCK {
            return Err(Stop {
                is_cut: true,
                what: format!(
                    "cut at byte {}: {} bytes are no header",
                    self.length,
                    self.length - at
                ),
            });
        }
        self.read_at(at, &mut block)?;
        Ok(block)
    }

    /// Content whose size was checked against the limit and the file.
    fn content(&mut self, at: u64, size: u64) -> Result<Vec<u8>, Stop> {
        let mut bytes = vec![0; size as usize];
        self.read_at(at, &mut bytes)?;
        Ok(bytes)
    }

    fn read_at(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), Stop> {
        self.reader
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.reader.read_exact(bytes))
            .map_err(|error| damaged(at, error.to_string()))
    }
}

fn damaged(at: u64, what: String) -> Stop {
    Stop { is_cut: false, what: format!("damaged at byte {at}: {what}").replace('\n', " ") }
}

/// The checksum that a header would have against the one it has.
fn check_sum(header: &Header) -> Result<(), String> {
    let found = header.cksum().map_err(|error| error.to_string())?;
    let mut right = header.clone();
    right.set_cksum();
    let wanted = right.cksum().map_err(|error| error.to_string())?;
    if found != wanted {
        return Err(format!("header checksum is {found}, its bytes sum to {wanted}"));
    }
    Ok(())
}

/// Links, folders and devices: whatever their size field says, no content follows.
fn has_no_content(kind: EntryType) -> bool {
    kind.is_hard_link()
        || kind.is_symlink()
        || kind.is_dir()
        || kind.is_character_special()
        || kind.is_block_special()
        || kind.is_fifo()
}

fn parse_size(at: u64, value: &[u8]) -> Result<u64, Stop> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| damaged(at, "PAX size is not a number".to_owned()))
}

fn judge_name(kind: EntryType, name: &[u8]) -> Name {
    if !(kind.is_file() || kind.is_contiguous()) {
        return Name::Other;
    }
    let Ok(name) = std::str::from_utf8(name) else {
        return Name::Refused(format!("{:?} is not UTF-8", String::from_utf8_lossy(name)));
    };
    let mut short = name;
    while let Some(rest) = short.strip_prefix("./") {
        short = rest.trim_start_matches('/');
    }
    let leads_out = name.starts_with('/')
        || short.split('/').any(|part| part == "..")
        || name.contains(|c: char| c == '\\' || c.is_control());
    if leads_out {
        return Name::Refused(format!("{name:?} leads out of the archive"));
    }
    // Old archives mark a folder by the slash at its end.
    if short.is_empty() || short.ends_with('/') {
        return Name::Other;
    }
    Name::File(short.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn walk(bytes: &[u8]) -> (Vec<Member>, Option<Stop>, bool) {
        let mut members = Members::new(Cursor::new(bytes), bytes.len() as u64);
        let mut found = Vec::new();
        let mut stop = None;
        while let Some(member) = members.next() {
            match member {
                Ok(member) => found.push(member),
                Err(error) => stop = Some(error),
            }
        }
        (found, stop, members.has_end_marker())
    }

    fn header(name: &str, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        let bytes = name.as_bytes();
        header.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header
    }

    fn archive(parts: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, kind, content) in parts {
            bytes.extend_from_slice(header(name, *kind, content.len() as u64).as_bytes());
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    #[test]
    fn names_are_judged() {
        let file = |name: &str| judge_name(EntryType::Regular, name.as_bytes());
        assert_eq!(file("a.json"), Name::File("a.json".to_owned()));
        assert_eq!(file("././/a.json"), Name::File("a.json".to_owned()));
        assert_eq!(file("b/a.json"), Name::File("b/a.json".to_owned()));
        assert_eq!(file("b/"), Name::Other);
        assert_eq!(file("./"), Name::Other);
        assert_eq!(judge_name(EntryType::Symlink, b"a.json"), Name::Other);
        for trick in ["/etc/passwd", "../a.json", "a/../../b.json", "..", "a\\b", "a\nb"] {
            assert!(matches!(file(trick), Name::Refused(_)), "{trick:?}");
        }
        assert!(matches!(judge_name(EntryType::Regular, &[0xff]), Name::Refused(_)));
    }

    #[test]
    fn positions_cover_extension_headers() {
        let long = "k".repeat(150) + ".json";
        let pax = b"30 mtime=1700000000.123456789\n17 path=pax.json\n";
        let bytes = archive(&[
            ("a.json", EntryType::Regular, b"{}"),
            ("././@LongLink", EntryType::GNULongName, long.as_bytes()),
            ("short", EntryType::Regular, &[7; 513]),
            ("x", EntryType::XHeader, pax),
            ("y", EntryType::Regular, b""),
        ]);
        let (members, stop, has_end) = walk(&bytes);
        assert_eq!((stop, has_end), (None, true));
        let spans: Vec<_> = members.iter().map(|m| (m.start, m.data, m.size, m.end)).collect();
        assert_eq!(spans, [(0, 512, 2, 1024), (1024, 2560, 513, 3584), (3584, 5120, 0, 5120)]);
        assert_eq!(members[1].name, Name::File(long));
        assert_eq!(members[2].name, Name::File("pax.json".to_owned()));
    }

    #[test]
    fn huge_sizes_are_a_cut_and_allocate_nothing() {
        for size in [1 << 20, u64::MAX / 2, u64::MAX] {
            for kind in [EntryType::Regular, EntryType::GNULongName, EntryType::XHeader] {
                let bytes =
                    [header("a.json", kind, size).as_bytes().as_slice(), &[0; 1024]].concat();
                let (members, stop, _) = walk(&bytes);
                assert!(members.is_empty());
                assert!(stop.expect("the walk stops").is_cut, "{size} {kind:?}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_a_header_is_seen() {
        let mut bytes = archive(&[("a.json", EntryType::Regular, b"{}")]);
        bytes[1] ^= 4;
        let (members, stop, _) = walk(&bytes);
        assert!(members.is_empty());
        let stop = stop.expect("the walk stops");
        assert!(!stop.is_cut && stop.what.contains("checksum"), "{}", stop.what);
    }

    #[test]
    fn an_archive_may_be_empty_or_lack_its_end() {
        assert_eq!(walk(&[0; 1024]), (vec![], None, true));
        assert_eq!(walk(&[]), (vec![], None, false));
        let whole = archive(&[("a.json", EntryType::Regular, b"{}")]);
        let (members, stop, has_end) = walk(&whole[..1024]);
        assert_eq!((members.len(), stop, has_end), (1, None, false));
        assert!(walk(&whole[..700]).1.expect("the walk stops").is_cut);
        assert!(walk(&whole[..300]).1.expect("the walk stops").is_cut);
    }
}
