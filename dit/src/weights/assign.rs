//! Checkpoint tensors into parameters, with one table of everything that does not fit.

use super::Checkpoint;
use super::fit::{Fit, fit};
use crate::model::Need;
use crate::{Error, Result};
use half::bf16;
use rayon::prelude::*;
use std::fmt;
use vincie_autograd::Parameters;
use vincie_tensor::{DType, Shape, Tensor};

/// Elements that one thread looks at or converts at a time.
const PIECE: usize = 1 << 16;

/// One tensor that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub enum Mismatch {
    /// The model needs it and the checkpoint has it not.
    Missing {
        /// Name.
        name: String,
        /// Shape the model needs.
        expected: Shape,
    },
    /// The checkpoint has it and the model knows it not.
    Unexpected {
        /// Name.
        name: String,
        /// Shape in the checkpoint.
        found: Vec<usize>,
    },
    /// The shapes differ.
    Shape {
        /// Name.
        name: String,
        /// Shape the model needs.
        expected: Shape,
        /// Shape in the checkpoint.
        found: Vec<usize>,
    },
}

/// Everything that does not fit, in the model's order; displays as a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mismatches(pub Vec<Mismatch>);

impl Mismatches {
    /// Compares names and shapes, without reading values. Rotary buffers and parts that never
    /// influence the output may be absent.
    pub fn between(checkpoint: &Checkpoint, expected: &[(String, Shape, Need)]) -> Self {
        let mut mismatches = Vec::new();
        for (name, shape, need) in expected {
            let Some(found) = checkpoint.shape(name) else {
                if *need == Need::Used {
                    mismatches.push(Mismatch::Missing { name: name.clone(), expected: *shape });
                }
                continue;
            };
            if fit(name, *shape, found).is_none() {
                let (name, expected, found) = (name.clone(), *shape, found.to_vec());
                mismatches.push(Mismatch::Shape { name, expected, found });
            }
        }
        let known: std::collections::HashSet<&str> =
            expected.iter().map(|(name, ..)| name.as_str()).collect();
        for name in checkpoint.names() {
            if !known.contains(name.as_str()) {
                let found = checkpoint.shape(&name).unwrap_or_default().to_vec();
                mismatches.push(Mismatch::Unexpected { name, found });
            }
        }
        Self(mismatches)
    }
}

impl fmt::Display for Mismatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |keep: fn(&Mismatch) -> bool| self.0.iter().filter(|m| keep(m)).count();
        write!(
            f,
            "{} tensors missing, {} unexpected, {} of another shape",
            count(|m| matches!(m, Mismatch::Missing { .. })),
            count(|m| matches!(m, Mismatch::Unexpected { .. })),
            count(|m| matches!(m, Mismatch::Shape { .. })),
        )?;
        for mismatch in &self.0 {
            match mismatch {
                Mismatch::Missing { name, expected } => {
                    write!(f, "\n  missing     {name}  expected {expected}")?
                }
                Mismatch::Unexpected { name, found } => {
                    write!(f, "\n  unexpected  {name}  {found:?}")?
                }
                Mismatch::Shape { name, expected, found } => {
                    write!(f, "\n  shape       {name}  expected {expected}, found {found:?}")?;
                }
            }
        }
        Ok(())
    }
}

/// What became parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Tensors in all.
    pub tensors: usize,
    /// Those that were brought to another shape, with how.
    pub fitted: Vec<(String, Fit)>,
}

/// Puts every expected tensor of the checkpoint into `parameters` under its name, as f32 or bf16 where
/// `dtype` says so and as stored otherwise: then as views of the file. Rotary buffers are left out: they are
/// recomputed. `Err` is one table of all tensors that are missing, unexpected or mis-shaped, or the first
/// value that is not finite.
pub fn assign(
    checkpoint: &Checkpoint,
    expected: &[(String, Shape, Need)],
    dtype: Option<DType>,
    parameters: &mut Parameters,
) -> Result<Taken> {
    take(checkpoint, expected, parameters, |name| {
        let value = match dtype {
            Some(dtype) => converted(checkpoint, name, dtype)?,
            None => checkpoint.tensor(name)?,
        };
        match first_not_finite(&value)? {
            None => Ok(value),
            Some(at) => {
                let (index, shape) = (value.shape().unravel(at), value.shape());
                let what = format!("{name} is not finite at {index:?} of {shape}");
                Err(Error::format(checkpoint.path(), what))
            }
        }
    })
}

