//! Tensors between a checkpoint's files and a run: by name, and exactly as they were.

use crate::weights::{Checkpoint as Weights, Mismatch, Mismatches};
use crate::{Error, Result};
use half::bf16;
use std::fmt::Write;
use vincie_autograd::Parameters;
use vincie_autograd::optimizer::AdamW;
use vincie_tensor::{DType, Element, Shape, Tensor};

/// Prefixes of the optimizer's tensors before the parameter's name.
const FIRST: &str = "first.";
const SECOND: &str = "second.";
const MASTER: &str = "master.";

/// What a file must hold: names, shapes and types.
pub(super) type Expected = Vec<(String, Shape, DType)>;

/// The parameters.
pub(super) fn of_parameters(parameters: &Parameters) -> Expected {
    parameters.iter().map(|(_, name, t)| (name.to_owned(), t.shape(), t.dtype())).collect()
}

/// Their averages.
pub(super) fn of_averages(parameters: &Parameters) -> Expected {
    parameters.iter().map(|(_, name, t)| (name.to_owned(), t.shape(), DType::F32)).collect()
}

/// The optimizer's tensors under their names in the file.
pub(super) fn optimizer_tensors<'t>(
    parameters: &Parameters,
    optimizer: &'t AdamW,
) -> Vec<(String, &'t Tensor)> {
    let (first, second, masters) = optimizer.state();
    let names = || parameters.iter().map(|(_, name, _)| name);
    let named = |prefix: &'static str, tensors: &'t [Tensor]| {
        names().zip(tensors).map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
    };
    let masters = names()
        .zip(masters)
        .filter_map(|(name, master)| Some((format!("{MASTER}{name}"), master.as_ref()?)));
    named(FIRST, first).chain(named(SECOND, second)).chain(masters).collect()
}

/// The optimizer's tensors.
pub(super) fn of_optimizer(parameters: &Parameters, optimizer: &AdamW) -> Expected {
    let tensors = optimizer_tensors(parameters, optimizer);
    tensors.into_iter().map(|(name, t)| (name, t.shape(), t.dtype())).collect()
}

/// First moments, second moments and masters from tensors in the order of [`of_optimizer`].
pub(super) fn split_optimizer(
    tensors: Vec<Tensor>,
    optimizer: &AdamW,
) -> (Vec<Tensor>, Vec<Tensor>, Vec<Option<Tensor>>) {
    let (first, _, masters) = optimizer.state();
    let mut tensors = tensors.into_iter();
    let new_first = tensors.by_ref().take(first.len()).collect();
    let new_second = tensors.by_ref().take(first.len()).collect();
    let master = |old: &Option<Tensor>| {
        old.as_ref().map(|_| tensors.next().expect("as many tensors were read as were expected"))
    };
    (new_first, new_second, masters.iter().map(master).collect())
}

/// `Err` with one table of all tensors that are missing, unexpected, or of another shape or type.
/// With
/// `any_float`, f32 and bf16 stand for each other.
pub(super) fn check(file: &Weights, expected: &Expected, any_float: bool) -> Result<()> {
    let mut mismatches = Vec::new();
    let mut types = Vec::new();
    for (name, shape, dtype) in expected {
        let found = match file.shape(name) {
            None => {
                mismatches.push(Mismatch::Missing { name: name.clone(), expected: *shape });
                continue;
            }
            Some(found) => found,
        };
        if *found != **shape {
            let found = found.to_vec();
            mismatches.push(Mismatch::Shape { name: name.clone(), expected: *shape, found });
        }
        let (found, wanted) = (file.dtype(name).unwrap_or_default(), spelling(*dtype));
        let are_floats =
            ["F32", "BF16"].contains(&found.as_str()) && ["F32", "BF16"].contains(&wanted);
        if found != wanted && !(any_float && are_floats) {
            types.push((name, wanted, found));
        }
    }
    let known: std::collections::HashSet<&str> =
        expected.iter().map(|(name, ..)| name.as_str()).collect();
    for name in file.names().into_iter().filter(|name| !known.contains(name.as_str())) {
        let found = file.shape(&name).unwrap_or_default().to_vec();
        mismatches.push(Mismatch::Unexpected { name, found });
    }
    if mismatches.is_empty() && types.is_empty() {
        return Ok(());
    }
    let mut table = String::new();
    if !types.is_empty() {
        table = format!("{} tensors of another type, ", types.len());
    }
    table += &Mismatches(mismatches).to_string();
    for (name, wanted, found) in types {
        let _ = write!(table, "\n  type        {name}  expected {wanted}, found {found}");
    }
    Err(Error::format(file.path(), table))
}

/// The expected tensors in their order, as copies in memory of their own: what is trained is
/// written to, and must not change with the file.
pub(super) fn read(file: &Weights, expected: &Expected) -> Result<Vec<Tensor>> {
    expected.iter().map(|(name, ..)| copy(&file.tensor(name)?)).collect()
}

/// A copy in memory of its own.
pub(super) fn copy(tensor: &Tensor) -> Result<Tensor> {
    fn typed<T: Element>(tensor: &Tensor) -> Result<Tensor> {
        Ok(Tensor::from_slice(&tensor.to_slice::<T>()?, tensor.shape())?)
    }
    match tensor.dtype() {
        DType::F32 => typed::<f32>(tensor),
        DType::BF16 => typed::<bf16>(tensor),
        DType::I32 => typed::<i32>(tensor),
        DType::U8 => typed::<u8>(tensor),
    }
}

/// As safetensors files spell the type.
fn spelling(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::BF16 => "BF16",
        DType::I32 => "I32",
        DType::U8 => "U8",
    }
}
