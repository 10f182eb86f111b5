//! Motion JPEG in AVI: RIFF lists walked in file order, so no index is needed, and files of any
//! length (OpenDML, several RIFF parts) are read as they come.
//!
//! Layout after "Multimedia Programming Interface and Data Specifications 1.0" (RIFF, 1991), the
//! AVI reference of Microsoft's documentation and "OpenDML AVI File Format Extensions" 1.02.

mod header;

use super::{
    input::Input,
    mjpeg::Layout,
    names,
    video::{Frames, Opened, VideoInfo, builtin_decoder},
};
use crate::{Error, Image, Limits, Result};
use header::Stream;

/// Longest header list; super-indexes of hour-long files take some 100 KiB.
const HEADER_BYTES: u32 = 4 << 20;
/// Deepest nesting of lists that can hold frames: movi, rec.
const DEPTH: usize = 2;
/// Compression codes of JPEG, in capitals.
const JPEG_CODES: [&[u8; 4]; 4] = [b"MJPG", b"JPEG", b"AVRN", b"DMB1"];

struct Avi {
    walker: Walker,
    stream: Stream,
    /// Frames the header promises.
    stated: Option<usize>,
    layout: Layout,
    /// The first packet, read when the file was opened, and its place in the stream.
    first: Option<(u64, Vec<u8>)>,
    limits: Limits,
}

/// Opens a file that begins with `RIFF....AVI `.
pub(super) fn open(mut input: Input, limits: &Limits) -> Result<Opened> {
    let (list, after) = header_list(&mut input)?;
    let streams = header::parse(&list);
    let area = |stream: &Stream| stream.width.saturating_mul(stream.height);
    // The largest stream, the first of equal ones.
    let stream = streams.into_iter().rev().max_by_key(area);
    let stream = stream.ok_or_else(|| input.format("AVI file has no video stream"))?;
    if !JPEG_CODES.contains(&&stream.codec.map(|byte| byte.to_ascii_uppercase())) {
        return Ok(Opened::Foreign(format!("{} in AVI", names::codec(&stream.codec))));
    }
    // A chunk takes 8 bytes, so a larger count is a recorder's placeholder.
    let most = input.length() / 8;
    let frames = Some(stream.frames).filter(|&frames| (1..=most).contains(&frames.into()));
    let frames = frames.map(|frames| frames as usize);
    let mut walker = Walker::new(input, after, stream.number);
    let first = walker.next_packet(limits)?;
    let layout = match &first {
        Some((_, packet)) => Layout::of_packet(packet, stream.height, false)
            .map_err(|what| walker.input.format(format!("frame 0: {what}")))?,
        None => return Err(walker.input.format("AVI file has no video frames")),
    };
    let rate = stream.rate;
    let info = VideoInfo {
        width: layout.width,
        height: layout.height,
        rate,
        frames,
        duration: frames.zip(rate).map(|(n, (a, b))| n as f64 * f64::from(b) / f64::from(a)),
        decoder: builtin_decoder(),
        codec: "motion JPEG in AVI".to_owned(),
        stream: stream.number,
        rotation: 0,
    };
    let reader = Avi { walker, stream, stated: frames, layout, first, limits: *limits };
    Ok(Opened::Reader(info, Box::new(reader)))
}

impl Frames for Avi {
    fn next_picture(&mut self) -> Result<Option<(Image, f64)>> {
        let packet = match self.first.take() {
            Some(first) => Some(first),
            None => self.walker.next_packet(&self.limits)?,
        };
        let Some((slot, packet)) = packet else { return Ok(None) };
        let name = self.walker.input.name();
        let image = self.layout.decode(&packet, slot as usize, name, &self.limits)?;
        let (numerator, denominator) = self.stream.rate.unwrap_or((1, 1));
        let slot = slot + u64::from(self.stream.start);
        Ok(Some((image, slot as f64 * f64::from(denominator) / f64::from(numerator))))
    }

    fn warnings(&self) -> Vec<String> {
        let found = self.walker.slots;
        let missing = self.stated.filter(|&stated| stated as u64 > found);
        let line = |n| format!("AVI header promises {n} frames, the file holds {found}");
        missing.map(line).into_iter().collect()
    }
}

/// Payload of the `hdrl` list and the position after it.
fn header_list(input: &mut Input) -> Result<(Vec<u8>, u64)> {
    let mut position = 12;
    loop {
        let Some(chunk) = Chunk::at(input, position)? else {
            return Err(input.format("AVI file ends before its header list"));
        };
        if chunk.list == Some(*b"movi") {
            return Err(input.format("AVI file has frames before its header list"));
        }
        if chunk.list == Some(*b"hdrl") {
            if chunk.length > HEADER_BYTES {
                let what =
                    format!("AVI header of {} bytes; the limit is {HEADER_BYTES}", chunk.length);
                return Err(Error::limit(input.name(), what));
            }
            let length = chunk.length.saturating_sub(4) as usize;
            let cut = Error::format(input.name(), "AVI file is cut in its header list");
            let list = input.vec_at(position + 12, length)?.ok_or(cut)?;
            return Ok((list, chunk.end(position)));
        }
        position = chunk.end(position);
    }
}

