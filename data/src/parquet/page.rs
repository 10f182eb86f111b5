//! Pages: headers, decompression, and the values and levels inside.

use super::footer::{Leaf, ValueKind};
use super::thrift::{Kind, Reader, Result};
use super::{runs, snappy};

/// Largest page, bytes, packed or unpacked.
pub(super) const MAX_PAGE_BYTES: u64 = 1 << 30;

/// Most bytes that a header may take.
pub(super) const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Most values in a page.
const MAX_PAGE_VALUES: u64 = 1 << 24;

/// Of what a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageKind {
    Data,
    DataV2,
    Dictionary,
    /// One that reading does not need.
    Other,
}

/// `PageHeader`, with what the structure of its kind adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageHeader {
    pub(super) kind: PageKind,
    pub(super) packed: u64,
    pub(super) unpacked: u64,
    pub(super) values: u64,
    encoding: i64,
    level_encodings: [i64; 2],
    definition_bytes: u64,
    repetition_bytes: u64,
    is_packed: bool,
}

/// Values of a column, as they lie in a page.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Int(Vec<i64>),
    /// Bytes of all values one after the other, and where each ends.
    Bytes(Vec<u8>, Vec<usize>),
}

/// A page of data: a level of each kind for every entry, and the entries that are there.
#[derive(Debug)]
pub(super) struct DataPage {
    pub(super) definitions: Vec<u32>,
    pub(super) repetitions: Vec<u32>,
    pub(super) values: Present,
}

/// Values that are there: themselves, or as numbers of entries in the dictionary.
#[derive(Debug)]
pub(super) enum Present {
    Plain(Values),
    Indices(Vec<u32>),
}

