//! A video track: its codec, size, turn, time scale and the part of it that is shown.

use super::super::orientation::Orientation;
use super::boxes::{child, children, long, long_long};
use super::samples::Samples;

/// Sample formats that hold whole JPEG pictures or pairs of fields.
const JPEG_FORMATS: [&[u8; 4]; 6] = [b"jpeg", b"mjpa", b"MJPG", b"mjpg", b"dmb1", b"AVDJ"];
/// Bytes of a visual sample entry's payload before its own boxes.
const ENTRY_BYTES: usize = 78;
/// MPEG-4 object type of JPEG (ISO 14496-1, table 5).
const JPEG_OBJECT: u8 = 0x6c;

/// A video track.
pub(super) struct Track<'a> {
    /// Position among all tracks.
    pub(super) index: usize,
    /// How samples are coded; at least one.
    pub(super) descriptions: Vec<Description>,
    /// `None` for a matrix that is no multiple of a quarter turn.
    pub(super) orientation: Option<Orientation>,
    /// Units of time a second, at least 1.
    pub(super) scale: u32,
    /// Duration of the media in those units.
    pub(super) duration: u64,
    /// What of the media is shown, and when; `Err` names an edit list of several parts.
    pub(super) edit: Result<Edit, String>,
    table: &'a [u8],
}

/// How samples are coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) format: [u8; 4],
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) is_jpeg: bool,
    /// The field stored first is the lower one.
    pub(super) is_bottom_first: bool,
}

/// The shown part of the media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Wait before it, in the movie's time scale.
    pub(super) delay: u64,
    /// First shown instant, in the media's time scale.
    pub(super) start: u64,
    /// Length in the movie's time scale, 0 for all there is.
    pub(super) length: u64,
}

impl<'a> Track<'a> {
    /// Reads the payload of a `trak` box; `None` for sound, text and data, `Err` for a video track
    /// that is damaged.
    pub(super) fn parse(track: &'a [u8], index: usize) -> Result<Option<Self>, String> {
        let Some(media) = child(track, b"mdia") else { return Ok(None) };
        let handler = child(media, b"hdlr").unwrap_or_default();
        if handler.get(8..12) != Some(b"vide") {
            return Ok(None);
        }
        let table = child(media, b"minf").and_then(|info| child(info, b"stbl"));
        let table = table.ok_or("video track has no sample table (stbl)")?;
        let (scale, duration) = child(media, b"mdhd").and_then(media_time).unwrap_or_default();
        if scale == 0 {
            return Err("video track has no time scale (mdhd)".to_owned());
        }
        let descriptions = child(table, b"stsd").map(descriptions).unwrap_or_default();
        if descriptions.is_empty() {
            return Err("video track has no sample description (stsd)".to_owned());
        }
        let orientation = match child(track, b"tkhd").and_then(matrix) {
            None | Some([0, 0, 0, 0]) => Some(Orientation::default()),
            Some(matrix) => Orientation::from_matrix(matrix),
        };
        let edits = child(track, b"edts").and_then(|edits| child(edits, b"elst"));
        let edit = edits.map_or_else(|| Ok(Edit::default()), edit);
        Ok(Some(Self { index, descriptions, orientation, scale, duration, edit, table }))
    }

    /// The track's sample table.
    pub(super) fn samples(&self) -> Result<Samples, String> {
        Samples::parse(self.table)
    }
}

/// Time scale and duration of an `mdhd` box.
fn media_time(header: &[u8]) -> Option<(u32, u64)> {
    Some(match header.first()? {
        0 => (long(header, 12)?, long(header, 16)?.into()),
        _ => (long(header, 20)?, long_long(header, 24)?),
    })
}

/// `a`, `b`, `c`, `d` of a `tkhd` box.
fn matrix(header: &[u8]) -> Option<[i32; 4]> {
    let start = if *header.first()? == 0 { 40 } else { 52 };
    let entry = |index: usize| long(header, start + 4 * index).map(u32::cast_signed);
    Some([entry(0)?, entry(1)?, entry(3)?, entry(4)?])
}

/// Entries of an `stsd` box that have a size.
fn descriptions(table: &[u8]) -> Vec<Description> {
    let entries = children(table.get(8..).unwrap_or_default());
    entries.filter_map(|(format, entry)| description(format, entry)).collect()
}

