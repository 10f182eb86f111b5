//! `vincie edit`: a conversation with a trained or released model, one picture a turn.

mod released;

use crate::console::Console;
use crate::device::DeviceArgument;
use crate::dtype::DTypeArgument;
use crate::failure::Failure;
use crate::number::within;
use crate::publish::Folder;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use vincie_data::decode::{self, Filter};
use vincie_data::{Image, Limits, Mask};
use vincie_dit::diffusion::Guidance;
use vincie_dit::session::{Chain, Editor, SamplingConfig, TrainedModel};

/// Most turns of one session.
const MAX_TURNS: usize = 60;

/// Height that pictures of a strip are enlarged to.
const STRIP_HEIGHT: usize = 256;

/// Pixels between two pictures of a strip.
const GAP: usize = 6;

/// Edit pictures in conversation.
///
/// Every `--prompt` is a turn; each turn sees the source, all earlier outputs and all prompts so far.
/// Several `--image` are concepts to compose in the first turn; without any, the first prompt makes
/// the first picture of a story. `--chain` first predicts the region that will change (cs), the region
/// that has changed (ns), or both. The folder holds one PNG a turn, `strip.png` and `session.json`.
///
/// The model is a run of `vincie train`, or a folder with the files of a released model: VINCIE-3B is
/// dit.pth, vae.pth and llm14b, VINCIE-7B is ema.pth, ema_vae.pth and flan-ul2; files may be
/// safetensors as well. Text encoder, autoencoder and transformer are then in memory one after another.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie edit --model runs/study --image cat.png \\\n    \
                        --prompt \"move the region to the left\" --prompt \"make it red\" --out edited")]
pub(crate) struct Arguments {
    /// Folder of a run, of one of its checkpoints, or of a released model
    #[arg(long, value_name = "DIR")]
    model: PathBuf,

    /// Source picture; several are composed
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,

    /// Instruction of one turn
    #[arg(long = "prompt", value_name = "TEXT", required = true)]
    prompts: Vec<String>,

    /// Denoising steps of a picture
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,

    /// Guidance: preference for the prompt over no prompt; 1 for none. Models trained here take 1, and
    /// want no more than 1.5; the released ones take 7.5 (3B) and 10 (7B)
    #[arg(long, value_name = "SCALE", value_parser = within(0.0..=100.0))]
    cfg: Option<f64>,

    /// Shift of the sampling times towards noise; 3, and 12 (3B) and 10 (7B) for the released models
    #[arg(long, value_name = "S", value_parser = within(0.01..=100.0))]
    shift: Option<f64>,

    /// Seed of the noise
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Masks to predict before each picture
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    chain: Vec<ChainStep>,

    /// Folder to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    numbers: DTypeArgument,

    #[command(flatten)]
    device: DeviceArgument,

    #[command(flatten)]
    released: released::Options,
}

/// Guidance of models trained here where none is given.
const GUIDANCE: f64 = 1.0;

/// Shift of models trained here where none is given.
const SHIFT: f64 = 3.0;

/// A mask of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChainStep {
    /// What will change of the current picture.
    Cs,
    /// What has changed of the next picture.
    Ns,
}

impl ChainStep {
    /// Its name among the arguments.
    fn name(self) -> &'static str {
        match self {
            Self::Cs => "cs",
            Self::Ns => "ns",
        }
    }
}

/// One turn as it is reported.
pub(crate) struct Turn {
    pub(crate) prompt: String,
    pub(crate) image: Image,
    pub(crate) current_mask: Option<Mask>,
    pub(crate) next_mask: Option<Mask>,
    pub(crate) seconds: f64,
}

/// What `session.json` holds.
#[derive(Serialize)]
struct Record<'a> {
    model: String,
    model_steps: u64,
    images: Vec<String>,
    size: [usize; 2],
    steps: u32,
    cfg: f64,
    shift: f64,
    seed: u64,
    chain: Vec<&'static str>,
    turns: Vec<TurnRecord<'a>>,
    version: &'static str,
}

#[derive(Serialize)]
struct TurnRecord<'a> {
    prompt: &'a str,
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_mask: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_mask: Option<String>,
    seconds: f64,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    if arguments.prompts.len() > MAX_TURNS {
        return Err(Failure::usage(format!(
            "{} prompts; a session has at most {MAX_TURNS} turns",
            arguments.prompts.len()
        )));
    }
    let output = Folder::begin(&arguments.out)?;
    let place = arguments.device.place()?;
    if vincie_dit::released::Folder::is_released(&arguments.model) {
        let turns = released::run(&arguments, place.as_ref(), output.partial(), console)?;
        output.publish()?;
        return console.line(format!("{turns} turns in {}", arguments.out.display()));
    }
    arguments.released.refuse()?;
    let (cfg, shift) = (arguments.cfg.unwrap_or(GUIDANCE), arguments.shift.unwrap_or(SHIFT));
    let mut model = TrainedModel::load(&arguments.model)?;
    model.store_as(arguments.numbers.dtype)?;
    model.move_to(place.as_ref())?;
    let [height, width] = model.size;
    let read = |path: &PathBuf| {
        decode::read_image(path, &Limits::default()).map(|image| decode::fit(&image, width, height))
    };
    let images = arguments.images.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let sampling = SamplingConfig {
        steps: arguments.steps as usize,
        shift,
        guidance: Guidance { scale: cfg as f32, ..Guidance::default() },
        seed: arguments.seed,
        chain: Chain {
            current: arguments.chain.contains(&ChainStep::Cs),
            next: arguments.chain.contains(&ChainStep::Ns),
        },
    };
    let turns = converse(&model, &images, &arguments.prompts, sampling, console)?;
    let folder = output.partial();
    write_pictures(images, &turns, folder)?;
    write_record(&arguments, &model, &turns, folder)?;
    output.publish()?;
    console.line(format!("{} turns in {}", turns.len(), arguments.out.display()))
}

