//! Weights to start a run from: ours, or those of a released model.

use super::tensors;
use super::{Checkpoint, state};
use crate::weights::fresh::{Part, Release};
use crate::weights::names::official;
use crate::weights::{Checkpoint as Weights, Mismatch, Mismatches, converted};
use crate::{Error, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use vincie_autograd::Parameters;
use vincie_tensor::Tensor;

/// Tables of which a model may use fewer or more rows than were trained: those that are there are taken.
const TABLES: [&str; 1] = ["prompt_id_embedding.embedding.weight"];

/// What a network adds to the released transformer, and may start without.
const ADDED: [&str; 3] = ["words.", "pooled_text.", "copy_gate."];

/// Layers between the transformer and the outside, which start anew where the pictures' or the text's
/// features are others than the file's model was made for.
const ENDS: [&str; 7] = [
    "vid_in.proj.",
    "vid_in.img_proj.",
    "vid_out.proj.",
    "vid_out.img_proj.",
    "txt_in.",
    "prompt_id_embedding.",
    "words.",
];

/// What became of each tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Started {
    /// File, index or folder that the weights are from.
    pub file: PathBuf,
    /// Tensors taken as they are.
    pub taken: usize,
    /// Tables of which the rows that both have were taken: name, rows in the file, rows of the model.
    pub resized: Vec<(String, usize, usize)>,
    /// Parameters that the file has not, or for other features, and that start at random.
    pub new: Vec<String>,
    /// Tensors of the file that the model has no use for.
    pub unused: Vec<String>,
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} tensors taken", self.file.display(), self.taken)?;
        let resized =
            |(name, from, to): &(String, usize, usize)| format!("{name} from {from} to {to} rows");
        let resized: Vec<String> = self.resized.iter().map(resized).collect();
        for (what, names) in [("resized", &resized), ("new", &self.new), ("not used", &self.unused)]
        {
            if !names.is_empty() {
                write!(f, "; {} {what}: {}", names.len(), names.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Gives the parameters the weights of `run.init`. A checkpoint's folder, or a run's, whose latest
/// checkpoint is taken, must hold every parameter; averages are preferred. Of a file of weights, or of a
/// folder of a released model, what the model shares with it is taken: attention that is block-causal
/// here has the same tensors as the released full attention. Values become the type that each parameter
/// has. `Err` is one table of what does not fit.
pub fn initialise(from: &Path, parameters: &mut Parameters) -> Result<Started> {
    if !from.is_dir() {
        return share(official(Weights::open(from)?)?, parameters);
    }
    if from.join(state::FILE).exists() {
        return whole(&Checkpoint::load(from)?.weights()?, parameters);
    }
    if let Ok(release) = Release::of(from) {
        let path = release.find(from, Part::Dit);
        let path = path.unwrap_or_else(|| from.join(release.file(Part::Dit)));
        return share(official(Weights::open(&path)?)?, parameters);
    }
    let latest = Checkpoint::latest(from)?.ok_or_else(|| {
        Error::format(
            from,
            "holds no checkpoint; expected a run, a checkpoint, a released model or a file of weights",
        )
    })?;
    whole(&latest.weights()?, parameters)
}

/// Takes all parameters from a file of ours.
fn whole(file: &Weights, parameters: &mut Parameters) -> Result<Started> {
    let expected = tensors::of_parameters(parameters);
    tensors::check(file, &expected, true)?;
    let values = tensors::read(file, &expected)?;
    let values =
        values.into_iter().zip(&expected).map(|(value, (.., dtype))| value.to_dtype(*dtype));
    super::assign(parameters, values.collect::<Result<_, _>>()?);
    Ok(Started { file: file.path().to_owned(), taken: expected.len(), ..Started::default() })
}

/// Takes what a file shares with the parameters.
fn share(file: Weights, parameters: &mut Parameters) -> Result<Started> {
    let begins = |name: &str, list: &[&str]| list.iter().any(|start| name.starts_with(start));
    let mut started = Started { file: file.path().to_owned(), ..Started::default() };
    let mut mismatches = Vec::new();
    let mut values: Vec<(_, Tensor)> = Vec::new();
    for (id, name, value) in parameters.iter() {
        let shape = value.shape();
        let Some(found) = file.shape(name) else {
            match begins(name, &ADDED) || begins(name, &ENDS) {
                true => started.new.push(name.to_owned()),
                false => {
                    mismatches.push(Mismatch::Missing { name: name.to_owned(), expected: shape });
                }
            }
            continue;
        };
        if *found == *shape {
            values.push((id, owned(&file, name, value)?));
            started.taken += 1;
        } else if TABLES.contains(&name)
            && found.len() == 2
            && shape.rank() == 2
            && found[1] == shape[1]
        {
            values.push((id, rows(&owned(&file, name, value)?, value)?));
            started.resized.push((name.to_owned(), found[0], shape[0]));
        } else if begins(name, &ENDS) {
            started.new.push(name.to_owned());
        } else {
            let (name, found) = (name.to_owned(), found.to_vec());
            mismatches.push(Mismatch::Shape { name, expected: shape, found });
        }
    }
    for name in file.names().into_iter().filter(|name| parameters.id(name).is_none()) {
        let is_buffer = name.ends_with(".rope.freqs");
        if is_buffer || begins(&name, &ADDED) || begins(&name, &ENDS) {
            started.unused.extend((!is_buffer).then_some(name));
        } else {
            let found = file.shape(&name).unwrap_or_default().to_vec();
            mismatches.push(Mismatch::Unexpected { name, found });
        }
    }
    if !mismatches.is_empty() {
        return Err(Error::format(file.path(), Mismatches(mismatches).to_string()));
    }
    for (id, value) in values {
        *parameters.value_mut(id) = value;
    }
    Ok(started)
}

/// A tensor in the type of a parameter, in memory of its own: what is trained is written to.
fn owned(file: &Weights, name: &str, parameter: &Tensor) -> Result<Tensor> {
    tensors::copy(&converted(file, name, parameter.dtype())?)
}

/// The first rows of `from` in place of those of `to`.
fn rows(from: &Tensor, to: &Tensor) -> Result<Tensor> {
    let (mut all, some) = (to.to_f32()?.to_vec::<f32>()?, from.to_f32()?.to_vec::<f32>()?);
    let shared = all.len().min(some.len());
    all[..shared].copy_from_slice(&some[..shared]);
    Ok(Tensor::from_slice(&all, to.shape())?.to_dtype(to.dtype())?)
}
