//! Checkpoint tensors into parameters, with one table of everything that does not fit.

use super::Checkpoint;
use crate::model::Need;
use crate::{Error, Result};
use std::fmt;
use vincie_autograd::Parameters;
use vincie_tensor::{DType, Shape};

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

/// Puts every expected tensor of the checkpoint into `parameters` under its name, as f32 where
/// `dtype` says so and as stored otherwise. Rotary buffers are left out: they are recomputed. `Err` is
/// one table of all tensors that are missing, unexpected or mis-shaped, or the first value that is
/// not finite.
pub fn assign(
    checkpoint: &Checkpoint,
    expected: &[(String, Shape, Need)],
    dtype: Option<DType>,
    parameters: &mut Parameters,
) -> Result<()> {
    let mut mismatches = Vec::new();
    for (name, shape, need) in expected {
        match checkpoint.shape(name) {
            None if *need == Need::Used => {
                mismatches.push(Mismatch::Missing { name: name.clone(), expected: *shape })
            }
            Some(found) if *found != **shape => {
                mismatches.push(Mismatch::Shape {
                    name: name.clone(),
                    expected: *shape,
                    found: found.to_vec(),
                });
            }
            None | Some(_) => {}
        }
    }
    for name in checkpoint.names() {
        if !expected.iter().any(|(known, ..)| *known == name) {
            let found = checkpoint.shape(&name).unwrap_or_default().to_vec();
            mismatches.push(Mismatch::Unexpected { name, found });
        }
    }
    if !mismatches.is_empty() {
        return Err(Error::format(checkpoint.path(), Mismatches(mismatches).to_string()));
    }
    for (name, _, need) in expected {
        if *need == Need::Buffer || checkpoint.shape(name).is_none() {
            continue;
        }
        let stored = checkpoint.tensor(name)?;
        let value = match dtype {
            Some(dtype) => stored.to_f32()?.to_dtype(dtype)?,
            None => stored,
        };
        if let Some(at) = value.to_f32()?.to_slice::<f32>()?.iter().position(|v| !v.is_finite()) {
            let index = value.shape().unravel(at);
            return Err(Error::format(
                checkpoint.path(),
                format!("{name} is not finite at {index:?} of {}", value.shape()),
            ));
        }
        parameters.insert(name.clone(), value);
    }
    Ok(())
}
