//! `vincie quickstart`: from two real clips to a five-turn edit and a report, in three minutes.

mod report;

use crate::command::CommandLine;
use crate::console::Console;
use crate::device::DeviceArgument;
use crate::edit::{Turn, converse};
use crate::failure::Failure;
use crate::number::within;
use crate::publish;
use clap::{Args, Parser};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vincie_data::decode::{Video, fit};
use vincie_data::session::{ImportConfig, Session, open_sessions};
use vincie_data::{Image, Limits};
use vincie_dit::diffusion::Guidance;
use vincie_dit::session::{Chain, SamplingConfig, TrainedModel};
use vincie_dit::train::Run;
use vincie_dit::train::config::TrainConfig;
use vincie_dit::train::metrics::{self, StepMetrics};
use vincie_tensor::Accelerator;

/// The clips that ship with the program; their credits are in the README.
const CLIPS: [(&str, &[u8]); 2] = [
    ("parking_cars.avi", include_bytes!("../../../data/clips/parking_cars.avi")),
    ("flower_bloom.avi", include_bytes!("../../../data/clips/flower_bloom.avi")),
];

/// What is trained, and how.
const CONFIG: &str = include_str!("quickstart.toml");

/// Turns of the edit.
const TURNS: usize = 5;

/// Seconds that a frame must be away from every frame that was trained on.
const APART: f64 = 0.05;

/// From real video to a five-turn edit, in about three minutes on two cores.
///
/// Decodes two real clips that come with the program, annotates them into sessions, trains a small
/// model on them, edits a frame that was not trained on in five turns, and writes a report. Every
/// step is a command that can be run by itself; the report says which.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  vincie quickstart\n  vincie quickstart --minutes 20 --out longer"
)]
pub(crate) struct Arguments {
    /// Minutes of training
    #[arg(long, value_name = "M", default_value_t = 2.2, value_parser = within(0.01..=10_000.0))]
    minutes: f64,

    /// Folder to make
    #[arg(long, value_name = "DIR", default_value = "quickstart")]
    out: PathBuf,

    /// Seed of weights, order and noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    device: DeviceArgument,
}

