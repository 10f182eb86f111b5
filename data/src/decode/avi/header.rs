//! The `hdrl` list: streams, codecs, sizes and rates.

use super::super::video;

/// A video stream as its headers describe it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stream {
    /// Number in the file, counting all kinds; chunks of the stream begin with it.
    pub(super) number: usize,
    /// Compression of the bitmap header, or the handler where that is empty.
    pub(super) codec: [u8; 4],
    pub(super) width: usize,
    pub(super) height: usize,
    /// Frames per second.
    pub(super) rate: Option<(u32, u32)>,
    /// Frames before the first one, as a delay.
    pub(super) start: u32,
    /// Frames in the stream, 0 where unknown.
    pub(super) frames: u32,
}

/// Video streams in the payload of an `hdrl` list (after its list type). Parts that are cut or
/// missing leave zeros.
pub(super) fn parse(list: &[u8]) -> Vec<Stream> {
    let mut streams = Vec::new();
    let mut number = 0;
    let mut micros_per_frame = 0;
    let mut total_frames = 0;
    for (id, payload) in chunks(list) {
        match (&id, payload.strip_prefix(b"strl"), payload.strip_prefix(b"odml")) {
            (b"avih", ..) => micros_per_frame = long(payload, 0),
            (b"LIST", Some(stream), _) => {
                streams.extend(parse_stream(stream, number));
                number += 1;
            }
            (b"LIST", _, Some(extended)) => {
                let header = chunks(extended).find(|(id, _)| id == b"dmlh");
                total_frames = header.map_or(0, |(_, payload)| long(payload, 0));
            }
            _ => {}
        }
    }
    for stream in &mut streams {
        stream.rate = stream.rate.or(video::rate(1_000_000, micros_per_frame.into()));
        // The stream header of a file in several parts counts the first part only.
        stream.frames = stream.frames.max(total_frames);
    }
    streams
}

/// One `strl` list; `None` for sound, text and data.
fn parse_stream(list: &[u8], number: usize) -> Option<Stream> {
    let find = |name: &[u8; 4]| chunks(list).find(|(id, _)| id == name).map(|(_, payload)| payload);
    let header = find(b"strh")?;
    if !header.starts_with(b"vids") {
        return None;
    }
    let format = find(b"strf").unwrap_or_default();
    let code = |from: &[u8], at| long(from, at).to_le_bytes();
    let codec = Some(code(format, 16)).filter(|code| *code != [0; 4]);
    Some(Stream {
        number,
        codec: codec.unwrap_or(code(header, 4)),
        width: long(format, 4) as usize,
        // Negative for rows from top to bottom.
        height: long(format, 8).cast_signed().unsigned_abs() as usize,
        rate: video::rate(long(header, 24).into(), long(header, 20).into()),
        start: long(header, 28),
        frames: long(header, 32),
    })
}

/// Chunks in a list's payload: id and content. The last one may be cut.
fn chunks(list: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let (id, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let payload = &after[..length.min(after.len())];
        rest = &after[length.next_multiple_of(2).min(after.len())..];
        Some((*id, payload))
    })
}

/// Little-endian 32 bits; 0 where the bytes are missing.
fn long(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<4>());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
