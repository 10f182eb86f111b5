//! `vincie annotate`: videos to sessions.

mod summary;
mod video;

use crate::console::Console;
use crate::failure::Failure;
use crate::publish::Folder;
use clap::{Args, ValueEnum};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use summary::Summary;
use vincie_data::Limits;
use vincie_data::annotate::{AnnotateConfig, session_key};
use vincie_data::decode::DecoderChoice;
use vincie_data::sample::{CountSampling, IntervalSampling, Mode, SampleConfig, Sampled};
use vincie_data::shard::{ShardWriter, WriterConfig};

/// Turn videos into sessions: frames, an instruction for each step, masks of what changes.
///
/// Each video is decoded, split into shots and sampled; every step from frame to frame gets an
/// instruction that states what was measured, a mask of what will change and one of what has
/// changed. The sessions are written as tar shards into a new folder, which appears when
/// everything is done. Folders of PNG or JPEG, Y4M and motion JPEG are read as they are; other
/// videos need ffmpeg. A video that cannot be used is reported, the others go on, and the exit
/// code is 1.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie annotate clips/*.mp4 --out sessions --sheets\n  \
                        vincie annotate talk.avi --out sessions --interval 0.5 --size 256x256")]
pub(crate) struct Arguments {
    /// Video files, or folders of numbered pictures
    #[arg(value_name = "VIDEO", required = true)]
    videos: Vec<PathBuf>,

    /// Folder to write, which must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Sample a frame every S seconds within a shot. Without --interval and --count, both ways of
    /// sampling are used, at 1 second and 8 frames; with one of them, only that one
    #[arg(long, value_name = "S")]
    interval: Option<f64>,

    /// Sample N frames spread over the whole video
    #[arg(long, value_name = "N")]
    count: Option<usize>,

    /// Scale and cut frames to this size; without, they keep theirs
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<[usize; 2]>,

    /// What decodes: a built-in reader where there is one and else ffmpeg, or one of both only
    #[arg(long, value_enum, default_value_t)]
    decoder: Decoder,

    /// Seed of every choice, such as that between two wordings
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Write a contact sheet of each session, as PNG in DIR/sheets
    #[arg(long)]
    sheets: bool,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Decoder {
    #[default]
    Auto,
    Builtin,
    Ffmpeg,
}

/// What holds for all videos of a run.
struct Plan {
    sample: SampleConfig,
    annotate: AnnotateConfig,
    decoder: DecoderChoice,
    size: Option<[usize; 2]>,
    /// Folder for contact sheets, where they are wanted.
    sheets: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let mut plan = Plan::new(&arguments)?;
    let output = Folder::begin(&arguments.out)?;
    if arguments.sheets {
        let folder = output.partial().join("sheets");
        std::fs::create_dir(&folder)
            .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        plan.sheets = Some(folder);
    }
    let mut writer = ShardWriter::create(output.partial(), WriterConfig::default())?;
    let names = names(&arguments.videos);
    let mut videos = Vec::with_capacity(names.len());
    for (path, name) in arguments.videos.iter().zip(&names) {
        let summary = video::annotate(path, name, &plan, &mut writer, console)?;
        match &summary.error {
            Some(error) if names.len() == 1 => return Err(Failure::new(error)),
            Some(error) => console.warning(error),
            None => {}
        }
        videos.push(summary);
    }
    let dataset = writer.finish()?;
    let summary = Summary::new(&arguments.out, videos, dataset.statistics);
    let failed = summary.videos.iter().filter(|video| video.error.is_some()).count();
    if summary.statistics.sessions == 0 {
        return Err(Failure::new(match failed {
            0 => "no sessions: nothing changes between the sampled frames".to_owned(),
            _ => format!("{failed} of {} videos failed; nothing is written", names.len()),
        }));
    }
    output.publish()?;
    if arguments.json {
        console.json(&summary)?
    } else {
        summary.print(console)?
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new(format!(
            "{failed} of {} videos failed; the sessions of the others are in {}",
            names.len(),
            arguments.out.display()
        ))),
    }
}

impl Plan {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let mut sample = SampleConfig::default();
        if arguments.interval.is_some() || arguments.count.is_some() {
            let interval = |seconds| IntervalSampling { seconds, ..IntervalSampling::default() };
            let count = |frames| CountSampling { frames, ..CountSampling::default() };
            sample.interval = arguments.interval.map(interval);
            sample.count = arguments.count.map(count);
        }
        sample.check().map_err(Failure::usage)?;
        let annotate = AnnotateConfig { seed: arguments.seed, ..AnnotateConfig::default() };
        let decoder = match arguments.decoder {
            Decoder::Auto => DecoderChoice::Auto,
            Decoder::Builtin => DecoderChoice::Builtin,
            Decoder::Ffmpeg => DecoderChoice::Ffmpeg,
        };
        Ok(Self { sample, annotate, decoder, size: arguments.size, sheets: None })
    }
}

/// `WxH` as columns and rows.
pub(crate) fn parse_size(text: &str) -> Result<[usize; 2], String> {
    let (width, height) = text
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
        .ok_or_else(|| "a size is two numbers and an x, such as 256x144".to_owned())?;
    Limits::default().check_size(width, height)?;
    Ok([width, height])
}

/// A name for each video from which its session keys are made. Keys keep only some letters of a
/// name, so videos that would share keys get a number in front.
fn names(videos: &[PathBuf]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(videos.len());
    for (index, path) in videos.iter().enumerate() {
        let own = file_name(path);
        let mut name = own.clone();
        let mut number = index + 1;
        while !seen.insert(key_stem(&name)) {
            name = format!("v{number}-{own}");
            number += 1;
        }
        names.push(name);
    }
    names
}

/// What the keys of all sessions of a video begin with.
fn key_stem(name: &str) -> String {
    let sampled = Sampled {
        number: 0,
        mode: Mode::Count,
        shot: None,
        frames: Vec::new(),
        numbers: Vec::new(),
        links: Vec::new(),
        backgrounds: Vec::new(),
    };
    session_key(name, &sampled)
}

/// The last part of a path, also of one such as `..`.
fn file_name(path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().or(absolute.file_name()).unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("256x144"), Ok([256, 144]));
        for bad in ["", "x", "256", "256x", "0x4", "4x0", "-1x4", "60000x1", "4X4", "4x4x4"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn videos_never_share_keys() {
        let long = "a".repeat(60);
        let paths =
            ["a/x.mp4", "b/x.mp4", "c/x.avi", &format!("{long}1.avi"), &format!("{long}2.avi")];
        let names = names(&paths.map(PathBuf::from));
        assert_eq!(names[..3], ["x.mp4", "v2-x.mp4", "v3-x.avi"]);
        let stems: HashSet<String> = names.iter().map(|name| key_stem(name)).collect();
        assert_eq!(stems.len(), names.len(), "{names:?}");
    }
}