/// What the report is made of.
struct Outcome {
    sessions: Vec<Session>,
    metrics: Vec<StepMetrics>,
    source: Image,
    source_time: f64,
    turns: Vec<Turn>,
    parameters: usize,
    steps: u64,
    samples: u64,
    minutes: f64,
    /// What each part took.
    times: Vec<(&'static str, Duration)>,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let folder = &arguments.out;
    let place = arguments.device.place()?;
    std::fs::create_dir(folder).map_err(|error| {
        Failure::new(format!("{}: {error}; name a new folder with --out", folder.display()))
    })?;
    let done = work(&arguments, place.as_ref(), folder, console);
    if done.is_err() {
        // The folder is this run's own; one that cannot be removed is named by the failure itself.
        let _ = std::fs::remove_dir_all(folder);
    }
    done
}

/// Everything inside the folder, each part complete before the next; the report is the last.
fn work(
    arguments: &Arguments,
    place: Option<&Accelerator>,
    folder: &Path,
    console: &Console,
) -> Result<(), Failure> {
    let mut times = Vec::new();
    let mut timed = |what: &'static str, begun: Instant| times.push((what, begun.elapsed()));

    let begun = Instant::now();
    let clips = write_clips(folder)?;
    annotate(&clips, folder, console)?;
    let sessions = read_sessions(&folder.join("sessions"))?;
    timed("decode and annotate", begun);

    let begun = Instant::now();
    let mut run = start(arguments, folder)?;
    run.move_to(place)?;
    crate::train::train(&mut run, console)?;
    let (parameters, steps, samples) =
        (run.trainer().parameters().count(), run.progress().step, run.progress().samples);
    drop(run);
    timed("train", begun);

    let begun = Instant::now();
    let mut model = TrainedModel::load(&folder.join("run"))?;
    model.move_to(place)?;
    let (source, source_time) = unseen_frame(&clips[0], &sessions, model.size)?;
    let sampling = SamplingConfig {
        steps: 20,
        shift: 3.0,
        guidance: Guidance::default(),
        seed: arguments.seed,
        chain: Chain::default(),
    };
    let turns =
        converse(&model, std::slice::from_ref(&source), &prompts(&sessions), sampling, console)?;
    timed("edit", begun);

    let metrics = metrics::read(&folder.join("run").join("metrics.jsonl"))?;
    let minutes = arguments.minutes;
    let outcome = Outcome {
        sessions,
        metrics,
        source,
        source_time,
        turns,
        parameters,
        steps,
        samples,
        minutes,
        times,
    };
    report::write(&outcome, folder)?;
    console.line(format!("report: {}", folder.join("report.html").display()))
}

/// Writes the clips to files, so that every later command is one that a user can type.
fn write_clips(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let clips = folder.join("clips");
    std::fs::create_dir(&clips)
        .map_err(|error| Failure::new(format!("{}: {error}", clips.display())))?;
    let write = |(name, bytes): &(&str, &[u8])| {
        let path = clips.join(name);
        publish::file(&path, bytes).map(|()| path)
    };
    CLIPS.iter().map(write).collect()
}

/// Runs `vincie annotate` on the clips.
fn annotate(clips: &[PathBuf], folder: &Path, console: &Console) -> Result<(), Failure> {
    let mut line: Vec<std::ffi::OsString> = vec!["vincie".into(), "annotate".into()];
    line.extend(clips.iter().map(Into::into));
    line.extend(["--out".into(), folder.join("sessions").into()]);
    if console.is_quiet() {
        line.push("--quiet".into());
    }
    CommandLine::try_parse_from(line).map_err(Failure::from)?.run()
}

fn read_sessions(folder: &Path) -> Result<Vec<Session>, Failure> {
    let sessions = open_sessions(folder, &ImportConfig::default())?;
    Ok(sessions.collect::<Result<_, _>>()?)
}

fn start(arguments: &Arguments, folder: &Path) -> Result<Run, Failure> {
    let mut config = TrainConfig::parse("quickstart.toml", CONFIG, &[])?;
    config.data.shards = vec![folder.join("sessions")];
    config.run.output = folder.join("run");
    (config.run.minutes, config.run.steps) = (Some(arguments.minutes), None);
    config.run.seed = arguments.seed;
    Ok(Run::start(config)?)
}

/// The frame in the middle of the clip's longest stretch without a frame of any session.
fn unseen_frame(
    clip: &Path,
    sessions: &[Session],
    [height, width]: [usize; 2],
) -> Result<(Image, f64), Failure> {
    let name = clip.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let own = sessions.iter().filter(|session| session.source.name == name);
    let seen: Vec<f64> =
        own.flat_map(|session| session.frames.iter().map(|frame| frame.time)).collect();
    let mut best: Option<(f64, Image, f64)> = None;
    for frame in Video::open(clip, &Limits::default())? {
        let frame = frame?;
        let distance =
            seen.iter().map(|time| (time - frame.time).abs()).fold(f64::INFINITY, f64::min);
        if distance > APART && best.as_ref().is_none_or(|(farthest, ..)| distance > *farthest) {
            best = Some((distance, fit(&frame.image, width, height), frame.time));
        }
    }
    let (_, image, time) =
        best.ok_or_else(|| Failure::new("every frame of the clip was trained on"))?;
    Ok((image, time))
}

/// The first different instructions of the clip that is edited.
fn prompts(sessions: &[Session]) -> Vec<String> {
    let mut prompts: Vec<String> = Vec::new();
    for transition in sessions.iter().flat_map(|session| &session.transitions) {
        if prompts.len() < TURNS
            && !transition.instruction.is_empty()
            && !prompts.contains(&transition.instruction)
        {
            prompts.push(transition.instruction.clone());
        }
    }
    prompts
}
