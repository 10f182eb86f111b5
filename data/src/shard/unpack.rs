//! A session from the bytes it takes in a shard.

use super::member::{Members, Name};
use super::part::Part;
use crate::decode::{decode_image, decode_mask};
use crate::session::{MAX_RECORD_BYTES, Session, SessionRecord};
use crate::{Error, Limits, Mask};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

/// Why a session could not be used; training counts by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The file could not be read.
    Read,
    /// The shard ends too early.
    Cut,
    /// The bytes are not those that were indexed, or no tar members.
    Damaged,
    /// The JSON record is missing or wrong.
    Record,
    /// A picture or mask is missing or cannot be decoded.
    Picture,
    /// The parts do not make a valid session.
    Invalid,
    /// The transform refused it.
    Transform,
    /// The code that handled it panicked.
    Panic,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::Cut => "cut",
            Self::Damaged => "damaged",
            Self::Record => "record",
            Self::Picture => "picture",
            Self::Invalid => "invalid",
            Self::Transform => "transform",
            Self::Panic => "panic",
        })
    }
}

/// A session that was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) error: Error,
}

/// A session and how many members beside it were passed over.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) session: Session,
    pub(crate) ignored: u64,
}

/// Decodes the session `key` from exactly its members. `shard` is named in errors.
///
/// Nothing is decoded before all parts are there, and the pixels of the whole session keep
/// `limits.pixels`.
pub(crate) fn unpack(
    bytes: &[u8],
    key: &str,
    limits: &Limits,
    shard: &Path,
) -> Result<Unpacked, Refusal> {
    let refuse = |reason, what: String| Refusal {
        reason,
        error: Error::format(shard, format!("session {key}: {what}")),
    };
    let (parts, ignored) = find_parts(bytes, key).map_err(|what| refuse(Reason::Damaged, what))?;
    let json = parts
        .get(&Part::Record)
        .ok_or_else(|| refuse(Reason::Record, format!("no record {key}.json")))?;
    let record = SessionRecord::parse(&bytes[json.clone()], key)
        .map_err(|what| refuse(Reason::Record, what))?;
    if record.key != key {
        return Err(refuse(Reason::Record, format!("its record is of session {:?}", record.key)));
    }
    check_parts(&parts, &record).map_err(|what| refuse(Reason::Picture, what))?;

    let mut frames = Vec::with_capacity(record.frames.len());
    let count = record.frames.len();
    let mut frame_limits = *limits;
    if let Some([width, height]) = record.size {
        frame_limits = session_limits(limits, count, width, height)
            .map_err(|what| refuse(Reason::Picture, what))?;
    }
    for index in 0..count {
        let picture = &bytes[parts[&Part::Frame(index)].clone()];
        let name = shard.join(format!("{key}.{index:03}"));
        let image = decode_image(picture, name, &frame_limits)
            .map_err(|error| Refusal { reason: Reason::Picture, error })?;
        if index == 0 {
            frame_limits = session_limits(limits, count, image.width, image.height)
                .map_err(|what| refuse(Reason::Picture, what))?;
        }
        frames.push(image);
    }
    let mask = |part: Part| -> Result<Option<Mask>, Refusal> {
        let Some(range) = parts.get(&part) else { return Ok(None) };
        let name = shard.join(part.name(key, ""));
        let mask = decode_mask(&bytes[range.clone()], name, &frame_limits);
        mask.map(Some).map_err(|error| Refusal { reason: Reason::Picture, error })
    };
    let masks = (0..count - 1)
        .map(|index| Ok([mask(Part::CurrentMask(index))?, mask(Part::NextMask(index))?]))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let size = record.size;
    let session = record.into_session(frames, masks);
    session.validate().map_err(|error| Refusal { reason: Reason::Invalid, error })?;
    let (width, height) = session.size();
    if let Some(size) = size
        && size != [width, height]
    {
        let what = format!("frames are {width} x {height}, the record says {size:?}");
        return Err(refuse(Reason::Invalid, what));
    }
    Ok(Unpacked { session, ignored })
}

/// The key of the first part of a session among these members.
pub(crate) fn key_of(bytes: &[u8]) -> Option<String> {
    let mut members = Members::new(Cursor::new(bytes), bytes.len() as u64);
    while let Some(Ok(member)) = members.next() {
        if let Name::File(name) = &member.name
            && let Some((key, _)) = Part::of_name(name)
        {
            return Some(key.to_owned());
        }
    }
    None
}

/// Where each part's content stands.
fn find_parts(bytes: &[u8], key: &str) -> Result<(BTreeMap<Part, Range<usize>>, u64), String> {
    let length = bytes.len() as u64;
    let mut members = Members::new(Cursor::new(bytes), length);
    let mut parts = BTreeMap::new();
    let mut ignored = 0;
    while let Some(member) = members.next() {
        let member = member.map_err(|stop| stop.what)?;
        let named = match &member.name {
            Name::File(name) => Part::of_name(name),
            _ => None,
        };
        let Some((found, part)) = named else {
            ignored += 1;
            continue;
        };
        if found != key {
            return Err(format!("a file of session {found} stands in its place"));
        }
        // The member lies inside `bytes`, so its ends fit a usize.
        let range = member.data as usize..(member.data + member.size) as usize;
        if part == Part::Record && range.len() > MAX_RECORD_BYTES {
            return Err(format!(
                "record of {} bytes; the limit is {MAX_RECORD_BYTES}",
                range.len()
            ));
        }
        if parts.insert(part, range).is_some() {
            return Err(format!("{part:?} comes twice"));
        }
    }
    if members.position() != length || members.has_end_marker() {
        return Err(format!("its files end at byte {} of {length}", members.position()));
    }
    Ok((parts, ignored))
}

/// Whether every part that the record promises is there, and no picture beyond it.
fn check_parts(parts: &BTreeMap<Part, Range<usize>>, record: &SessionRecord) -> Result<(), String> {
    let count = record.frames.len();
    let missing_frame = (0..count).map(Part::Frame).find(|part| !parts.contains_key(part));
    let missing_mask = record.transitions.iter().enumerate().find_map(|(index, transition)| {
        let promised = [
            (transition.current_mask, Part::CurrentMask(index)),
            (transition.next_mask, Part::NextMask(index)),
        ];
        promised
            .into_iter()
            .find_map(|(is_there, part)| (is_there && !parts.contains_key(&part)).then_some(part))
    });
    if let Some(part) = missing_frame.or(missing_mask) {
        return Err(format!("{part:?} is missing"));
    }
    let beyond = parts.keys().find(|part| match part {
        Part::Record => false,
        Part::Frame(index) => *index >= count,
        Part::CurrentMask(index) | Part::NextMask(index) => *index + 1 >= count,
    });
    match beyond {
        Some(part) => Err(format!("{part:?} is beyond the {count} frames of the record")),
        None => Ok(()),
    }
}

/// Limits for pictures of exactly this size, `count` of which must keep the limit on pixels.
fn session_limits(
    limits: &Limits,
    count: usize,
    width: usize,
    height: usize,
) -> Result<Limits, String> {
    limits.check_size(width, height)?;
    let pixels = width * height;
    if pixels.saturating_mul(count) > limits.pixels {
        return Err(format!(
            "{count} frames of {width} x {height}; the limit is {} pixels in a session",
            limits.pixels
        ));
    }
    Ok(Limits { side: width.max(height), pixels, ..*limits })
}
