//! `vincie convert`: weights from one form to another.

use crate::console::Console;
use crate::disk;
use crate::failure::Failure;
use crate::publish::Folder;
use clap::Args;
use std::path::{Path, PathBuf};
use vincie_dit::weights::{Checkpoint, Conversion, Dtype, Output};

/// Most bytes that a shard may be asked to have.
const MAX_SHARD_GIB: u64 = 1024;

/// Convert weights between safetensors and PyTorch files.
///
/// Reads a .safetensors file, a file of `torch.save` (.pth, .pt, .bin), an index of several
/// (.index.json) or a folder with one of these. Writes a .safetensors file, a .pth that PyTorch
/// loads with `weights_only=True`, or, to a name without a dot, a folder of safetensors shards with
/// an index. Real numbers take the type of --dtype, rounded to nearest even; whole numbers stay as
/// they are. Memory stays small whatever the size of the weights, and the output appears when it is
/// complete.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie convert dit.pth dit.safetensors --dtype bf16\n  \
                        vincie convert llm14b/ encoder.pth")]
pub(crate) struct Arguments {
    /// File, index or folder of weights
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// File that ends in .safetensors, .pth, .pt or .bin, or a new folder
    #[arg(value_name = "OUT")]
    output: PathBuf,

    /// Type of real numbers in the output [default: as stored]
    #[arg(long, value_name = "TYPE")]
    dtype: Option<RealType>,

    /// Largest file of a folder, GiB
    #[arg(long, value_name = "GIB", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MAX_SHARD_GIB))]
    shard: u64,
}

/// A type that real numbers can be written in.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum RealType {
    /// Single precision
    F32,
    /// bfloat16
    Bf16,
    /// Half precision
    F16,
}

impl RealType {
    /// As files spell it.
    pub(crate) fn stored(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
            Self::F16 => Dtype::F16,
        }
    }
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let Arguments { input, output, dtype, shard } = arguments;
    let form = Output::of(&output)?;
    let from = Checkpoint::open(&input)?;
    if from.files().any(|file| is_same(file, &output)) {
        return Err(Failure::new(format!("{}: is what is being read", output.display())));
    }
    let largest = (shard << 30) as usize;
    let conversion = Conversion { dtype: dtype.map(RealType::stored), largest };
    let plans = conversion.plan(&from);
    let bytes: u64 = plans.iter().map(|plan| plan.bytes() as u64).sum();
    disk::check(&output, bytes)?;
    let progress = console.progress("converting", "bytes", Some(bytes));
    let mut advance = |bytes: u64| progress.advance(bytes);
    match form {
        Output::Folder => {
            let folder = Folder::begin(&output)?;
            conversion.write(&from, folder.partial(), form, &mut advance)?;
            folder.publish()?;
        }
        Output::Safetensors | Output::Torch => {
            conversion.write(&from, &output, form, &mut advance)?;
        }
    }
    drop(progress);
    console.line(format!("{}: {} tensors, {bytes} bytes", output.display(), plans.len()))
}

/// Whether two names lead to one file.
fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