/// [`assign`] as views of the file whose values are not looked at, so that nothing is read before it
/// is used: for weights that are larger than memory.
pub fn assign_lazily(
    checkpoint: &Checkpoint,
    expected: &[(String, Shape, Need)],
    parameters: &mut Parameters,
) -> Result<Taken> {
    take(checkpoint, expected, parameters, |name| checkpoint.tensor(name))
}

fn take(
    checkpoint: &Checkpoint,
    expected: &[(String, Shape, Need)],
    parameters: &mut Parameters,
    mut value_of: impl FnMut(&str) -> Result<Tensor>,
) -> Result<Taken> {
    let mismatches = Mismatches::between(checkpoint, expected);
    if !mismatches.0.is_empty() {
        return Err(Error::format(checkpoint.path(), mismatches.to_string()));
    }
    let mut taken = Taken::default();
    for (name, shape, need) in expected {
        let Some(found) = checkpoint.shape(name).filter(|_| *need != Need::Buffer) else {
            continue;
        };
        let how = fit(name, *shape, found).expect("shapes that do not fit were refused above");
        let value = how.apply(&value_of(name)?, *shape)?;
        if how != Fit::Same {
            taken.fitted.push((name.clone(), how));
        }
        taken.tensors += 1;
        parameters.insert(name.clone(), value);
    }
    Ok(taken)
}

/// A tensor as `dtype`, converted by all threads. What was converted leaves the file's memory to the
/// system again.
pub fn converted(checkpoint: &Checkpoint, name: &str, dtype: DType) -> Result<Tensor> {
    let stored = checkpoint.tensor(name)?;
    let converted = match (stored.dtype(), dtype) {
        (from, to) if from == to => return Ok(stored),
        (DType::F32, DType::BF16) => narrowed(&stored)?,
        (DType::BF16, DType::F32) => widened(&stored)?,
        _ => stored.to_f32()?.to_dtype(dtype)?,
    };
    checkpoint.release(name);
    Ok(converted)
}

fn narrowed(stored: &Tensor) -> Result<Tensor> {
    let from = stored.to_slice::<f32>()?;
    Ok(Tensor::build(stored.shape(), |all: &mut [bf16]| {
        all.par_chunks_mut(PIECE).zip(from.par_chunks(PIECE)).for_each(|(to, from)| {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = bf16::from_f32(from));
        });
    })?)
}

fn widened(stored: &Tensor) -> Result<Tensor> {
    let from = stored.to_slice::<bf16>()?;
    Ok(Tensor::build(stored.shape(), |all: &mut [f32]| {
        all.par_chunks_mut(PIECE).zip(from.par_chunks(PIECE)).for_each(|(to, from)| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f32());
        });
    })?)
}

/// Row-major position of the first value that is infinite or no number.
fn first_not_finite(value: &Tensor) -> Result<Option<usize>> {
    fn find<T: Sync>(all: &[T], is_finite: impl Fn(&T) -> bool + Sync) -> Option<usize> {
        let pieces = all.par_chunks(PIECE).enumerate();
        // Within a piece every value is looked at, which needs no branch.
        let bad =
            pieces.find_first(|(_, piece)| !piece.iter().fold(true, |ok, v| ok & is_finite(v)));
        let (number, piece) = bad?;
        Some(number * PIECE + piece.iter().position(|v| !is_finite(v))?)
    }
    Ok(match value.dtype() {
        DType::F32 => find(&value.to_slice::<f32>()?, |v| v.is_finite()),
        DType::BF16 => find(&value.to_slice::<bf16>()?, |v| v.is_finite()),
        DType::I32 | DType::U8 => None,
    })
}
