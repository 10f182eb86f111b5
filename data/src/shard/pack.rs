//! A session as the bytes it takes in a shard: tar members with fixed metadata, the record first.

use super::index::ShardEntry;
use super::member::BLOCK;
use super::part::Part;
use super::{MAX_SESSION_BYTES, Statistics};
use crate::decode::{encode_jpeg, encode_mask_png, encode_png, sha256_hex};
use crate::session::{Session, SessionRecord};
use crate::{Error, Result};
use tar::{EntryType, Header};

/// How frames are stored. Masks are always PNG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFormat {
    /// Lossy; quality 1 to 100, from 90 on without subsampled colour.
    Jpeg {
        /// Quality.
        quality: u8,
    },
    /// Lossless, about ten times the bytes.
    Png,
}

impl Default for FrameFormat {
    fn default() -> Self {
        Self::Jpeg { quality: 95 }
    }
}

/// A validated session in its form for shards. The same session gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedSession {
    pub(super) entry: ShardEntry,
    pub(super) bytes: Vec<u8>,
    pub(super) statistics: Statistics,
}

impl PackedSession {
    /// Validates and encodes a session. Encoding is the costly part of writing, and this function
    /// may run on any thread.
    pub fn new(session: &Session, format: FrameFormat) -> Result<Self> {
        session.validate()?;
        let refuse = |what: String| Error::format(format!("session {}", session.key), what);
        let record = SessionRecord::of(session).to_json();
        // What is written must be readable: facts may be nested too deep, or too long.
        SessionRecord::parse(&record, &session.key).map_err(refuse)?;
        let mut bytes = Vec::new();
        let key = &session.key;
        append(&mut bytes, &Part::Record.name(key, ""), &record);
        for (index, frame) in session.frames.iter().enumerate() {
            let (picture, extension) = match format {
                FrameFormat::Jpeg { quality } => (encode_jpeg(&frame.image, quality)?, "jpg"),
                FrameFormat::Png => (encode_png(&frame.image), "png"),
            };
            append(&mut bytes, &Part::Frame(index).name(key, extension), &picture);
            let Some(transition) = session.transitions.get(index) else { continue };
            let masks = [
                (Part::CurrentMask(index), &transition.current_mask),
                (Part::NextMask(index), &transition.next_mask),
            ];
            for (part, mask) in masks {
                if let Some(mask) = mask {
                    append(&mut bytes, &part.name(key, ""), &encode_mask_png(mask));
                }
            }
        }
        let size = bytes.len() as u64;
        if size > MAX_SESSION_BYTES {
            return Err(refuse(format!("{size} bytes; the limit is {MAX_SESSION_BYTES}")));
        }
        let entry = ShardEntry {
            key: key.clone(),
            offset: 0,
            size,
            sha256: Some(sha256_hex(&bytes)),
            source: Some(session.source.name.clone()),
        };
        Ok(Self { entry, statistics: Statistics::of(session, size), bytes })
    }

    /// Bytes in the shard.
    pub fn size(&self) -> u64 {
        self.entry.size
    }
}

/// Appends a member: owner 0, mode 644 and the epoch as time, so that equal content gives equal
/// bytes on every machine and day.
fn append(bytes: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut header = Header::new_ustar();
    header.set_path(name).expect("a key and its longest suffix fit a tar name");
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
}
