//! `vincie sprites`: sessions of the synthetic world, written as shards.

use crate::console::Console;
use crate::failure::Failure;
use crate::publish::Folder;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use vincie_data::Image;
use vincie_data::annotate::{SheetConfig, contact_sheet};
use vincie_data::decode;
use vincie_data::shard::{FrameFormat, ShardWriter, WriterConfig};
use vincie_data::sprites::{Category, Purpose, SIDES, World};

/// Most sessions of one data set.
const MAX_SESSIONS: u64 = 100_000_000;

/// Most sessions on a contact sheet.
const MAX_SHOWN: u64 = 16;

/// Columns of a picture on a contact sheet.
const SHOWN_WIDTH: usize = 160;

/// Make sessions of a synthetic world whose truth is known.
///
/// Coloured shapes stand on a background and are added, removed, changed and moved; the background,
/// the light and the camera change too. Instructions, masks and descriptions are exact. Sessions
/// follow from the seed, the part and their number. They are written as shards like those of
/// annotated video; `vincie train` can also make them on the fly (`data.sprites`).
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie sprites --out world --sessions 1000 --sheet world.png")]
pub(crate) struct Arguments {
    /// Folder to write, which must not exist
    #[arg(long, value_name = "DIR", required_unless_present = "sheet")]
    out: Option<PathBuf>,

    /// Sessions to make
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MAX_SESSIONS))]
    sessions: u64,

    /// Pictures' side, pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 32)]
    #[arg(value_parser = clap::value_parser!(u64).range(*SIDES.start() as u64..=*SIDES.end() as u64))]
    size: u64,

    /// Edits of a session
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=19))]
    turns: u64,

    /// Seed of the world
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Which sessions: parts share none
    #[arg(long, value_enum, default_value_t)]
    part: Part,

    /// Kinds of edits, all of them without: add, remove, replace, recolour, reshape, enlarge, shrink,
    /// move, background, light, camera, several
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    #[arg(value_parser = Category::ALL.map(Category::name))]
    edits: Vec<String>,

    /// Draw the first sessions with their masks and instructions into a PNG file
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

/// What sessions are for.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Part {
    /// To train on
    #[default]
    Train,
    /// To evaluate on while training
    HeldOut,
    /// The benchmark
    Benchmark,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let world = World {
        seed: arguments.seed,
        purpose: match arguments.part {
            Part::Train => Purpose::Train,
            Part::HeldOut => Purpose::HeldOut,
            Part::Benchmark => Purpose::Benchmark,
        },
        turns: arguments.turns as usize,
        side: arguments.size as usize,
        weights: Category::weights(arguments.edits.iter().map(String::as_str))?,
    };
    world.check()?;
    if let Some(path) = &arguments.sheet {
        sheet(&world, arguments.sessions.min(MAX_SHOWN), path)?;
    }
    let Some(out) = &arguments.out else { return Ok(()) };
    let output = Folder::begin(out)?;
    let config = WriterConfig { frames: FrameFormat::Png, ..WriterConfig::default() };
    let mut writer = ShardWriter::create(output.partial(), config)?;
    let bar = console.progress("sprites", "sessions", Some(arguments.sessions));
    let sessions = (0..arguments.sessions).map(|number| {
        bar.advance(1);
        Ok(world.session(number))
    });
    let mut bad = None;
    writer.write_all(sessions, |error| bad = bad.take().or(Some(error)))?;
    if let Some(error) = bad {
        return Err(error.into());
    }
    let dataset = writer.finish()?;
    drop(bar);
    output.publish()?;
    let (sessions, shards) = (dataset.statistics.sessions, dataset.shards.len());
    console.line(format!("{sessions} sessions in {shards} shards: {}", out.display()))
}

/// Contact sheets of the first sessions, one below the other.
fn sheet(world: &World, count: u64, path: &Path) -> Result<(), Failure> {
    let config = SheetConfig {
        picture_width: SHOWN_WIDTH,
        per_row: world.turns + 1,
        ..SheetConfig::default()
    };
    let sheets: Vec<Image> =
        (0..count).map(|number| contact_sheet(&world.session(number), &config)).collect();
    let width = sheets.iter().map(|sheet| sheet.width).max().unwrap_or(1);
    let mut rgb = Vec::new();
    for sheet in &sheets {
        for row in sheet.rgb.chunks_exact(3 * sheet.width) {
            rgb.extend_from_slice(row);
            rgb.resize(rgb.len() + 3 * (width - sheet.width), 250);
        }
    }
    let height = rgb.len() / (3 * width);
    Ok(decode::write_png(path, &Image::new(width, height, rgb))?)
}
