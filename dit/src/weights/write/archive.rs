//! A zip archive of stored entries, as `torch.save` writes it: data on a multiple of 64 bytes, zip64 fields
//! where a size or place needs them. (PKWARE APPNOTE 6.3, sections 4.3.7 to 4.3.16 and 4.5.3.)

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

/// Alignment of every entry's data.
const ALIGNMENT: u64 = 64;

/// Bytes of a local header before the name.
const LOCAL_LENGTH: u64 = 30;

/// The extra block in which PyTorch pads.
const PADDING: [u8; 2] = *b"FB";

/// Year 1980, first of January: the earliest date there is, the same for every file.
const DATE: u16 = 0x21;

/// An archive being written.
pub(in crate::weights) struct Archive<'f> {
    file: &'f mut BufWriter<File>,
    at: u64,
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    header: u64,
    bytes: u64,
    crc: u32,
}

impl<'f> Archive<'f> {
    pub(in crate::weights) fn new(file: &'f mut BufWriter<File>) -> Self {
        Self { file, at: 0, entries: Vec::new() }
    }

    /// Adds an entry of `bytes` bytes, which `write` gives to its sink. The checksum is put into the
    /// header when they have been seen.
    pub(in crate::weights) fn entry<E: From<io::Error>>(
        &mut self,
        name: &str,
        bytes: u64,
        write: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), E>,
    ) -> Result<(), E> {
        let header = self.at;
        let wide =
            if bytes >= u64::from(u32::MAX) { wide_block(&[bytes, bytes]) } else { Vec::new() };
        let unpadded = header + LOCAL_LENGTH + name.len() as u64 + wide.len() as u64 + 4;
        let padding = (ALIGNMENT - unpadded % ALIGNMENT) % ALIGNMENT;
        let mut local = Vec::with_capacity(128);
        local.extend(0x0403_4b50u32.to_le_bytes());
        common_fields(&mut local, 0, bytes, &wide);
        local.extend((name.len() as u16).to_le_bytes());
        local.extend((wide.len() as u16 + 4 + padding as u16).to_le_bytes());
        local.extend(name.as_bytes());
        local.extend(&wide);
        local.extend(PADDING);
        local.extend((padding as u16).to_le_bytes());
        local.resize(local.len() + padding as usize, b'Z');
        self.file.write_all(&local)?;
        let mut crc = crc32fast::Hasher::new();
        let file = &mut *self.file;
        write(&mut |piece| {
            crc.update(piece);
            file.write_all(piece)
        })?;
        let crc = crc.finalize();
        self.at = header + local.len() as u64 + bytes;
        self.file.seek(SeekFrom::Start(header + 14))?;
        self.file.write_all(&crc.to_le_bytes())?;
        self.file.seek(SeekFrom::Start(self.at))?;
        self.entries.push(Entry { name: name.to_owned(), header, bytes, crc });
        Ok(())
    }

    /// Writes the directory.
    pub(in crate::weights) fn finish(self) -> io::Result<()> {
        let start = self.at;
        let mut directory = Vec::new();
        for Entry { name, header, bytes, crc } in &self.entries {
            let full = u64::from(u32::MAX);
            let mut wide = Vec::new();
            if *bytes >= full {
                wide.extend([*bytes, *bytes]);
            }
            if *header >= full {
                wide.push(*header);
            }
            let wide = if wide.is_empty() { Vec::new() } else { wide_block(&wide) };
            directory.extend(0x0201_4b50u32.to_le_bytes());
            directory.extend(45u16.to_le_bytes());
            common_fields(&mut directory, *crc, *bytes, &wide);
            directory.extend((name.len() as u16).to_le_bytes());
            directory.extend((wide.len() as u16).to_le_bytes());
            // Comment, disk, attributes.
            directory.extend([0; 2 + 2 + 2 + 4]);
            directory.extend(narrow(*header).to_le_bytes());
            directory.extend(name.as_bytes());
            directory.extend(&wide);
        }
        let (count, length) = (self.entries.len() as u64, directory.len() as u64);
        // The wide record is always there: readers take it or leave it.
        let end = start + length;
        directory.extend(0x0606_4b50u32.to_le_bytes());
        directory.extend(44u64.to_le_bytes());
        directory.extend([45u16.to_le_bytes(), 45u16.to_le_bytes()].concat());
        directory.extend([0; 8]);
        [count, count, length, start].iter().for_each(|v| directory.extend(v.to_le_bytes()));
        directory.extend(0x0706_4b50u32.to_le_bytes());
        directory.extend([0; 4]);
        directory.extend(end.to_le_bytes());
        directory.extend(1u32.to_le_bytes());
        directory.extend(0x0605_4b50u32.to_le_bytes());
        directory.extend([0; 4]);
        let short = count.min(u64::from(u16::MAX)) as u16;
        directory.extend([short.to_le_bytes(), short.to_le_bytes()].concat());
        directory.extend(narrow(length).to_le_bytes());
        directory.extend(narrow(start).to_le_bytes());
        directory.extend([0; 2]);
        self.file.write_all(&directory)
    }
}

/// Version, flags, method, time, date, checksum and both sizes.
fn common_fields(to: &mut Vec<u8>, crc: u32, bytes: u64, wide: &[u8]) {
    to.extend(if wide.is_empty() { 20u16 } else { 45 }.to_le_bytes());
    // Names are UTF-8; entries are stored.
    to.extend(0x0800u16.to_le_bytes());
    to.extend([0; 4]);
    to.extend(DATE.to_le_bytes());
    to.extend(crc.to_le_bytes());
    to.extend(narrow(bytes).to_le_bytes());
    to.extend(narrow(bytes).to_le_bytes());
}

/// A field of 32 bits: full where the value stands in a wide one.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The extra block of wide fields.
fn wide_block(fields: &[u64]) -> Vec<u8> {
    let mut block = vec![1, 0];
    block.extend((8 * fields.len() as u16).to_le_bytes());
    fields.iter().for_each(|field| block.extend(field.to_le_bytes()));
    block
}
