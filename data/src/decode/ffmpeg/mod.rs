//! Every other video through the `ffmpeg` and `ffprobe` programs.
//!
//! `ffprobe` says which streams there are; the one with the largest frames is taken. `ffmpeg`
//! then decodes it once: pixels come through its standard output as raw RGB, the exact time stamp
//! of each frame through its log. Files are opened with network and playlist protocols off.
//! Colours follow the stream's tags; high dynamic range is not mapped to the standard one.

mod pipe;
mod probe;
mod programs;

pub use programs::ffmpeg_version;
pub(super) use programs::{Programs, installed};

use super::video::{Frames, VideoInfo};
use crate::{Error, Limits, Result};
use std::{ffi::OsString, path::Path};

/// Only files are opened, whatever a playlist inside one names.
const PROTOCOLS: [&str; 2] = ["-protocol_whitelist", "file"];

/// Opens a file that no built-in reader takes.
pub(super) fn open(
    path: &Path,
    programs: &Programs,
    limits: &Limits,
) -> Result<(VideoInfo, Box<dyn Frames>)> {
    let stream = probe::largest_stream(path, programs, limits)?;
    let size = limits.check_size(stream.width, stream.height);
    size.map_err(|what| Error::limit(path, what))?;
    if let Some(frames) = stream.frames.filter(|&frames| frames > limits.frames) {
        let what = format!("video of {frames} frames; the limit is {}", limits.frames);
        return Err(Error::limit(path, what));
    }
    let info = VideoInfo {
        width: stream.width,
        height: stream.height,
        rate: stream.rate,
        frames: stream.frames,
        duration: stream.duration,
        decoder: format!("ffmpeg {}", programs.version()),
        codec: stream.codec.clone(),
        stream: stream.index,
        rotation: stream.rotation,
    };
    let reader = pipe::Pipe::start(path, programs, &stream, limits)?;
    Ok((info, Box::new(reader)))
}

/// The file as an argument: never taken for an option, a pattern of protocols or a device.
fn file_argument(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

#[cfg(test)]
mod tests;
