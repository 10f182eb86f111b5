//! YUV4MPEG2 (Y4M), the raw video format of mjpegtools and ffmpeg: a text header, then planes.
//!
//! 8-bit 4:2:0 (all three sitings), 4:1:1, 4:2:2, 4:4:4, 4:4:4 with alpha (over white) and mono.
//! The format states no colour matrix; BT.601 is assumed, with limited range unless the header
//! says `XCOLORRANGE=FULL`, which is also what ffmpeg does with such a file. Interlaced frames
//! are delivered as they are stored, both fields in one picture.

mod header;
mod planes;

use super::{
    input::Input,
    video::{Frames, Opened, VideoInfo, builtin_decoder},
};
use crate::{Error, Image, Limits, Result};
use header::Header;
use planes::Converter;

/// Longest header line, bytes; real ones have about 60.
const LINE: usize = 4096;

struct Y4m {
    input: Input,
    converter: Converter,
    rate: Option<(u32, u32)>,
    /// Where the next frame's header is.
    position: u64,
    index: usize,
    planes: Vec<u8>,
}

/// Opens a file that begins with the Y4M signature.
pub(super) fn open(mut input: Input, limits: &Limits) -> Result<Opened> {
    let line = line_at(&mut input, 0)?.ok_or_else(|| {
        input.format(format!("Y4M header line does not end within {LINE} bytes or the file"))
    })?;
    let header = Header::parse(&line).map_err(|what| input.format(what))?;
    let (width, height) = (header.width, header.height);
    limits.check_size(width, height).map_err(|what| Error::limit(input.name(), what))?;
    let Some(format) = header.format else {
        return Ok(Opened::Foreign(format!(
            "Y4M video of pixel format \"{}\"",
            header.format_name
        )));
    };
    let converter = Converter::new(width, height, format, header.is_full_range);
    let position = line.len() as u64 + 1;
    let frames = frame_count(&mut input, position, converter.frame_bytes())?;
    let duration =
        frames.zip(header.rate).map(|(n, (a, b))| n as f64 * f64::from(b) / f64::from(a));
    let info = VideoInfo {
        width,
        height,
        rate: header.rate,
        frames,
        duration,
        decoder: builtin_decoder(),
        codec: format!("raw {} in Y4M", header.format_name),
        stream: 0,
        rotation: 0,
    };
    let reader =
        Y4m { input, converter, rate: header.rate, position, index: 0, planes: Vec::new() };
    Ok(Opened::Reader(info, Box::new(reader)))
}

impl Frames for Y4m {
    fn next_picture(&mut self) -> Result<Option<(Image, f64)>> {
        if self.position == self.input.length() {
            return Ok(None);
        }
        let (index, start) = (self.index, self.position);
        let line = line_at(&mut self.input, start)?;
        let Some(line) = line.filter(|line| is_frame_line(line)) else {
            let what = format!("frame {index}: no Y4M frame header at byte {start}");
            return Err(self.input.format(what));
        };
        let data = start + line.len() as u64 + 1;
        let bytes = self.converter.frame_bytes();
        let left = self.input.length() - data;
        if left < bytes as u64 {
            return Err(self.input.format(format!(
                "file is cut in frame {index}: it needs {bytes} bytes from byte {data}, {left} \
                 are there"
            )));
        }
        self.planes.resize(bytes, 0);
        if self.input.read_at(data, &mut self.planes)? != bytes {
            return Err(self.input.format(format!("file shrinks while frame {index} is read")));
        }
        self.position = data + bytes as u64;
        self.index += 1;
        let (numerator, denominator) = self.rate.unwrap_or((1, 1));
        let time = index as f64 * f64::from(denominator) / f64::from(numerator);
        Ok(Some((self.converter.convert(&self.planes), time)))
    }
}

/// The line at `position` without its end; `None` where none ends within [`LINE`] bytes.
fn line_at(input: &mut Input, position: u64) -> Result<Option<Vec<u8>>> {
    let left = input.length().saturating_sub(position).min(LINE as u64) as usize;
    let mut line = vec![0; left];
    let count = input.read_at(position, &mut line)?;
    let end = line[..count].iter().position(|&byte| byte == b'\n');
    Ok(end.map(|end| {
        line.truncate(end);
        line
    }))
}

fn is_frame_line(line: &[u8]) -> bool {
    line == b"FRAME" || line.starts_with(b"FRAME ")
}

/// Frames in the file if all have headers like the first and the last one is whole.
fn frame_count(input: &mut Input, start: u64, frame_bytes: usize) -> Result<Option<usize>> {
    let left = input.length() - start;
    let Some(line) = line_at(input, start)? else { return Ok((left == 0).then_some(0)) };
    let step = line.len() as u64 + 1 + frame_bytes as u64;
    let count = usize::try_from(left / step).ok();
    Ok(count.filter(|_| is_frame_line(&line) && left.is_multiple_of(step)))
}

#[cfg(test)]
mod tests;
