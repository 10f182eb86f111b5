//! One interface to every source of frames.

use super::{avi, ffmpeg, folder, input::Input, mov, sniff, y4m};
use crate::{Error, Image, Limits, Result};
use serde::Serialize;
use std::{fs, path::Path};

/// Which decoder may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecoderChoice {
    /// A built-in reader where there is one for the content, else the `ffmpeg` program. What is
    /// chosen depends on the file alone, so frames do not change when ffmpeg is installed.
    #[default]
    Auto,
    /// Built-in readers only.
    Builtin,
    /// The `ffmpeg` program only.
    Ffmpeg,
}

/// How a video is opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoOptions {
    /// What the file may ask for.
    pub limits: Limits,
    /// Which decoder may be used.
    pub decoder: DecoderChoice,
    /// Pictures per second of a folder, as a fraction; folders do not state one. By default one a
    /// second.
    pub folder_rate: (u32, u32),
}

impl Default for VideoOptions {
    fn default() -> Self {
        let decoder = DecoderChoice::Auto;
        Self { limits: Limits::default(), decoder, folder_rate: (1, 1) }
    }
}

/// What is known about a video before its frames are decoded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VideoInfo {
    /// Columns of every frame, after rotation.
    pub width: usize,
    /// Rows of every frame, after rotation.
    pub height: usize,
    /// Frames per second as a fraction in lowest terms, where the source states one. Frame times
    /// are right for variable rates too.
    pub rate: Option<(u32, u32)>,
    /// Number of frames, where the source states one. It is a claim: edit lists and damage make
    /// the frames that arrive fewer.
    pub frames: Option<usize>,
    /// Seconds, where the source states them.
    pub duration: Option<f64>,
    /// Name and version of the decoder.
    pub decoder: String,
    /// Codec and container, in words.
    pub codec: String,
    /// Index of the stream in the file, counting all kinds; 0 where there is only one.
    pub stream: usize,
    /// Degrees by which stored frames were turned clockwise: 0, 90, 180 or 270.
    pub rotation: u16,
}

/// A frame in display order.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedFrame {
    /// Pixels, upright.
    pub image: Image,
    /// Seconds from the start of the source. Sources without a rate count one frame a second.
    pub time: f64,
    /// Position among the delivered frames, from 0.
    pub index: usize,
}

/// Where frames come from, one at a time. A source is dropped after its first error or its end.
pub(super) trait Frames: Send {
    /// The next picture and its time in seconds, `None` after the last.
    fn next_picture(&mut self) -> Result<Option<(Image, f64)>>;

    /// What went wrong without costing a frame.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a built-in reader makes of a file of its container.
pub(super) enum Opened {
    /// Ready to deliver frames.
    Reader(VideoInfo, Box<dyn Frames>),
    /// Sound as far as one can see, but of a codec (named here) the reader does not know.
    Foreign(String),
}

/// A video being read. Frames are decoded as they are asked for and never kept.
///
/// A file that is cut or damaged delivers the frames before the damage, then one error that says
/// where it is; after an error or the last frame there is nothing more. Every frame has the size
/// [`VideoInfo`] states: a stream that changes it in the middle ends with an error. Pixels are
/// delivered as stored, also where the container calls them non-square.
pub struct Video {
    info: VideoInfo,
    limits: Limits,
    name: std::path::PathBuf,
    delivered: usize,
    source: Option<Box<dyn Frames>>,
    warnings: Vec<String>,
}

impl Video {
    /// Opens a file or a folder of pictures with the default options.
    pub fn open(path: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        Self::open_with(path, &VideoOptions { limits: *limits, ..VideoOptions::default() })
    }

    /// Opens a file or a folder of pictures. What a file is, is judged by its content.
    pub fn open_with(path: impl AsRef<Path>, options: &VideoOptions) -> Result<Self> {
        Self::open_with_programs(path.as_ref(), options, ffmpeg::installed())
    }

    /// Opens a video held in memory with a built-in reader; `name` is what errors call it.
    pub fn from_bytes(bytes: Vec<u8>, name: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let name = name.as_ref();
        let mut input = Input::from_bytes(bytes, name);
        let container = sniff::container(&mut input)?;
        match open_builtin(container, input, limits)? {
            Opened::Reader(info, source) => Self::start(name, info, source, limits),
            Opened::Foreign(codec) => Err(Error::Unsupported(format!(
                "{}: {codec} cannot be read from memory; the built-in readers know {BUILTIN}",
                name.display()
            ))),
        }
    }

