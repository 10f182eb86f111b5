//! The range of a tensor's values, and how many are not finite.

use rayon::prelude::*;
use serde::Serialize;
use vincie_dit::weights::Checkpoint;
use vincie_tensor::Tensor;

/// Values that are looked at together. The split is fixed, so the mean does not depend on the
/// number of threads.
const CHUNK: usize = 1 << 20;

/// What a tensor's values are like. Range and mean are of the finite ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Values {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) mean: Option<f64>,
    pub(super) not_finite: usize,
}

/// Sums over a part of a tensor.
#[derive(Clone, Copy)]
struct Part {
    min: f64,
    max: f64,
    sum: f64,
    finite: usize,
    not_finite: usize,
}

impl Values {
    /// Of a tensor in a file. `Err` is one line about a type that cannot be read.
    pub(super) fn of(checkpoint: &Checkpoint, name: &str) -> Result<Self, String> {
        let is_whole = checkpoint.dtype(name).is_some_and(|dtype| dtype.starts_with('I'));
        if is_whole {
            let values = checkpoint.integers(name).map_err(|error| error.to_string())?;
            return Ok(Part::of(values.iter().map(|&value| value as f64)).finish());
        }
        let tensor = checkpoint.tensor(name).map_err(|error| error.to_string())?;
        Self::of_tensor(&tensor)
    }

    fn of_tensor(tensor: &Tensor) -> Result<Self, String> {
        let line = |error: vincie_tensor::Error| error.to_string();
        let count = tensor.count();
        let flat = tensor.reshape([count]).map_err(line)?;
        let parts: Vec<Part> = (0..count.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let start = chunk * CHUNK;
                let part = flat.narrow(0, start, CHUNK.min(count - start)).map_err(line)?;
                let part = part.to_f32().map_err(line)?;
                let values = part.to_slice::<f32>().map_err(line)?;
                Ok(Part::of(values.iter().map(|&value| f64::from(value))))
            })
            .collect::<Result<_, String>>()?;
        Ok(parts.into_iter().fold(Part::EMPTY, Part::and).finish())
    }
}

impl Part {
    const EMPTY: Self =
        Self { min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, finite: 0, not_finite: 0 };

    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut part = Self::EMPTY;
        for value in values {
            if value.is_finite() {
                part.min = part.min.min(value);
                part.max = part.max.max(value);
                part.sum += value;
                part.finite += 1;
            } else {
                part.not_finite += 1;
            }
        }
        part
    }

    fn and(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum: self.sum + other.sum,
            finite: self.finite + other.finite,
            not_finite: self.not_finite + other.not_finite,
        }
    }

    fn finish(self) -> Values {
        let known = |value: f64| (self.finite > 0).then_some(value);
        Values {
            min: known(self.min),
            max: known(self.max),
            mean: known(self.sum / self.finite.max(1) as f64),
            not_finite: self.not_finite,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &[f32]) -> Values {
        let tensor = Tensor::from_slice(of, [of.len()]).expect("a vector is a tensor");
        Values::of_tensor(&tensor).expect("its values can be read")
    }

    #[test]
    fn values_that_are_not_finite_are_counted_apart() {
        let found = values(&[1.0, f32::NAN, -3.0, f32::INFINITY]);
        let expected = Values { min: Some(-3.0), max: Some(1.0), mean: Some(-1.0), not_finite: 2 };
        assert_eq!(found, expected);
        for empty in [&[][..], &[f32::NAN]] {
            let found = values(empty);
            assert_eq!((found.min, found.max, found.mean), (None, None, None));
            assert_eq!(found.not_finite, empty.len());
        }
    }

    #[test]
    fn parts_add_up() {
        let many: Vec<f32> = (0..CHUNK + 5).map(|i| i as f32).collect();
        let found = values(&many);
        let expected = (many.len() - 1) as f64 / 2.0;
        assert_eq!((found.min, found.max), (Some(0.0), Some(many.len() as f64 - 1.0)));
        assert!((found.mean.unwrap_or(0.0) - expected).abs() < 1e-6, "{found:?}");
    }
}