impl PageHeader {
    /// Reads a header from the first of `bytes`, and how many it takes.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let mut header = Self {
            kind: PageKind::Other,
            packed: 0,
            unpacked: 0,
            values: 0,
            encoding: 0,
            level_encodings: [RLE; 2],
            definition_bytes: 0,
            repetition_bytes: 0,
            is_packed: true,
        };
        let mut reader = Reader::new(bytes);
        reader.fields(|number, kind, reader| {
            match (number, kind) {
                (1, Kind::Int) => {
                    header.kind = match reader.int()? {
                        0 => PageKind::Data,
                        2 => PageKind::Dictionary,
                        3 => PageKind::DataV2,
                        _ => PageKind::Other,
                    };
                }
                (2, Kind::Int) => header.unpacked = reader.count()?,
                (3, Kind::Int) => header.packed = reader.count()?,
                (5 | 7 | 8, Kind::Struct) => header.details(number == 8, reader)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if header.packed.max(header.unpacked) > MAX_PAGE_BYTES || header.values > MAX_PAGE_VALUES {
            return Err(format!(
                "page of {} values in {} bytes ({} unpacked); the limits are {MAX_PAGE_VALUES} and \
                 {MAX_PAGE_BYTES}",
                header.values, header.packed, header.unpacked
            ));
        }
        Ok((header, reader.position()))
    }

    fn details(&mut self, is_v2: bool, reader: &mut Reader<'_>) -> Result<()> {
        reader.fields(|number, kind, reader| {
            match (number, kind) {
                (1, Kind::Int) => self.values = reader.count()?,
                (2, Kind::Int) if !is_v2 => self.encoding = reader.int()?,
                (3, Kind::Int) if !is_v2 => self.level_encodings[0] = reader.int()?,
                (4, Kind::Int) if !is_v2 => self.level_encodings[1] = reader.int()?,
                (4, Kind::Int) => self.encoding = reader.int()?,
                (5, Kind::Int) => self.definition_bytes = reader.count()?,
                (6, Kind::Int) => self.repetition_bytes = reader.count()?,
                (7, Kind::Bool(is_packed)) => self.is_packed = is_packed,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    /// The values of a dictionary's page.
    pub(super) fn dictionary(&self, bytes: Vec<u8>, codec: i64, leaf: &Leaf) -> Result<Values> {
        if !matches!(self.encoding, PLAIN | PLAIN_DICTIONARY) {
            return Err(format!("dictionary in {}, which is not read", encoding(self.encoding)));
        }
        let bytes = decompress(bytes, codec, self.unpacked as usize)?;
        plain(&bytes, leaf.kind, self.values as usize)
    }

    /// The entries of a page of data.
    pub(super) fn data(&self, bytes: Vec<u8>, codec: i64, leaf: &Leaf) -> Result<DataPage> {
        let count = self.values as usize;
        let cut = || "page is cut short".to_owned();
        let widths = [leaf.max_repetition, leaf.max_definition].map(|max| 32 - max.leading_zeros());
        let (levels, rest) = if self.kind == PageKind::DataV2 {
            // Levels of version 2 stand in front, never packed, their lengths in the header.
            let sizes = [self.repetition_bytes as usize, self.definition_bytes as usize];
            let (repetitions, rest) = bytes.split_at_checked(sizes[0]).ok_or_else(cut)?;
            let (definitions, rest) = rest.split_at_checked(sizes[1]).ok_or_else(cut)?;
            let levels = [(repetitions, widths[0]), (definitions, widths[1])]
                .map(|(bytes, width)| runs::decode(bytes, width, count));
            let length = (self.unpacked as usize).checked_sub(sizes[0] + sizes[1]);
            let codec = if self.is_packed { codec } else { UNCOMPRESSED };
            (levels, decompress(rest.to_vec(), codec, length.ok_or_else(cut)?)?)
        } else {
            let mut bytes = decompress(bytes, codec, self.unpacked as usize)?;
            let mut at = 0;
            let levels =
                [(widths[0], self.level_encodings[1]), (widths[1], self.level_encodings[0])].map(
                    |(width, with)| {
                        if width == 0 {
                            return Ok(vec![0; count]);
                        }
                        if with != RLE {
                            return Err(format!("levels in {}, which is not read", encoding(with)));
                        }
                        let rest = bytes.get(at..).unwrap_or_default();
                        let (size, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
                        let size = u32::from_le_bytes(*size) as usize;
                        at += 4 + size;
                        runs::decode(rest.get(..size).ok_or_else(cut)?, width, count)
                    },
                );
            bytes.drain(..at.min(bytes.len()));
            (levels, bytes)
        };
        let [repetitions, definitions] = levels;
        let (repetitions, definitions) = (repetitions?, definitions?);
        for (levels, most) in
            [(&repetitions, leaf.max_repetition), (&definitions, leaf.max_definition)]
        {
            if let Some(level) = levels.iter().find(|&&level| level > most) {
                return Err(format!("page has a level of {level}; its column has at most {most}"));
            }
        }
        let there = definitions.iter().filter(|&&level| level == leaf.max_definition).count();
        let values = match self.encoding {
            PLAIN => Present::Plain(plain(&rest, leaf.kind, there)?),
            PLAIN_DICTIONARY | RLE_DICTIONARY if there == 0 => Present::Indices(Vec::new()),
            PLAIN_DICTIONARY | RLE_DICTIONARY => {
                let (width, indices) = rest.split_first().ok_or_else(cut)?;
                Present::Indices(runs::decode(indices, u32::from(*width), there)?)
            }
            other => return Err(format!("values in {}, which is not read", encoding(other))),
        };
        Ok(DataPage { definitions, repetitions, values })
    }
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Bytes(_, ends) => ends.len(),
        }
    }
}

const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const RLE_DICTIONARY: i64 = 8;
const UNCOMPRESSED: i64 = 0;

/// What an encoding is called.
fn encoding(number: i64) -> String {
    match number {
        PLAIN => "PLAIN",
        PLAIN_DICTIONARY => "PLAIN_DICTIONARY",
        RLE => "RLE",
        4 => "BIT_PACKED",
        5 => "DELTA_BINARY_PACKED",
        6 => "DELTA_LENGTH_BYTE_ARRAY",
        7 => "DELTA_BYTE_ARRAY",
        RLE_DICTIONARY => "RLE_DICTIONARY",
        9 => "BYTE_STREAM_SPLIT",
        other => return format!("encoding {other}"),
    }
    .to_owned()
}

fn decompress(bytes: Vec<u8>, codec: i64, length: usize) -> Result<Vec<u8>> {
    let name = match codec {
        UNCOMPRESSED if bytes.len() == length => return Ok(bytes),
        UNCOMPRESSED => {
            return Err(format!("page of {} bytes; its header says {length}", bytes.len()));
        }
        1 => return snappy::decompress(&bytes, length),
        2 => "GZIP",
        3 => "LZO",
        4 => "BROTLI",
        5 => "LZ4",
        6 => "ZSTD",
        7 => "LZ4_RAW",
        _ => "an unknown way",
    };
    Err(format!("compressed by {name}; read are files without compression and by SNAPPY"))
}

/// Values one after the other, those of bytes each behind its length.
fn plain(bytes: &[u8], kind: ValueKind, count: usize) -> Result<Values> {
    let cut = || "page is cut short".to_owned();
    let fixed = |size: usize| bytes.get(..size * count).ok_or_else(cut);
    Ok(match kind {
        ValueKind::Int32 => {
            let (values, _) = fixed(4)?.as_chunks::<4>();
            Values::Int(values.iter().map(|v| i64::from(i32::from_le_bytes(*v))).collect())
        }
        ValueKind::Int64 => {
            let (values, _) = fixed(8)?.as_chunks::<8>();
            Values::Int(values.iter().map(|v| i64::from_le_bytes(*v)).collect())
        }
        ValueKind::Bytes => {
            // Every value takes at least the bytes of its length.
            if count > bytes.len() / 4 {
                return Err(cut());
            }
            let (mut all, mut ends) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(count));
            let mut rest = bytes;
            for _ in 0..count {
                let (size, behind) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
                let size = u32::from_le_bytes(*size) as usize;
                let (value, behind) = behind.split_at_checked(size).ok_or_else(cut)?;
                all.extend_from_slice(value);
                ends.push(all.len());
                rest = behind;
            }
            Values::Bytes(all, ends)
        }
        ValueKind::Other(what) => return Err(format!("column of {what}, which is not read")),
    })
}