    /// [`open_with`](Self::open_with) with the programs to use, `None` as if none were installed.
    pub(super) fn open_with_programs(
        path: &Path,
        options: &VideoOptions,
        programs: Option<&ffmpeg::Programs>,
    ) -> Result<Self> {
        let limits = &options.limits;
        let metadata = fs::metadata(path).map_err(|e| Error::io(path, e))?;
        if metadata.is_dir() {
            let (info, source) = folder::open(path, options.folder_rate, limits)?;
            return Self::start(path, info, source, limits);
        }
        if !metadata.is_file() {
            return Err(Error::format(path, "is neither a file nor a folder"));
        }
        let mut input = Input::open(path)?;
        let container = sniff::container(&mut input)?;
        let codec = match options.decoder {
            DecoderChoice::Ffmpeg => format!("{}, read with decoder \"ffmpeg\",", container.name()),
            DecoderChoice::Auto | DecoderChoice::Builtin => {
                match open_builtin(container, input, limits)? {
                    Opened::Reader(info, source) => return Self::start(path, info, source, limits),
                    Opened::Foreign(codec) => codec,
                }
            }
        };
        let shown = path.display();
        if options.decoder == DecoderChoice::Builtin {
            return Err(Error::Unsupported(format!(
                "{shown}: {codec} has no built-in reader (they know {BUILTIN}); choose decoder \
                 \"auto\" or convert it: {}",
                conversion(path)
            )));
        }
        let Some(programs) = programs else {
            return Err(Error::Unsupported(format!(
                "{shown}: {codec} needs the programs ffmpeg and ffprobe, which are not on the \
                 PATH; install ffmpeg, or convert the file where it is installed: {}",
                conversion(path)
            )));
        };
        let (info, source) = ffmpeg::open(path, programs, limits)?;
        Self::start(path, info, source, limits)
    }

    fn start(
        name: &Path,
        info: VideoInfo,
        source: Box<dyn Frames>,
        limits: &Limits,
    ) -> Result<Self> {
        limits.check_size(info.width, info.height).map_err(|what| Error::limit(name, what))?;
        if let Some(frames) = info.frames.filter(|&frames| frames > limits.frames) {
            let what = format!("video of {frames} frames; the limit is {}", limits.frames);
            return Err(Error::limit(name, what));
        }
        Ok(Self {
            info,
            limits: *limits,
            name: name.to_owned(),
            delivered: 0,
            source: Some(source),
            warnings: Vec::new(),
        })
    }

    /// Size, rate, decoder and the like.
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// Decodes the next frame; `None` after the last one and after an error.
    pub fn next_frame(&mut self) -> Result<Option<DecodedFrame>> {
        let Some(source) = &mut self.source else { return Ok(None) };
        let outcome = source.next_picture();
        let outcome = outcome.and_then(|next| next.map(|next| self.accept(next)).transpose());
        match &outcome {
            Ok(Some(_)) => self.delivered += 1,
            Ok(None) | Err(_) => {
                if let Some(source) = self.source.take() {
                    self.warnings = source.warnings();
                }
            }
        }
        outcome
    }

    /// What the decoder complained about without losing a frame, a line each; complete once the
    /// video has ended.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn accept(&self, (image, time): (Image, f64)) -> Result<DecodedFrame> {
        let index = self.delivered;
        if (image.width, image.height) != (self.info.width, self.info.height) {
            let what = format!(
                "frame {index} is {} x {}, the video began with {} x {}; all have to be one size",
                image.width, image.height, self.info.width, self.info.height
            );
            return Err(Error::format(&self.name, what));
        }
        if index >= self.limits.frames {
            let what = format!("video has more frames than the limit of {}", self.limits.frames);
            return Err(Error::limit(&self.name, what));
        }
        Ok(DecodedFrame { image, time, index })
    }
}

impl Iterator for Video {
    type Item = Result<DecodedFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_frame().transpose()
    }
}

/// What [`VideoInfo::decoder`] says for the built-in readers.
pub(super) fn builtin_decoder() -> String {
    format!("vincie {}", env!("CARGO_PKG_VERSION"))
}

/// A fraction in lowest terms, or `None` when a part is 0 or does not fit.
pub(super) fn rate(numerator: u64, denominator: u64) -> Option<(u32, u32)> {
    let (mut a, mut b) = (numerator, denominator);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    if numerator == 0 || denominator == 0 {
        return None;
    }
    Some((u32::try_from(numerator / a).ok()?, u32::try_from(denominator / a).ok()?))
}

const BUILTIN: &str = "folders of PNG and JPEG, 8-bit Y4M, motion JPEG in AVI, MOV and MP4";

fn open_builtin(container: sniff::Container, input: Input, limits: &Limits) -> Result<Opened> {
    match container {
        sniff::Container::Y4m => y4m::open(input, limits),
        sniff::Container::Avi => avi::open(input, limits),
        sniff::Container::Mov => mov::open(input, limits),
        sniff::Container::Other(name) => Ok(Opened::Foreign(name.to_owned())),
    }
}

/// A command line that turns the file into something a built-in reader takes.
fn conversion(path: &Path) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let from = quote(&path.to_string_lossy());
    let to = quote(&path.with_extension("avi").to_string_lossy());
    format!("ffmpeg -i {from} -an -c:v mjpeg -q:v 2 -pix_fmt yuvj444p {to}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_reduced() {
        assert_eq!(rate(50, 4), Some((25, 2)));
        assert_eq!(rate(30_000, 1001), Some((30_000, 1001)));
        assert_eq!(rate(0, 5), None);
        assert_eq!(rate(5, 0), None);
        assert_eq!(rate(u64::MAX, 2), None);
    }

    #[test]
    fn command_lines_survive_odd_names() {
        let line = conversion(Path::new("it's here.mp4"));
        assert!(line.contains(r"-i 'it'\''s here.mp4' "), "{line}");
    }
}
