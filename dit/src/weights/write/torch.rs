//! Files as `torch.save` writes them.

use super::archive::Archive;
use super::{Fill, Plan, fill_whole, pickle, publish};
use crate::{Error, Result};
use std::io;
use std::path::Path;

/// The folder in the archive.
const FOLDER: &str = "archive";

/// Writes an ordered dictionary of tensors, which `torch.load(path, weights_only=True)` reads, also with
/// `mmap=True`. The same tensors give the same bytes.
pub fn write_torch(path: &Path, plans: &[Plan], fill: &mut Fill<'_>) -> Result<()> {
    let pickle = pickle::dictionary(plans).map_err(|what| Error::format(path, what))?;
    publish(path, |file| {
        let io = |source| Error::io(path, source);
        let mut archive = Archive::new(file);
        let small: [(&str, &[u8]); 3] =
            [("data.pkl", &pickle), ("byteorder", b"little"), ("version", b"3\n")];
        for (name, bytes) in small {
            archive
                .entry::<io::Error>(&format!("{FOLDER}/{name}"), bytes.len() as u64, |sink| {
                    sink(bytes)
                })
                .map_err(io)?;
        }
        for (number, plan) in plans.iter().enumerate() {
            let name = format!("{FOLDER}/data/{number}");
            archive
                .entry::<Failure>(&name, plan.bytes() as u64, |sink| {
                    Ok(fill_whole(path, plan, fill, |piece| sink(piece).map_err(io))?)
                })
                .map_err(|failure| match failure {
                    Failure::Io(source) => io(source),
                    Failure::Other(error) => error,
                })?;
        }
        archive.finish().map_err(io)
    })
}

/// A failure of the disk, or of what gives the bytes.
enum Failure {
    Io(io::Error),
    Other(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
