//! Boxes (atoms): a length, four characters, a payload. ISO 14496-12, section 4.2.

use super::super::input::Input;
use crate::{Error, Result};

/// Longest `moov` box; an hour of frames takes a few megabytes.
const MOVIE_BYTES: u64 = 64 << 20;
/// Most boxes at the top of a file; fragmented files of hours have some ten thousand.
const TOP_BOXES: usize = 100_000;

/// What stands at the top of a file.
pub(super) struct Top {
    /// Payload of the `moov` box.
    pub(super) movie: Vec<u8>,
    /// The file has movie fragments, so that frames are listed outside `moov`.
    pub(super) is_fragmented: bool,
}

/// Walks the top-level boxes.
pub(super) fn top(input: &mut Input) -> Result<Top> {
    let mut movie = None;
    let mut is_fragmented = false;
    let mut position = 0;
    for _ in 0..TOP_BOXES {
        let Some((length, kind, head)) = head_at(input, position)? else { break };
        match &kind {
            b"moov" if movie.is_none() => movie = Some(read_movie(input, position, length, head)?),
            b"moof" => is_fragmented = true,
            _ => {}
        }
        let end = position.checked_add(length).filter(|&end| end < input.length());
        // Fragments come after the movie box; the first one tells enough.
        if is_fragmented && movie.is_some() {
            break;
        }
        let Some(end) = end else { break };
        position = end;
    }
    let movie = movie.ok_or_else(|| {
        input.format(format!(
            "MP4 or QuickTime file has no movie box (moov) in its {} bytes; it is cut or was not \
             finished",
            input.length()
        ))
    })?;
    Ok(Top { movie, is_fragmented })
}

/// Length of the whole box, its kind and the length of its head, at `position`.
fn head_at(input: &mut Input, position: u64) -> Result<Option<(u64, [u8; 4], u64)>> {
    let Some(head) = input.array_at::<8>(position)? else { return Ok(None) };
    let [a, b, c, d, kind @ ..] = head;
    let (length, head) = match u32::from_be_bytes([a, b, c, d]) {
        0 => (input.length() - position, 8),
        1 => {
            let Some(length) = input.array_at::<8>(position + 8)? else { return Ok(None) };
            (u64::from_be_bytes(length), 16)
        }
        length => (length.into(), 8),
    };
    if length < head {
        let what = format!("box at byte {position} states a length of {length}");
        return Err(input.format(what));
    }
    Ok(Some((length, kind, head)))
}

fn read_movie(input: &mut Input, position: u64, length: u64, head: u64) -> Result<Vec<u8>> {
    let bytes = length - head;
    if bytes > MOVIE_BYTES {
        let what = format!("movie box (moov) of {bytes} bytes; the limit is {MOVIE_BYTES}");
        return Err(Error::limit(input.name(), what));
    }
    let cut = format!(
        "file is cut in its movie box (moov): it needs {bytes} bytes from byte {}, the file ends \
         at byte {}",
        position + head,
        input.length()
    );
    input.vec_at(position + head, bytes as usize)?.ok_or_else(|| input.format(cut))
}

/// Boxes inside a payload, in order. Ends quietly where a length makes no sense.
pub(super) fn children(payload: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(*rest.first_chunk::<4>()?);
        let kind = *rest.get(4..)?.first_chunk::<4>()?;
        let (length, head) = match length {
            0 => (rest.len(), 8),
            1 => {
                let long = u64::from_be_bytes(*rest.get(8..)?.first_chunk::<8>()?);
                (usize::try_from(long).ok()?, 16)
            }
            length => (length as usize, 8),
        };
        let payload = rest.get(head..length)?;
        rest = &rest[length..];
        Some((kind, payload))
    })
}

/// The first child of a kind.
pub(super) fn child<'a>(payload: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(payload).find(|(found, _)| found == kind).map(|(_, payload)| payload)
}

/// Big-endian 32 bits.
pub(super) fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

/// Big-endian 64 bits.
pub(super) fn long_long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk::<8>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_of_all_length_forms() {
        let payload = b"\0\0\0\x0aaaaaxy\0\0\0\x01bbbb\0\0\0\0\0\0\0\x11z\0\0\0\0ccccrest";
        let found: Vec<_> = children(payload).collect();
        let expected: [([u8; 4], &[u8]); 3] =
            [(*b"aaaa", b"xy"), (*b"bbbb", b"z"), (*b"cccc", b"rest")];
        assert_eq!(found, expected);
        for end in 0..payload.len() {
            assert!(children(&payload[..end]).count() <= 3);
        }
        assert_eq!(children(b"\0\0\0\x07aaaa").count(), 0);
        assert_eq!(children(b"\xff\xff\xff\xffaaaa").count(), 0);
    }
}
