//! Writing files of tensors piece by piece, so that no more than a piece is in memory at a time.

pub(super) mod archive;
mod pickle;
mod safetensors;
mod torch;

use crate::{Error, Result};
use ::safetensors::Dtype;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

pub use safetensors::{write_safetensors, write_shards};
pub use torch::write_torch;

/// A tensor that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
}

impl Plan {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> usize {
        self.count() * self.dtype.bitsize() / 8
    }
}

/// Takes a tensor's bytes, row by row and little-endian, in pieces of any length.
pub type Sink<'s> = dyn FnMut(&[u8]) -> Result<()> + 's;

/// Gives a tensor's bytes to a sink.
pub type Fill<'f> = dyn FnMut(&Plan, &mut Sink<'_>) -> Result<()> + 'f;

/// Bytes that wait before they go to the system.
const BUFFER: usize = 1 << 20;

/// Lets `write` fill a file beside `path`, which gets that name when it is complete and on disk. After a
/// failure nothing is left behind, and a file that had the name before is as it was.
fn publish(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let io = |source| Error::io(path, source);
    let name = path.file_name().ok_or_else(|| Error::format(path, "is no name of a file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".partial");
    let partial = path.with_file_name(hidden);
    let attempt = || {
        let mut file = BufWriter::with_capacity(BUFFER, File::create(&partial).map_err(io)?);
        write(&mut file)?;
        let file = file.into_inner().map_err(|e| io(e.into_error()))?;
        file.sync_all().map_err(io)?;
        fs::rename(&partial, path).map_err(io)
    };
    attempt().inspect_err(|_| {
        // The first failure says more than one of cleaning up would.
        let _ = fs::remove_file(&partial);
    })
}

/// Fills one tensor through `sink` and sees that it got as many bytes as the plan says.
fn fill_whole(
    path: &Path,
    plan: &Plan,
    fill: &mut Fill<'_>,
    mut sink: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut given = 0;
    fill(plan, &mut |piece| {
        given += piece.len();
        sink(piece)
    })?;
    match given == plan.bytes() {
        true => Ok(()),
        false => {
            let what = format!("{} got {given} bytes of {}", plan.name, plan.bytes());
            Err(Error::format(path, what))
        }
    }
}
