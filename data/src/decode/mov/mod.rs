//! Motion JPEG in QuickTime and MP4 files (ISO 14496-12 boxes).
//!
//! The movie box is read once, frames as they are asked for. Edit lists that delay the video or
//! cut its ends are followed, and so is the turn of the track matrix.

mod boxes;
mod samples;
mod track;

use super::{
    input::Input,
    mjpeg::Layout,
    names,
    orientation::Orientation,
    video::{Frames, Opened, VideoInfo, builtin_decoder, rate},
};
use crate::{Error, Image, Limits, Result};
use boxes::{child, children, long};
use samples::{Sample, Samples};
use track::Track;

struct Mov {
    packets: Packets,
    layout: Layout,
    orientation: Orientation,
    /// The first packet, read when the file was opened.
    first: Option<Packet>,
    limits: Limits,
}

/// A frame as stored.
struct Packet {
    /// Position in the sample table.
    sample: usize,
    seconds: f64,
    bytes: Vec<u8>,
}

/// Opens a file of boxes.
pub(super) fn open(mut input: Input, limits: &Limits) -> Result<Opened> {
    let top = boxes::top(&mut input)?;
    if child(&top.movie, b"cmov").is_some() {
        return Ok(Opened::Foreign("QuickTime video with a compressed movie box".to_owned()));
    }
    let track = largest_track(&top.movie).map_err(|what| input.format(what))?;
    let Some(track) = track else {
        return Err(input.format("MP4 or QuickTime file has no video track"));
    };
    let first = &track.descriptions[0];
    if let Some(foreign) = track.descriptions.iter().find(|description| !description.is_jpeg) {
        return Ok(Opened::Foreign(format!("{} in MP4 or MOV", names::codec(&foreign.format))));
    }
    let foreign =
        |what: &str| Ok(Opened::Foreign(format!("motion JPEG in MP4 or MOV with {what}")));
    let Some(orientation) = track.orientation else { return foreign("a skewed track matrix") };
    let edit = match &track.edit {
        Ok(edit) => *edit,
        Err(what) => return foreign(what),
    };
    if top.is_fragmented {
        return foreign("movie fragments");
    }
    let samples = track.samples().map_err(|what| input.format(what))?;
    let count = samples.count();
    if count > limits.frames {
        let what = format!("video of {count} frames; the limit is {}", limits.frames);
        return Err(Error::limit(input.name(), what));
    }
    let scale = track.scale;
    let rate = samples.constant_duration().and_then(|each| rate(scale.into(), each.into()));
    let clock = Clock::new(&track, edit, movie_scale(&top.movie));
    let mut packets =
        Packets { input, samples, clock, passed: 0, descriptions: track.descriptions.len() };
    let packet = packets.next_packet(limits)?;
    let Some(packet) = packet else { return Err(packets.input.format("video has no frames")) };
    let layout = Layout::of_packet(&packet.bytes, first.height, first.is_bottom_first)
        .map_err(|what| packets.input.format(format!("frame {}: {what}", packet.sample)))?;
    let (width, height) = orientation.size(layout.width, layout.height);
    let info = VideoInfo {
        width,
        height,
        rate,
        frames: Some(count),
        duration: Some(track.duration as f64 / f64::from(scale)),
        decoder: builtin_decoder(),
        codec: "motion JPEG in MP4 or MOV".to_owned(),
        stream: track.index,
        rotation: orientation.degrees(),
    };
    let reader = Mov { packets, layout, orientation, first: Some(packet), limits: *limits };
    Ok(Opened::Reader(info, Box::new(reader)))
}

impl Frames for Mov {
    fn next_picture(&mut self) -> Result<Option<(Image, f64)>> {
        let packet = match self.first.take() {
            Some(first) => Some(first),
            None => self.packets.next_packet(&self.limits)?,
        };
        let Some(packet) = packet else { return Ok(None) };
        let name = self.packets.input.name();
        let image = self.layout.decode(&packet.bytes, packet.sample, name, &self.limits)?;
        Ok(Some((self.orientation.apply(image), packet.seconds)))
    }
}

/// The video track with the largest frames, the first of equal ones.
fn largest_track(movie: &[u8]) -> Result<Option<Track<'_>>, String> {
    let mut largest: Option<Track> = None;
    let tracks = children(movie).filter(|(kind, _)| kind == b"trak");
    let area = |track: &Track| track.descriptions[0].width * track.descriptions[0].height;
    for (index, (_, payload)) in tracks.enumerate() {
        if let Some(track) = Track::parse(payload, index)?
            && largest.as_ref().is_none_or(|largest| area(&track) > area(largest))
        {
            largest = Some(track);
        }
    }
    Ok(largest)
}

/// Units of time a second of the movie as a whole.
fn movie_scale(movie: &[u8]) -> u32 {
    let header = child(movie, b"mvhd").unwrap_or_default();
    let at = if header.first() == Some(&1) { 20 } else { 12 };
    long(header, at).unwrap_or(0).max(1)
}

/// From media time to seconds of the movie.
struct Clock {
    scale: f64,
    delay: f64,
    start: u64,
    /// Seconds of media shown; infinite where all of it is.
    shown: f64,
}

impl Clock {
    fn new(track: &Track, edit: track::Edit, movie_scale: u32) -> Self {
        let seconds = |units: u64| units as f64 / f64::from(movie_scale);
        let shown = if edit.length == 0 { f64::INFINITY } else { seconds(edit.length) };
        let (scale, delay) = (f64::from(track.scale), seconds(edit.delay));
        Self { scale, delay, start: edit.start, shown }
    }

    /// When a sample is shown, `None` if it is cut away.
    fn seconds(&self, sample: &Sample) -> Option<f64> {
        let offset = sample.time.checked_sub(self.start)? as f64 / self.scale;
        (offset < self.shown).then_some(self.delay + offset)
    }
}

/// The shown samples of a track in order.
struct Packets {
    input: Input,
    samples: Samples,
    clock: Clock,
    /// Samples handed out or passed over.
    passed: usize,
    descriptions: usize,
}

impl Packets {
    fn next_packet(&mut self, limits: &Limits) -> Result<Option<Packet>> {
        loop {
            let sample = self.samples.next_sample().map_err(|what| self.input.format(what))?;
            let Some(sample) = sample else { return Ok(None) };
            let index = self.passed;
            self.passed += 1;
            let Some(seconds) = self.clock.seconds(&sample) else { continue };
            // An empty sample repeats the frame before it: time passes, nothing is shown anew.
            if sample.size == 0 {
                continue;
            }
            if !(1..=self.descriptions).contains(&(sample.description as usize)) {
                let what = format!(
                    "frame {index} follows sample description {} of {}",
                    sample.description, self.descriptions
                );
                return Err(self.input.format(what));
            }
            let (size, offset) = (sample.size as usize, sample.offset);
            if size > limits.encoded_bytes {
                let limit = limits.encoded_bytes;
                let what = format!("frame {index} of {size} bytes; the limit is {limit}");
                return Err(Error::limit(self.input.name(), what));
            }
            let Some(bytes) = self.input.vec_at(offset, size)? else {
                return Err(self.input.format(format!(
                    "file is cut in frame {index}: {size} bytes at byte {offset} go past its end \
                     at byte {}",
                    self.input.length()
                )));
            };
            return Ok(Some(Packet { sample: index, seconds, bytes }));
        }
    }
}

#[cfg(test)]
mod tests;
