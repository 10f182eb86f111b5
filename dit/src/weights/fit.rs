//! Tensors that older checkpoints store under another shape.

use crate::{Error, Result};
use std::fmt;
use vincie_tensor::{DType, Element, Shape, Tensor};

/// How a stored tensor becomes one of the shape that the model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As it is.
    Same,
    /// Axes of size 1 are left out or put in: a linear layer stored as a convolution over single pixels.
    Reshaped,
    /// A two-dimensional kernel is the last temporal tap of a three-dimensional one, zeros before it;
    /// weight and bias are repeated so many times along the output axis (VINCIE 7B specification,
    /// section 2.3).
    Inflated(usize),
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("as stored"),
            Self::Reshaped => f.write_str("reshaped"),
            Self::Inflated(1) => f.write_str("2-D kernel on the last temporal tap"),
            Self::Inflated(times) => {
                write!(f, "2-D kernel on the last temporal tap, {times} times")
            }
        }
    }
}

/// How `found` becomes `expected`; `None` where it does not.
pub(super) fn fit(name: &str, expected: Shape, found: &[usize]) -> Option<Fit> {
    if *expected == *found {
        return Some(Fit::Same);
    }
    let times = |found_rows: usize| match name.contains(".upscale_conv.") {
        true => (found_rows > 0 && expected[0].is_multiple_of(found_rows))
            .then(|| expected[0] / found_rows),
        false => (expected[0] == found_rows).then_some(1),
    };
    match (&*expected, found) {
        (&[_, inputs, _, height, width], &[rows, found_inputs, found_height, found_width])
            if [inputs, height, width] == [found_inputs, found_height, found_width] =>
        {
            times(rows).map(Fit::Inflated)
        }
        (&[_], &[rows]) if name.ends_with(".upscale_conv.bias") => times(rows).map(Fit::Inflated),
        (&[rows, inputs], &[found_rows, found_inputs, ..])
            if [rows, inputs] == [found_rows, found_inputs]
                && found[2..].iter().all(|&dim| dim == 1) =>
        {
            Some(Fit::Reshaped)
        }
        _ => None,
    }
}

/// A stored tensor under the shape that the model has for that name. `Err` where it does not fit.
pub fn fitted(name: &str, expected: Shape, stored: &Tensor) -> Result<Tensor> {
    let how = fit(name, expected, stored.dims()).ok_or_else(|| {
        Error::invalid(format!("weights: {name} is {}; expected {expected}", stored.shape()))
    })?;
    how.apply(stored, expected)
}

impl Fit {
    /// The stored tensor under the model's shape.
    pub(super) fn apply(self, stored: &Tensor, expected: Shape) -> Result<Tensor> {
        match self {
            Self::Same => Ok(stored.clone()),
            Self::Reshaped => Ok(stored.reshape(expected)?),
            Self::Inflated(_) => match stored.dtype() {
                DType::F32 => inflated::<f32>(stored, expected),
                DType::BF16 => inflated::<half::bf16>(stored, expected),
                DType::I32 => inflated::<i32>(stored, expected),
                DType::U8 => inflated::<u8>(stored, expected),
            },
        }
    }
}

/// A kernel `[o, i, h, w]` under `[z o, i, t, h, w]`, or a bias `[o]` under `[z o]`.
fn inflated<T: Element>(stored: &Tensor, expected: Shape) -> Result<Tensor> {
    let from = stored.to_slice::<T>()?;
    let (taps, area) = match *expected {
        [_, _, taps, height, width] => (taps, height * width),
        _ => (1, 1),
    };
    Ok(Tensor::build(expected, |all: &mut [T]| {
        if from.is_empty() {
            return;
        }
        let kernels = from.chunks_exact(area).cycle();
        for (to, kernel) in all.chunks_exact_mut(taps * area).zip(kernels) {
            to.fill(T::zeroed());
            to[(taps - 1) * area..].copy_from_slice(kernel);
        }
    })?)
}
