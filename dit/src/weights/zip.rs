//! Zip archives whose entries are stored as they are, which is how `torch.save` writes: a directory of
//! names and places, checked before anything of it is used. (PKWARE APPNOTE 6.3, sections 4.3.7 to
//! 4.3.16 and 4.5.3.)

use std::collections::BTreeMap;
use std::ops::Range;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

/// Bytes of the fixed parts.
const LOCAL_LENGTH: usize = 30;
const CENTRAL_LENGTH: usize = 46;
const END_LENGTH: usize = 22;
const LOCATOR_LENGTH: usize = 20;
const END_64_LENGTH: usize = 56;

/// Most entries of an archive.
const MAX_ENTRIES: usize = 1 << 20;

/// Longest name of an entry, bytes.
const MAX_NAME: usize = 1024;

/// Names and the stretches of the file that they stand for.
pub(super) type Entries = BTreeMap<String, Range<usize>>;

/// Reads the directory. Every entry lies within the file, before the directory, and no two share a
/// byte. `Err` is one line without the file's name.
pub(super) fn entries(bytes: &[u8]) -> Result<Entries, String> {
    let (count, directory) = directory(bytes)?;
    let mut all = Entries::new();
    // From the local header to the end of the data.
    let mut taken: Vec<(Range<usize>, String)> = Vec::with_capacity(count.min(1 << 12));
    let mut at = directory.start;
    for number in 0..count {
        let record = Record::read(&bytes[..directory.end], at)
            .ok_or_else(|| format!("its directory ends within entry {number} of {count}"))?;
        at = record.end;
        let entry = record.place(bytes, directory.start)?;
        taken.push((record.header..entry.end, record.name.clone()));
        if let Some(twice) = all.insert(record.name, entry).and(taken.last()) {
            return Err(format!("entry '{}' appears twice", twice.1));
        }
    }
    taken.sort_by_key(|(range, _)| range.start);
    match taken.windows(2).find(|pair| pair[0].0.end > pair[1].0.start) {
        Some(pair) => Err(format!("entries '{}' and '{}' overlap", pair[0].1, pair[1].1)),
        None => Ok(all),
    }
}

/// Number of entries and the stretch of their directory, from the record at the file's end.
fn directory(bytes: &[u8]) -> Result<(usize, Range<usize>), String> {
    // A comment of up to 65535 bytes may stand behind the record.
    let first = bytes.len().saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let is_end = |at: &usize| {
        let comment = u16_at(bytes, at + 20).map(usize::from);
        u32_at(bytes, *at) == Some(END)
            && comment.is_some_and(|comment| at + END_LENGTH + comment == bytes.len())
    };
    let end = (first..=bytes.len().saturating_sub(END_LENGTH)).rev().find(is_end);
    let end = end.ok_or("is cut short: the zip directory at its end is missing")?;
    let number = |at| u32_at(bytes, at).map_or(0, |value| value as usize);
    let count = usize::from(u16_at(bytes, end + 10).unwrap_or(0));
    let (mut count, mut length, mut start) = (count, number(end + 12), number(end + 16));
    let mut limit = end;
    let locator = end.checked_sub(LOCATOR_LENGTH);
    if let Some(locator) = locator.filter(|&at| u32_at(bytes, at) == Some(LOCATOR_64)) {
        let at = usize_at(bytes, locator + 8);
        let record = at.filter(|&at| u32_at(bytes, at) == Some(END_64));
        let record = record.filter(|&at| at <= locator && locator - at >= END_64_LENGTH);
        let record = record.ok_or("its zip64 directory record is not where it should be")?;
        let field = |at| usize_at(bytes, record + at).ok_or("its zip64 directory is too large");
        (count, length, start) = (field(32)?, field(40)?, field(48)?);
        limit = record;
    }
    let stop = start.checked_add(length).filter(|&stop| stop <= limit);
    let stop = stop.ok_or_else(|| {
        format!("its directory of {length} bytes at byte {start} does not lie before byte {limit}")
    })?;
    if count > MAX_ENTRIES || count > length / CENTRAL_LENGTH {
        return Err(format!("its directory of {length} bytes cannot hold {count} entries"));
    }
    Ok((count, start..stop))
}

/// One record of the directory.
struct Record {
    name: String,
    flags: u16,
    method: u16,
    stored: usize,
    size: usize,
    /// Byte of the entry's local header.
    header: usize,
    /// Byte behind the record.
    end: usize,
}

impl Record {
    /// `None` where the bytes end or are no record.
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        if u32_at(bytes, at)? != CENTRAL_HEADER {
            return None;
        }
        let length = |offset| u16_at(bytes, at + offset).map(usize::from);
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let name_at = at + CENTRAL_LENGTH;
        let end = name_at + name + extra + comment;
        let tail = bytes.get(name_at..end)?;
        let narrow = |offset| u32_at(bytes, at + offset);
        let mut wide = Wide { extra: extra_64(&tail[name..name + extra]), at: 0 };
        // The order of the wide fields is fixed; each is there only where the narrow one is full.
        let size = wide.field(narrow(24)?)?;
        let stored = wide.field(narrow(20)?)?;
        let header = wide.field(narrow(42)?)?;
        Some(Self {
            name: String::from_utf8_lossy(&tail[..name.min(MAX_NAME)]).into_owned(),
            flags: u16_at(bytes, at + 8)?,
            method: u16_at(bytes, at + 10)?,
            stored,
            size,
            header,
            end,
        })
    }

    /// Where the entry's data lie; `limit` is the first byte they may not reach.
    fn place(&self, bytes: &[u8], limit: usize) -> Result<Range<usize>, String> {
        let name = &self.name;
        if self.flags & 1 != 0 {
            return Err(format!("entry '{name}' is encrypted"));
        }
        if self.method != 0 || self.stored != self.size {
            return Err(format!(
                "entry '{name}' is compressed (method {}); torch.save stores entries as they are",
                self.method
            ));
        }
        let header = self.header;
        let length = |offset: usize| u16_at(bytes, header.checked_add(offset)?).map(usize::from);
        let start = (u32_at(bytes, header) == Some(LOCAL_HEADER))
            .then(|| Some(header + LOCAL_LENGTH + length(26)? + length(28)?))
            .flatten()
            .ok_or_else(|| format!("entry '{name}' has no header at byte {header}"))?;
        let end = start.checked_add(self.size).filter(|&end| end <= limit);
        let end = end.ok_or_else(|| {
            format!(
                "entry '{name}' of {} bytes at byte {start} does not end before byte {limit}",
                self.size
            )
        })?;
        Ok(start..end)
    }
}

/// The fields of a zip64 extra block, taken in order.
struct Wide<'b> {
    extra: Option<&'b [u8]>,
    at: usize,
}

impl Wide<'_> {
    /// A narrow field's value, or the next wide one where the narrow one is full.
    fn field(&mut self, narrow: u32) -> Option<usize> {
        match self.extra {
            Some(extra) if narrow == u32::MAX => {
                self.at += 8;
                usize_at(extra, self.at - 8)
            }
            _ => Some(narrow as usize),
        }
    }
}

/// The block of type 1 among the extra blocks.
fn extra_64(mut extra: &[u8]) -> Option<&[u8]> {
    loop {
        let (kind, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let block = extra.get(4..4 + length)?;
        if kind == 1 {
            return Some(block);
        }
        extra = &extra[4 + length..];
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes([field[0], field[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([field[0], field[1], field[2], field[3]]))
}

/// A field of eight bytes; `None` also where it does not fit an address.
fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    let field: [u8; 8] = bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
    usize::try_from(u64::from_le_bytes(field)).ok()
}
