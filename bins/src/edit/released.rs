//! `vincie edit` with the files of a released model.

use super::{Arguments, ChainStep, Turn, TurnRecord, name_of, turn_records, write_pictures};
use crate::console::Console;
use crate::failure::Failure;
use crate::number::within;
use crate::publish;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;
use vincie_data::{Image, Limits, Mask, decode};
use vincie_dit::released::{
    Family, Folder, Instruction, Makes, Quirks, Roundings, Session, Settings, Stage,
};
use vincie_tensor::Accelerator;

/// Heading of these options.
const HEADING: &str = "Options for released models";

/// Options that only released models take.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Options {
    /// Side of the square whose area pictures have; 256 for the 3B, 554.26 for the 7B
    #[arg(long, value_name = "PIXELS", value_parser = within(16.0..=4096.0))]
    resolution: Option<f64>,

    /// Shape that pictures are cut to: keep_ratio, adaptive or W:H
    #[arg(long, value_name = "SHAPE")]
    aspect: Option<String>,

    /// What guidance leads away from, instead of the models' own list
    #[arg(long, value_name = "TEXT")]
    negative: Option<String>,

    /// Take prompts as they are, without "Based on <IMG0>, ... Output <IMG1>: "; sources behind the
    /// first then have a prompt each before the first turn's
    #[arg(long)]
    no_placeholders: bool,

    /// Use the mean of the autoencoder's answer for context pictures instead of drawing from it
    #[arg(long)]
    mean_latents: bool,

    /// Errors of the official code to make as well
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    official_quirks: Vec<Quirk>,

    /// Roundings to bf16 of the official run; all for the 7B, none for the 3B
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    roundings: Option<Vec<Rounding>>,
}

impl Options {
    /// `Err` when one of them is given for a model that is trained here.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        let given = [
            (self.resolution.is_some(), "resolution"),
            (self.aspect.is_some(), "aspect"),
            (self.negative.is_some(), "negative"),
            (self.no_placeholders, "no-placeholders"),
            (self.mean_latents, "mean-latents"),
            (!self.official_quirks.is_empty(), "official-quirks"),
            (self.roundings.is_some(), "roundings"),
        ];
        match given.iter().find(|(is_given, _)| *is_given) {
            None => Ok(()),
            Some((_, name)) => Err(Failure::usage(format!(
                "--{name} is for released models; the folder holds a model trained here"
            ))),
        }
    }
}

/// An error of the official code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Quirk {
    /// Later turns of sessions with several sources see too few prompts.
    FewPrompts,
    /// Some numbers of steps, such as 49, become one more.
    ExtraStep,
}

/// A rounding of the official run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rounding {
    /// None of them.
    None,
    /// Latents, condition and text features.
    Inputs,
    /// The time that the network is told.
    Timestep,
    /// Rotary frequencies, positions and angles.
    Rotary,
}

/// What `session.json` holds.
#[derive(Serialize)]
struct Record<'a> {
    model: String,
    family: &'static str,
    images: Vec<String>,
    size: [usize; 2],
    steps: usize,
    cfg: f32,
    shift: f64,
    seed: u64,
    chain: Vec<&'static str>,
    negative: &'a str,
    turns: Vec<TurnRecord<'a>>,
    version: &'static str,
}

/// Runs the session and fills `to`, a folder that is not yet under its final name.
pub(super) fn run(
    arguments: &Arguments,
    place: Option<&Accelerator>,
    to: &Path,
    console: &Console,
) -> Result<usize, Failure> {
    let folder = Folder::open(&arguments.model)?;
    let settings = settings(arguments, folder.family)?;
    let read = |path| decode::read_image(path, &Limits::default());
    let images = arguments.images.iter().map(read).collect::<Result<Vec<Image>, _>>()?;
    let steps = instructions(arguments);
    let turns = converse(&folder, images.clone(), &steps, &settings, arguments, place, console)?;
    let (width, height) =
        turns.first().map_or((1, 1), |turn| (turn.image.width, turn.image.height));
    let sources = images.iter().map(|image| decode::fit(image, width, height)).collect();
    write_pictures(sources, &turns, to)?;
    let record = Record {
        model: name_of(&arguments.model),
        family: match folder.family {
            Family::ThreeB => "3b",
            Family::SevenB => "7b",
        },
        images: arguments.images.iter().map(|path| name_of(path)).collect(),
        size: [height, width],
        steps: settings.steps,
        cfg: settings.guidance.scale,
        shift: settings.shift,
        seed: arguments.seed,
        chain: arguments.chain.iter().map(|step| step.name()).collect(),
        negative: &settings.negative,
        turns: turn_records(&turns),
        version: env!("CARGO_PKG_VERSION"),
    };
    let text = serde_json::to_string_pretty(&record)
        .map_err(|error| Failure::new(format!("session.json: {error}")))?;
    publish::file(&to.join("session.json"), text.as_bytes())?;
    Ok(turns.len())
}