/// Head of a chunk or list.
struct Chunk {
    id: [u8; 4],
    /// Stated length of the content, for lists with the list type.
    length: u32,
    /// Type of a list or a RIFF part.
    list: Option<[u8; 4]>,
}

impl Chunk {
    /// The head at `position`, `None` where the file ends before or in it.
    fn at(input: &mut Input, position: u64) -> Result<Option<Self>> {
        let Some(head) = input.array_at::<8>(position)? else { return Ok(None) };
        let (id, length) = ([head[0], head[1], head[2], head[3]], &head[4..]);
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        let mut list = None;
        if matches!(&id, b"LIST" | b"RIFF") {
            list = input.array_at::<4>(position + 8)?;
            if list.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(Self { id, length, list }))
    }

    /// Position after the content and its padding, for a head at `position`.
    fn end(&self, position: u64) -> u64 {
        position + 8 + u64::from(self.length) + u64::from(self.length % 2)
    }
}

/// Walks the lists that hold frames and hands out the packets of one stream.
struct Walker {
    input: Input,
    position: u64,
    /// Ends of the lists around `position`, outermost first.
    ends: Vec<u64>,
    /// First two characters of the stream's chunks.
    digits: [u8; 2],
    /// Frames passed, dropped ones (empty chunks) among them.
    slots: u64,
}

impl Walker {
    fn new(input: Input, position: u64, stream: usize) -> Self {
        let digits = [b'0' + (stream / 10 % 10) as u8, b'0' + (stream % 10) as u8];
        Self { input, position, ends: Vec::new(), digits, slots: 0 }
    }

    /// The next packet and the number of frames before it; `None` at the end of the file.
    fn next_packet(&mut self, limits: &Limits) -> Result<Option<(u64, Vec<u8>)>> {
        loop {
            while self.ends.last().is_some_and(|&end| self.position >= end) {
                self.position = self.ends.pop().unwrap_or(self.position);
            }
            if self.position >= self.input.length() {
                return self.finish();
            }
            let chunk = Chunk::at(&mut self.input, self.position)?;
            let is_sound = |c: &Chunk| c.id.iter().all(|byte| (32..127).contains(byte));
            if self.ends.is_empty() && !chunk.as_ref().is_some_and(is_sound) {
                // Some writers pad behind the last list.
                return Ok(None);
            }
            let Some(chunk) = chunk else { return Err(self.cut("a chunk head")) };
            match chunk.list.as_ref() {
                Some(b"AVIX") => {
                    // A further RIFF part; nothing reaches from one into the next.
                    self.ends.clear();
                    self.position += 12;
                    continue;
                }
                Some(b"movi" | b"rec ") => {
                    self.enter(&chunk)?;
                    continue;
                }
                _ => {}
            }
            let is_frame = chunk.id[..2] == self.digits && matches!(&chunk.id[2..], b"dc" | b"db");
            if !is_sound(&chunk) {
                let what = format!(
                    "no AVI chunk begins at byte {}, after {} frames",
                    self.position, self.slots
                );
                return Err(self.input.format(what));
            }
            if !is_frame {
                self.position = chunk.end(self.position);
                continue;
            }
            if chunk.length as usize > limits.encoded_bytes {
                let what = format!(
                    "frame {} of {} bytes; the limit is {}",
                    self.slots, chunk.length, limits.encoded_bytes
                );
                return Err(Error::limit(self.input.name(), what));
            }
            let data = self.position + 8;
            let Some(packet) = self.input.vec_at(data, chunk.length as usize)? else {
                return Err(self.cut(&format!("{} bytes", chunk.length)));
            };
            self.position = chunk.end(self.position);
            self.slots += 1;
            // An empty chunk repeats the frame before it: time passes, nothing is shown anew.
            if !packet.is_empty() {
                return Ok(Some((self.slots - 1, packet)));
            }
        }
    }

    /// Goes into the list whose head is at the current position.
    fn enter(&mut self, list: &Chunk) -> Result<()> {
        if self.ends.len() == DEPTH {
            let what = format!("AVI lists nest too deep at byte {}", self.position);
            return Err(self.input.format(what));
        }
        // Recorders that were stopped leave 0 or all ones: the list then runs to the end.
        let end = match list.length {
            0 | u32::MAX => u64::MAX,
            _ => list.end(self.position),
        };
        self.ends.push(end);
        self.position += 12;
        Ok(())
    }

    /// The end of the file: of its lists too, or else something is missing.
    fn finish(&self) -> Result<Option<(u64, Vec<u8>)>> {
        let length = self.input.length();
        match self.ends.iter().rfind(|&&end| end != u64::MAX && end > length + 1) {
            Some(end) => Err(self.input.format(format!(
                "file is cut after {} frames: it has {length} bytes, its frame list runs to byte \
                 {end}",
                self.slots
            ))),
            None => Ok(None),
        }
    }

    fn cut(&self, wanted: &str) -> Error {
        self.input.format(format!(
            "file is cut in frame {}: {wanted} at byte {} go past its end at byte {}",
            self.slots,
            self.position,
            self.input.length()
        ))
    }
}

#[cfg(test)]
mod tests;
