//! The structure of a JPEG file: its segments up to the end marker, without decoding a pixel.
//!
//! Sizes, limits, missing tables, a missing end and unusual coding processes are found here, so
//! that the decoder proper is given nothing but complete files of the processes it implements.
//! Marker names and syntax: ITU-T T.81, annex B.

use super::super::orientation::{Orientation, exif_orientation};

/// What the segments of one JPEG picture say.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Header {
    /// Columns.
    pub(in super::super) width: usize,
    /// Rows.
    pub(in super::super) height: usize,
    /// Turn stated by EXIF.
    pub(super) orientation: Orientation,
    /// Byte at which Huffman tables can be put in, where the file has none of its own.
    pub(super) missing_tables_at: Option<usize>,
    /// Byte after the end marker; `None` when the file stops before one.
    pub(in super::super) end: Option<usize>,
}

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DHT: u8 = 0xc4;
const APP1: u8 = 0xe1;

impl Header {
    /// Walks the segments of the picture at the start of `bytes`. `Err` is one line without the
    /// file's name.
    pub(in super::super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if !bytes.starts_with(&[0xff, SOI]) {
            return Err("JPEG data does not begin with a start-of-image marker".to_owned());
        }
        let mut frame = None;
        let mut orientation = Orientation::default();
        let mut has_tables = false;
        let mut first_scan = None;
        let mut position = 2;
        let mut end = None;
        while let Some((marker, after)) = next_marker(bytes, position)? {
            position = after;
            match marker {
                EOI => {
                    end = Some(after);
                    break;
                }
                SOI => return Err(format!("a second picture begins inside, at byte {after}")),
                // Restart markers and TEM stand alone.
                0xd0..=0xd7 | 0x01 => continue,
                _ => {}
            }
            let Some(payload) = segment(bytes, after)? else { break };
            position = after + 2 + payload.len();
            match marker {
                DHT => has_tables = true,
                APP1 => {
                    if let Some(tiff) = payload.strip_prefix(b"Exif\0\0") {
                        orientation = exif_orientation(tiff);
                    }
                }
                0xc0..=0xcf if marker != 0xc8 && marker != 0xcc => {
                    let former = frame.replace(Frame::parse(marker, payload)?);
                    if former.is_some() {
                        return Err("has two frame headers".to_owned());
                    }
                }
                SOS => {
                    if frame.is_none() {
                        return Err("a scan comes before the frame header".to_owned());
                    }
                    first_scan.get_or_insert(after - 2);
                    position = scan_end(bytes, position);
                }
                _ => {}
            }
        }
        let Some(frame) = frame else { return Err("JPEG ends before its frame header".to_owned()) };
        let Some(first_scan) = first_scan else { return Err("JPEG ends before its pixels".into()) };
        Ok(Self {
            width: frame.width,
            height: frame.height,
            orientation,
            missing_tables_at: (!has_tables).then_some(first_scan),
            end,
        })
    }
}

/// The start-of-frame segment.
struct Frame {
    width: usize,
    height: usize,
}

impl Frame {
    fn parse(marker: u8, payload: &[u8]) -> Result<Self, String> {
        let process = match marker {
            0xc0..=0xc2 => None,
            0xc3 | 0xcb => Some("lossless"),
            0xc5..=0xc7 | 0xcd..=0xcf => Some("hierarchical"),
            _ => Some("arithmetic-coded"),
        };
        if let Some(process) = process {
            return Err(format!(
                "is a {process} JPEG; baseline, extended and progressive Huffman JPEG can be read"
            ));
        }
        let [depth, h1, h0, w1, w0, count, table @ ..] = payload else {
            return Err(format!("frame header of {} bytes is too short", payload.len()));
        };
        if *depth != 8 {
            return Err(format!("is a {depth}-bit JPEG; only 8 bits can be read"));
        }
        let width = usize::from(u16::from_be_bytes([*w1, *w0]));
        let height = usize::from(u16::from_be_bytes([*h1, *h0]));
        let components = usize::from(*count);
        if !matches!(components, 1 | 3 | 4) || table.len() != 3 * components {
            return Err(format!("frame header has {components} components; expected 1, 3 or 4"));
        }
        let factors = |entry: &[u8]| (entry[1] >> 4, entry[1] & 15);
        let (first_x, first_y) = factors(table);
        for entry in table.chunks_exact(3) {
            let (x, y) = factors(entry);
            let is_valid =
                |part: u8, whole: u8| matches!(part, 1 | 2 | 4) && whole.is_multiple_of(part);
            if !is_valid(x, first_x) || !is_valid(y, first_y) {
                return Err(format!(
                    "sampling factors {x} x {y} in a JPEG that starts with {first_x} x {first_y}; \
                     expected 1, 2 or 4, at most those of the first component"
                ));
            }
        }
        Ok(Self { width, height })
    }
}