/// The authors' defaults with what the arguments change.
fn settings(arguments: &Arguments, family: Family) -> Result<Settings, Failure> {
    let (own, mut settings) = (&arguments.released, Settings::official(family));
    if let Some(resolution) = own.resolution {
        settings.resolution = resolution;
    }
    if let Some(aspect) = &own.aspect {
        settings.aspect = aspect.parse().map_err(Failure::usage)?;
    }
    if let Some(negative) = &own.negative {
        settings.negative = negative.clone();
    }
    settings.placeholders = !own.no_placeholders;
    settings.draws_latents = !own.mean_latents;
    settings.steps = arguments.steps as usize;
    if let Some(scale) = arguments.cfg {
        settings.guidance.scale = scale as f32;
    }
    if let Some(shift) = arguments.shift {
        settings.shift = shift;
    }
    settings.quirks = Quirks {
        few_prompts: own.official_quirks.contains(&Quirk::FewPrompts),
        extra_step: own.official_quirks.contains(&Quirk::ExtraStep),
    };
    if let Some(roundings) = &own.roundings {
        settings.roundings = Roundings {
            inputs: roundings.contains(&Rounding::Inputs),
            timestep: roundings.contains(&Rounding::Timestep),
            rotary: roundings.contains(&Rounding::Rotary),
        };
    }
    Ok(settings)
}

/// Every prompt with the chain's masks before it.
fn instructions(arguments: &Arguments) -> Vec<Instruction> {
    let mut all = Vec::new();
    for text in &arguments.prompts {
        for (step, makes) in [(ChainStep::Cs, Makes::CurrentMask), (ChainStep::Ns, Makes::NextMask)]
        {
            if arguments.chain.contains(&step) {
                all.push(Instruction { text: text.clone(), makes });
            }
        }
        all.push(Instruction::picture(text));
    }
    all
}

/// Runs all turns with a progress bar.
fn converse(
    folder: &Folder,
    images: Vec<Image>,
    steps: &[Instruction],
    settings: &Settings,
    arguments: &Arguments,
    place: Option<&Accelerator>,
    console: &Console,
) -> Result<Vec<Turn>, Failure> {
    let bar = console.progress("edit", "steps", Some((steps.len() * settings.steps) as u64));
    let mut see = |stage: Stage| match stage {
        Stage::Text(done, all) => bar.message(&format!("encoding prompts, {done} of {all}")),
        Stage::Encode(done, all) => bar.message(&format!("encoding picture {} of {all}", done + 1)),
        Stage::Denoise(0, _) => bar.message("denoising"),
        Stage::Denoise(..) => bar.advance(1),
        Stage::Decode => bar.message("decoding"),
    };
    let (settings, seed) = (settings.clone(), arguments.seed);
    let mut session = Session::begin(folder, images, steps, settings, seed, place, &mut see)?;
    let mut turns = Vec::new();
    let [mut current_mask, mut next_mask]: [Option<Mask>; 2] = [None, None];
    let mut begun = Instant::now();
    for _ in 0..session.turns() {
        let made = session.next(&mut see)?;
        match made.makes {
            Makes::CurrentMask => current_mask = Some(to_mask(&made.image)),
            Makes::NextMask => next_mask = Some(to_mask(&made.image)),
            Makes::Picture => {
                turns.push(Turn {
                    prompt: arguments.prompts.get(turns.len()).cloned().unwrap_or(made.prompt),
                    image: made.image,
                    current_mask: current_mask.take(),
                    next_mask: next_mask.take(),
                    seconds: begun.elapsed().as_secs_f64(),
                });
                begun = Instant::now();
            }
        }
    }
    Ok(turns)
}

/// A black and white picture as a mask.
fn to_mask(image: &Image) -> Mask {
    let data = image.rgb.chunks_exact(3).map(|pixel| if pixel[0] >= 128 { 255 } else { 0 });
    Mask::new(image.width, image.height, data.collect())
}
