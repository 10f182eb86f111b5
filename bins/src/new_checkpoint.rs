//! `vincie new-checkpoint`: random weights in the layout of the released models.

use crate::console::Console;
use crate::convert::RealType;
use crate::disk;
use crate::failure::Failure;
use crate::number::bytes;
use crate::publish::Folder;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use vincie_dit::weights::fresh::{Fresh, Part, Release};

/// Write random weights in the layout of the released models.
///
/// For trying at true size what loads them: the files, names and shapes are those of VINCIE-3B
/// (dit.pth, vae.pth, llm14b/) or VINCIE-7B (ema.pth, ema_vae.pth, flan-ul2/), the values are
/// random, and the tokenizers are made up. The free disk is looked at first: the whole 3B takes
/// 34 GiB in bf16, the whole 7B 31 GiB; --layers makes it less. The same seed gives the same files.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  vincie new-checkpoint --preset 3b --layers 4 --out random-3b\n  \
                        vincie new-checkpoint --preset 7b --what dit --out random-7b"
)]
pub(crate) struct Arguments {
    /// Which model's layout
    #[arg(long, value_name = "MODEL")]
    preset: Preset,

    /// New folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Seed of the values
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Layers of the transformer and of the text encoder [default: as released]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=64))]
    layers: Option<u64>,

    /// Parts to write, separated by commas
    #[arg(long, value_name = "PARTS", value_delimiter = ',', default_value = "dit,vae,text")]
    what: Vec<PartName>,

    /// Type of the weights
    #[arg(long, value_name = "TYPE", default_value = "bf16")]
    dtype: RealType,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    /// VINCIE-3B
    #[value(name = "3b")]
    Three,
    /// VINCIE-7B
    #[value(name = "7b")]
    Seven,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum PartName {
    /// The transformer
    Dit,
    /// The autoencoder
    Vae,
    /// The text encoder
    Text,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let has = |name: PartName, part: Part| arguments.what.contains(&name).then_some(part);
    let parts =
        [(PartName::Dit, Part::Dit), (PartName::Vae, Part::Vae), (PartName::Text, Part::Text)];
    let fresh = Fresh {
        release: match arguments.preset {
            Preset::Three => Release::Three,
            Preset::Seven => Release::Seven,
        },
        parts: parts.into_iter().filter_map(|(name, part)| has(name, part)).collect(),
        layers: arguments.layers.map(|layers| layers as usize),
        dtype: arguments.dtype.stored(),
        seed: arguments.seed,
    };
    let total = fresh.bytes()?;
    disk::check(&arguments.out, total)?;
    let folder = Folder::begin(&arguments.out)?;
    let progress = console.progress("writing", "bytes", Some(total));
    fresh.write(folder.partial(), &mut |bytes| progress.advance(bytes))?;
    drop(progress);
    folder.publish()?;
    for &part in &fresh.parts {
        let path = arguments.out.join(fresh.release.file(part));
        console.line(format!("{}: {}", path.display(), fresh.model(part)?))?;
    }
    console.line(format!("{} in all", bytes(total)))
}