fn description(format: [u8; 4], entry: &[u8]) -> Option<Description> {
    let [width, height] = [24, 26].map(|at| {
        let bytes = entry.get(at..).and_then(|bytes| bytes.first_chunk::<2>());
        bytes.map(|bytes| usize::from(u16::from_be_bytes(*bytes)))
    });
    let extensions = entry.get(ENTRY_BYTES..).unwrap_or_default();
    // QuickTime file format, "Field handling": the second byte tells which field is stored first.
    let fields = child(extensions, b"fiel");
    let is_bottom_first = fields.is_some_and(|fields| matches!(fields, [2, 6 | 14, ..]));
    let is_jpeg_object = || child(extensions, b"esds").and_then(object_type) == Some(JPEG_OBJECT);
    let is_jpeg = JPEG_FORMATS.contains(&&format) || &format == b"mp4v" && is_jpeg_object();
    Some(Description { format, width: width?, height: height?, is_jpeg, is_bottom_first })
}

/// Object type of an `esds` box: descriptors of a tag, a length in groups of 7 bits, a payload.
fn object_type(extension: &[u8]) -> Option<u8> {
    let stream = descriptor(extension.get(4..)?, 3)?;
    let flags = stream.get(2)?;
    let mut skip = 3;
    if flags & 0x80 != 0 {
        skip += 2;
    }
    if flags & 0x40 != 0 {
        skip += 1 + usize::from(*stream.get(skip)?);
    }
    if flags & 0x20 != 0 {
        skip += 2;
    }
    descriptor(stream.get(skip..)?, 4)?.first().copied()
}

/// What follows the head of the descriptor at the start of `bytes`, if it has this tag.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, rest) = bytes.split_first()?;
    let length_bytes = 1 + rest.iter().take(3).take_while(|&&byte| byte & 0x80 != 0).count();
    (*found == tag).then(|| rest.get(length_bytes..))?
}

/// The edit list, if it does no more than delay the media and cut its ends.
fn edit(list: &[u8]) -> Result<Edit, String> {
    let count = long(list, 4).unwrap_or(0) as usize;
    let is_wide = list.first() == Some(&1);
    let (width, entries) = (if is_wide { 20 } else { 12 }, list.get(8..).unwrap_or_default());
    let mut result = None;
    let mut delay = 0_u64;
    for entry in entries.chunks_exact(width).take(count) {
        let parts = match is_wide {
            true => long_long(entry, 0).zip(long_long(entry, 8).map(u64::cast_signed)),
            false => {
                let start = long(entry, 4).map(|start| i64::from(start.cast_signed()));
                long(entry, 0).map(u64::from).zip(start)
            }
        };
        let Some((length, start)) = parts else { break };
        match (u64::try_from(start), &result) {
            (Err(_), None) => delay = delay.saturating_add(length),
            (Ok(start), None) => result = Some(Edit { delay, start, length }),
            // A gap at the end shows nothing.
            (Err(_), Some(_)) => {}
            (Ok(_), Some(_)) => return Err(format!("an edit list of {count} parts")),
        }
        let is_normal_speed = long(entry, width - 4) == Some(1 << 16);
        if start >= 0 && !is_normal_speed {
            return Err("an edit list that changes the speed".to_owned());
        }
    }
    Ok(result.unwrap_or(Edit { delay, ..Edit::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit_list(entries: &[[u32; 3]]) -> Vec<u8> {
        let head = [0, entries.len() as u32];
        head.iter().chain(entries.as_flattened()).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn edits_that_delay_or_cut() {
        const ONE: u32 = 1 << 16;
        let parse = |entries: &[[u32; 3]]| edit(&edit_list(entries));
        assert_eq!(parse(&[]), Ok(Edit::default()));
        let cut = Edit { delay: 0, start: 7, length: 90 };
        assert_eq!(parse(&[[90, 7, ONE]]), Ok(cut));
        let late = Edit { delay: 30, start: 0, length: 90 };
        assert_eq!(parse(&[[10, u32::MAX, ONE], [20, u32::MAX, ONE], [90, 0, ONE]]), Ok(late));
        assert!(parse(&[[9, 0, ONE], [9, 50, ONE]]).unwrap_err().contains("2 parts"));
        assert!(parse(&[[9, 0, ONE / 2]]).unwrap_err().contains("speed"));
    }

    #[test]
    fn mpeg_4_object_types() {
        let long_form = b"\0\0\0\0\x03\x80\x80\x80\x14\0\0\0\x04\x80\x80\x80\x0d\x6c\0";
        let short_form = b"\0\0\0\0\x03\x14\0\0\x80\0\0\x04\x0d\x20";
        assert_eq!(object_type(long_form), Some(JPEG_OBJECT));
        assert_eq!(object_type(short_form), Some(0x20));
        for end in 0..long_form.len() - 1 {
            assert_eq!(object_type(&long_form[..end]), None);
        }
    }
}
