//! What `ffprobe` says about the streams of a file.

use super::{
    PROTOCOLS, file_argument,
    programs::{Programs, answer, complaint},
};
use crate::{Error, Limits, Result, decode::video};
use serde::Deserialize;
use std::{path::Path, process::Command};

/// The stream to be decoded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stream {
    /// Index in the file.
    pub(super) index: usize,
    /// Size after rotation.
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) rate: Option<(u32, u32)>,
    pub(super) frames: Option<usize>,
    pub(super) duration: Option<f64>,
    /// Codec and container in words.
    pub(super) codec: String,
    pub(super) rotation: u16,
    /// Seconds of one tick of the stream's clock, as a fraction.
    pub(super) time_base: (u32, u32),
}

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    streams: Vec<RawStream>,
    #[serde(default)]
    format: RawFormat,
}

#[derive(Deserialize, Default)]
struct RawFormat {
    #[serde(default)]
    format_name: String,
    #[serde(default)]
    format_long_name: Option<String>,
    #[serde(default)]
    start_time: Option<String>,
    #[serde(default)]
    duration: Option<String>,
}

#[derive(Deserialize)]
struct RawStream {
    index: usize,
    #[serde(default)]
    codec_name: Option<String>,
    #[serde(default)]
    width: usize,
    #[serde(default)]
    height: usize,
    #[serde(default)]
    avg_frame_rate: String,
    #[serde(default)]
    r_frame_rate: String,
    #[serde(default)]
    time_base: String,
    #[serde(default)]
    duration: Option<String>,
    #[serde(default)]
    nb_frames: Option<String>,
    #[serde(default)]
    disposition: RawDisposition,
    #[serde(default)]
    tags: RawTags,
    #[serde(default)]
    side_data_list: Vec<RawSideData>,
}

#[derive(Deserialize, Default)]
struct RawDisposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Deserialize, Default)]
struct RawTags {
    #[serde(default)]
    rotate: Option<String>,
}

#[derive(Deserialize)]
struct RawSideData {
    #[serde(default)]
    rotation: Option<f64>,
}

/// The video stream with the largest frames, the first of equal ones; cover pictures do not count.
pub(super) fn largest_stream(path: &Path, programs: &Programs, limits: &Limits) -> Result<Stream> {
    let mut command = Command::new(&programs.ffprobe);
    command.args(["-hide_banner", "-v", "error"]).args(PROTOCOLS);
    command.args(["-max_pixels", &limits.pixels.min(i32::MAX as usize).to_string()]);
    command.args(["-select_streams", "v", "-show_streams", "-show_format", "-of", "json"]);
    command.arg("-i").arg(file_argument(path)).env("AV_LOG_FORCE_NOCOLOR", "1");
    let text = answer(&mut command).map_err(|message| complaint(path, &message))?;
    let stream = parse(&text).map_err(|what| Error::format(path, what))?;
    stream.ok_or_else(|| Error::format(path, "holds no video stream that ffmpeg can decode"))
}

fn parse(text: &str) -> Result<Option<Stream>, String> {
    let report: Report =
        serde_json::from_str(text).map_err(|e| format!("answer of ffprobe is not JSON: {e}"))?;
    let videos = report.streams.into_iter().filter(|stream| stream.disposition.attached_pic == 0);
    let area = |stream: &RawStream| stream.width.saturating_mul(stream.height);
    let largest = videos.rev().max_by_key(area).filter(|stream| area(stream) > 0);
    Ok(largest.map(|stream| finish(stream, report.format)))
}

fn finish(stream: RawStream, format: RawFormat) -> Stream {
    let tag = stream.tags.rotate.and_then(|degrees| degrees.parse().ok());
    // The display matrix counts counter-clockwise, the old tag clockwise.
    let matrix = stream.side_data_list.iter().find_map(|data| data.rotation).map(|angle| -angle);
    let degrees = matrix.or(tag).unwrap_or(0.0_f64).round().rem_euclid(360.0) as u16;
    // Other angles are turned within the stored size.
    let is_quarter = matches!(degrees, 90 | 270);
    let (width, height) = match is_quarter {
        true => (stream.height, stream.width),
        false => (stream.width, stream.height),
    };
    let name = stream.codec_name.unwrap_or_else(|| "unknown codec".to_owned());
    let container = format.format_long_name.unwrap_or_else(|| "unknown container".to_owned());
    let seconds = |text: Option<String>| text.and_then(|text| text.parse::<f64>().ok());
    // Matroska states when the last frame ends; times of frames count from the first one.
    let is_end = format.format_name.starts_with("matroska");
    let start = seconds(format.start_time).filter(|_| is_end).unwrap_or(0.0);
    let whole = seconds(format.duration).map(|end| end - start);
    let is_length = |seconds: &f64| seconds.is_finite() && *seconds > 0.0;
    Stream {
        index: stream.index,
        width,
        height,
        rate: fraction(&stream.avg_frame_rate).or(fraction(&stream.r_frame_rate)),
        frames: stream.nb_frames.and_then(|n| n.parse().ok()).filter(|&n| n > 0),
        duration: seconds(stream.duration).or(whole).filter(is_length),
        codec: format!("{name} in {container}"),
        rotation: degrees,
        // A millionth of a second is the clock of ffmpeg itself.
        time_base: fraction(&stream.time_base).unwrap_or((1, 1_000_000)),
    }
}

/// `30000/1001`; `None` for `0/0` and the like.
fn fraction(text: &str) -> Option<(u32, u32)> {
    let (a, b) = text.split_once('/')?;
    video::rate(a.parse().ok()?, b.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_stream_that_is_no_cover_is_taken() {
        let text = r#"{"streams": [
            {"index": 0, "codec_name": "h264", "width": 320, "height": 180, "avg_frame_rate": "25/1",
             "time_base": "1/12800", "duration": "13.0", "nb_frames": "325"},
            {"index": 2, "codec_name": "mjpeg", "width": 900, "height": 900,
             "disposition": {"attached_pic": 1}},
            {"index": 3, "codec_name": "hevc", "width": 480, "height": 270, "avg_frame_rate": "0/0",
             "r_frame_rate": "30000/1001", "time_base": "1/30000",
             "side_data_list": [{"side_data_type": "Display Matrix", "rotation": -90}]}
            ], "format": {"format_long_name": "QuickTime / MOV", "duration": "13.5"}}"#;
        let expected = Stream {
            index: 3,
            width: 270,
            height: 480,
            rate: Some((30_000, 1001)),
            frames: None,
            duration: Some(13.5),
            codec: "hevc in QuickTime / MOV".to_owned(),
            rotation: 90,
            time_base: (1, 30_000),
        };
        assert_eq!(parse(text), Ok(Some(expected)));
        let late = r#"{"streams": [{"index": 0, "width": 4, "height": 2}], "format":
            {"format_name": "matroska,webm", "start_time": "100.5", "duration": "102"}}"#;
        assert_eq!(parse(late).unwrap().unwrap().duration, Some(1.5));
        let tagged = r#"{"streams": [{"index": 0, "width": 4, "height": 2,
            "tags": {"rotate": "270"}}]}"#;
        let stream = parse(tagged).unwrap().unwrap();
        assert_eq!((stream.width, stream.height, stream.rotation), (2, 4, 270));
    }

    #[test]
    fn answers_without_video_or_sense() {
        assert_eq!(parse("{}"), Ok(None));
        assert_eq!(parse(r#"{"streams": [{"index": 0}]}"#), Ok(None));
        assert!(parse("").unwrap_err().contains("not JSON"));
    }
}
