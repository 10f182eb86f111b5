//! From one form of checkpoint to another, piece by piece.

use super::write::{Plan, Sink, write_safetensors, write_shards, write_torch};
use super::{Checkpoint, Dtype};
use crate::{Error, Result};
use half::{bf16, f16};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Elements of a piece: what is in memory at a time, but for tensors that lie strided in the file.
const PIECE: usize = 1 << 22;

/// Elements that one thread converts at a time.
const STRIP: usize = 1 << 16;

/// What to write.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    /// Type of real numbers; as stored where there is none. Whole numbers stay as they are.
    pub dtype: Option<Dtype>,
    /// Largest file of a folder of shards, bytes.
    pub largest: usize,
}

/// The forms that can be written, by the name of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// One safetensors file.
    Safetensors,
    /// One file of `torch.save`.
    Torch,
    /// A folder of safetensors files with an index.
    Folder,
}

impl Output {
    /// By the extension; a name without one is a folder.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("pth" | "pt" | "bin") => Ok(Self::Torch),
            None => Ok(Self::Folder),
            Some(_) => Err(Error::format(
                path,
                "ends in none of .safetensors, .pth, .pt, .bin; a name without a dot is a folder",
            )),
        }
    }
}

impl Conversion {
    /// What the tensors of `from` become, in order of their names.
    pub fn plan(&self, from: &Checkpoint) -> Vec<Plan> {
        let plan = |name: String| -> Option<Plan> {
            let stored = from.stored_type(&name)?;
            let dtype = self.dtype.filter(|_| is_real(stored)).unwrap_or(stored);
            Some(Plan { shape: from.shape(&name)?.to_vec(), dtype, name })
        };
        from.names().into_iter().filter_map(plan).collect()
    }

    /// Writes `from` to `to`, which gets its name when it is complete; a folder must exist. `progress` is
    /// told bytes as they are written. Gives the files. `Err` also where a value does not fit the type.
    pub fn write(
        &self,
        from: &Checkpoint,
        to: &Path,
        output: Output,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<PathBuf>> {
        let plans = self.plan(from);
        let mut fill = |plan: &Plan, sink: &mut Sink<'_>| {
            let counted = &mut |bytes: &[u8]| {
                progress(bytes.len() as u64);
                sink(bytes)
            };
            give(from, plan, counted)?;
            from.release(&plan.name);
            Ok(())
        };
        match output {
            Output::Safetensors => write_safetensors(to, &plans, &mut fill)?,
            Output::Torch => write_torch(to, &plans, &mut fill)?,
            Output::Folder => return write_shards(to, &plans, self.largest, &mut fill),
        }
        Ok(vec![to.to_owned()])
    }
}

/// Whether elements are real numbers that can be converted.
fn is_real(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

/// Gives a tensor's bytes as its plan says.
fn give(from: &Checkpoint, plan: &Plan, sink: &mut Sink<'_>) -> Result<()> {
    let name = &plan.name;
    let is_as_stored = from.stored_type(name) == Some(plan.dtype);
    if is_as_stored && let Some(bytes) = from.raw(name)? {
        let piece = PIECE * plan.dtype.bitsize() / 8;
        return bytes.chunks(piece).try_for_each(sink);
    }
    if is_as_stored {
        return sink(&from.gathered(name)?);
    }
    let count = plan.count();
    let piece = if from.raw(name)?.is_some() { PIECE } else { count.max(1) };
    let (mut floats, mut bytes) = (Vec::new(), Vec::new());
    for start in (0..count).step_by(piece) {
        from.floats(name, start..count.min(start + piece), &mut floats)?;
        encode(&floats, plan.dtype, &mut bytes).map_err(|value| {
            let what = format!("{name} holds {value}, which {:?} does not", plan.dtype);
            Error::format(from.path(), what)
        })?;
        sink(&bytes)?;
    }
    Ok(())
}

/// Values as little-endian elements of a type of real numbers, rounded to nearest even. `Err` is the
/// first finite value that would become infinite.
pub(super) fn encode(values: &[f32], dtype: Dtype, into: &mut Vec<u8>) -> Result<(), f32> {
    let size = dtype.bitsize() / 8;
    into.resize(values.len() * size, 0);
    let strips = into.par_chunks_mut(STRIP * size).zip(values.par_chunks(STRIP));
    strips.for_each(|(to, from)| {
        let pairs = to.chunks_exact_mut(size).zip(from);
        match dtype {
            Dtype::F64 => {
                pairs.for_each(|(to, &v)| to.copy_from_slice(&f64::from(v).to_le_bytes()))
            }
            Dtype::F16 => {
                pairs.for_each(|(to, &v)| to.copy_from_slice(&f16::from_f32(v).to_le_bytes()));
            }
            Dtype::BF16 => {
                pairs.for_each(|(to, &v)| to.copy_from_slice(&bf16::from_f32(v).to_le_bytes()));
            }
            _ => pairs.for_each(|(to, v)| to.copy_from_slice(&v.to_le_bytes())),
        }
    });
    let is_lost = |v: &f32| {
        v.is_finite()
            && match dtype {
                Dtype::F16 => f16::from_f32(*v).is_infinite(),
                Dtype::BF16 => bf16::from_f32(*v).is_infinite(),
                _ => false,
            }
    };
    match values.par_iter().with_min_len(STRIP).find_first(|v| is_lost(v)) {
        Some(&value) => Err(value),
        None => Ok(()),
    }
}