/// Runs all turns of a session with a progress bar.
pub(crate) fn converse(
    model: &TrainedModel,
    images: &[Image],
    prompts: &[String],
    sampling: SamplingConfig,
    console: &Console,
) -> Result<Vec<Turn>, Failure> {
    let latent_size = model.size.map(|side| side / model.codec.factor());
    let mut editor = Editor::new(
        &model.network,
        &model.parameters,
        &model.vocabulary,
        model.codec,
        latent_size,
        sampling,
    )?;
    for image in images {
        editor.show(model.codec.encode(image)?)?;
    }
    let pictures = 1 + usize::from(sampling.chain.current) + usize::from(sampling.chain.next);
    let bar =
        console.progress("edit", "steps", Some((prompts.len() * pictures * sampling.steps) as u64));
    let mut turns = Vec::with_capacity(prompts.len());
    for prompt in prompts {
        bar.message(prompt);
        let begun = Instant::now();
        let output = editor.turn(prompt, |_, _| bar.advance(1))?;
        let mask = |latent: &Option<_>| {
            latent.as_ref().map(|latent| model.codec.decode_mask(latent)).transpose()
        };
        turns.push(Turn {
            prompt: prompt.clone(),
            image: model.codec.decode(&output.image)?,
            current_mask: mask(&output.current_mask)?,
            next_mask: mask(&output.next_mask)?,
            seconds: begun.elapsed().as_secs_f64(),
        });
    }
    Ok(turns)
}

fn file_name(turn: usize, suffix: &str) -> String {
    format!("turn-{}{suffix}.png", turn + 1)
}

/// Writes every turn's picture and masks, and a strip of them behind their sources, all of one size.
fn write_pictures(sources: Vec<Image>, turns: &[Turn], folder: &Path) -> Result<(), Failure> {
    for (i, turn) in turns.iter().enumerate() {
        decode::write_png(folder.join(file_name(i, "")), &turn.image)?;
        for (mask, suffix) in [(&turn.current_mask, ".current"), (&turn.next_mask, ".next")] {
            if let Some(mask) = mask {
                decode::write_mask_png(folder.join(file_name(i, suffix)), mask)?;
            }
        }
    }
    let mut shown = sources;
    shown.extend(turns.iter().map(|turn| turn.image.clone()));
    Ok(decode::write_png(folder.join("strip.png"), &strip(&shown))?)
}

/// The turns as `session.json` holds them.
fn turn_records(turns: &[Turn]) -> Vec<TurnRecord<'_>> {
    let mut records = Vec::with_capacity(turns.len());
    for (i, turn) in turns.iter().enumerate() {
        records.push(TurnRecord {
            prompt: &turn.prompt,
            image: file_name(i, ""),
            current_mask: turn.current_mask.as_ref().map(|_| file_name(i, ".current")),
            next_mask: turn.next_mask.as_ref().map(|_| file_name(i, ".next")),
            seconds: turn.seconds,
        });
    }
    records
}

/// Pictures of one size side by side, enlarged by whole factors where they are small.
pub(crate) fn strip(images: &[Image]) -> Image {
    let Some(first) = images.first() else { return Image::filled(1, 1, [255; 3]) };
    let factor = (STRIP_HEIGHT / first.height).max(1);
    let (width, height) = (first.width * factor, first.height * factor);
    let mut strip = Image::filled(images.len() * (width + GAP) - GAP, height, [255; 3]);
    for (i, image) in images.iter().enumerate() {
        let large = decode::resize(image, width, height, Filter::Bicubic);
        for y in 0..height {
            let to = 3 * (y * strip.width + i * (width + GAP));
            strip.rgb[to..to + 3 * width]
                .copy_from_slice(&large.rgb[3 * y * width..3 * (y + 1) * width]);
        }
    }
    strip
}

/// The last part of a path, as records name files and folders.
fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn write_record(
    arguments: &Arguments,
    model: &TrainedModel,
    turns: &[Turn],
    folder: &Path,
) -> Result<(), Failure> {
    let record = Record {
        model: name_of(&arguments.model),
        model_steps: model.steps,
        images: arguments.images.iter().map(|path| name_of(path)).collect(),
        size: model.size,
        steps: arguments.steps,
        cfg: arguments.cfg.unwrap_or(GUIDANCE),
        shift: arguments.shift.unwrap_or(SHIFT),
        seed: arguments.seed,
        chain: arguments.chain.iter().map(|step| step.name()).collect(),
        turns: turn_records(turns),
        version: env!("CARGO_PKG_VERSION"),
    };
    let text = serde_json::to_string_pretty(&record)
        .map_err(|error| Failure::new(format!("session.json: {error}")))?;
    crate::publish::file(&folder.join("session.json"), text.as_bytes())
}