/// The marker at or after `from` and the byte after it, past fill bytes; `None` at the end of the
/// data, `Err` where something else stands.
fn next_marker(bytes: &[u8], from: usize) -> Result<Option<(u8, usize)>, String> {
    let Some(&first) = bytes.get(from) else { return Ok(None) };
    if first != 0xff {
        return Err(format!("byte {from} is {first:#04x} where a JPEG marker has to be"));
    }
    let Some(fill) = bytes[from..].iter().position(|&byte| byte != 0xff) else { return Ok(None) };
    match bytes[from + fill] {
        0 => Err(format!("byte {from} is {first:#04x} 0x00 where a JPEG marker has to be")),
        marker => Ok(Some((marker, from + fill + 1))),
    }
}

/// The payload of the segment whose length field is at `at`; `None` when the data is cut in it.
fn segment(bytes: &[u8], at: usize) -> Result<Option<&[u8]>, String> {
    let Some(&[high, low]) = bytes.get(at..at + 2) else { return Ok(None) };
    match usize::from(u16::from_be_bytes([high, low])) {
        length @ (0 | 1) => Err(format!("segment of length {length} at byte {at}")),
        length => Ok(bytes.get(at + 2..at + length)),
    }
}

/// First byte at or after `from` where a marker other than a restart begins.
fn scan_end(bytes: &[u8], from: usize) -> usize {
    let mut position = from;
    while let Some(offset) = bytes[position..].iter().position(|&byte| byte == 0xff) {
        position += offset;
        match bytes.get(position + 1) {
            Some(0 | 0xd0..=0xd7) => position += 2,
            Some(0xff) => position += 1,
            _ => return position,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Image, decode::encode_jpeg};

    fn sample() -> Vec<u8> {
        encode_jpeg(&Image::filled(17, 9, [200, 30, 60]), 90).unwrap()
    }

    #[test]
    fn size_tables_and_end_are_found() {
        let bytes = sample();
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.width, header.height), (17, 9));
        assert_eq!((header.missing_tables_at, header.end), (None, Some(bytes.len())));

        let twice = [bytes.clone(), bytes.clone()].concat();
        assert_eq!(Header::parse(&twice).unwrap().end, Some(bytes.len()));
    }

    #[test]
    fn every_prefix_is_refused_or_known_to_be_cut() {
        let bytes = sample();
        for end in 0..bytes.len() {
            if let Ok(header) = Header::parse(&bytes[..end]) {
                assert_eq!(header.end, None, "{end} bytes");
            }
        }
    }

    #[test]
    fn other_processes_are_named() {
        let bytes = sample();
        let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        let changed = |offset: usize, value: u8| {
            let mut copy = bytes.clone();
            copy[frame + offset] = value;
            Header::parse(&copy).unwrap_err()
        };
        assert!(changed(1, 0xc3).contains("lossless"));
        assert!(changed(1, 0xc5).contains("hierarchical"));
        assert!(changed(1, 0xc9).contains("arithmetic"));
        assert!(changed(4, 12).contains("12-bit"));
        assert!(changed(9, 2).contains("2 components"));
        assert!(changed(11, 0x30).contains("sampling factors 3 x 0"));
        assert!(changed(14, 0x44).contains("4 x 4"));
    }
}
