//! The named tensors that training changes.

use std::collections::HashMap;
use vincie_tensor::{Accelerator, DType, Result, Shape, Tensor};

/// Place of a parameter in its [`Parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterId(pub(crate) u32);

impl ParameterId {
    /// Position in the order of insertion.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Named tensors in a fixed order.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    names: Vec<String>,
    values: Vec<Tensor>,
    by_name: HashMap<String, ParameterId>,
}

impl Parameters {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor under a name that is not taken yet.
    pub fn insert(&mut self, name: impl Into<String>, value: Tensor) -> ParameterId {
        let name = name.into();
        let id = ParameterId(self.names.len() as u32);
        let taken = self.by_name.insert(name.clone(), id);
        assert!(taken.is_none(), "parameter {name} is inserted twice");
        self.names.push(name);
        self.values.push(value);
        id
    }

    /// The parameter of that name.
    pub fn id(&self, name: &str) -> Option<ParameterId> {
        self.by_name.get(name).copied()
    }

    /// A parameter's name.
    pub fn name(&self, id: ParameterId) -> &str {
        &self.names[id.index()]
    }

    /// A parameter's value.
    pub fn value(&self, id: ParameterId) -> &Tensor {
        &self.values[id.index()]
    }

    /// A parameter's value, to be changed in place or replaced.
    pub fn value_mut(&mut self, id: ParameterId) -> &mut Tensor {
        &mut self.values[id.index()]
    }

    /// The same parameters on an accelerator, in one allocation, or with `None` on the host.
    pub fn to_place(&self, place: Option<&Accelerator>) -> Result<Self> {
        let values = moved(&self.values, place, "parameters")?;
        Ok(Self { names: self.names.clone(), values, by_name: self.by_name.clone() })
    }

    /// The same parameters with matrices and tables in another type: bf16 rounds to nearest even.
    /// Vectors (biases, norms, modulation) become f32: they are few, every row meets the same
    /// rounding of theirs, and they are added to and multiplied with f32 values.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let stored = |value: &Tensor| if value.shape().rank() < 2 { DType::F32 } else { dtype };
        let values = self.values.iter().map(|value| value.to_dtype(stored(value)));
        let values = values.collect::<Result<_>>()?;
        Ok(Self { names: self.names.clone(), values, by_name: self.by_name.clone() })
    }

    /// The accelerator that the parameters lie on; `None` on the host.
    pub fn accelerator(&self) -> Option<&Accelerator> {
        self.values.first().and_then(Tensor::accelerator)
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (ParameterId, &str, &Tensor)> {
        let ids = (0..).map(ParameterId);
        ids.zip(&self.names).zip(&self.values).map(|((id, name), value)| (id, name.as_str(), value))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Number of values in all tensors.
    pub fn count(&self) -> usize {
        self.values.iter().map(Tensor::count).sum()
    }
}

/// Copies of tensors on an accelerator, in one allocation, or with `None` on the host.
pub(crate) fn moved(
    tensors: &[Tensor],
    place: Option<&Accelerator>,
    tag: &str,
) -> Result<Vec<Tensor>> {
    let Some(place) = place else { return tensors.iter().map(Tensor::to_host).collect() };
    let specs: Vec<(Shape, DType)> = tensors.iter().map(|t| (t.shape(), t.dtype())).collect();
    let all = place.arena(&specs, tag)?;
    for (to, from) in all.iter().zip(tensors) {
        place.write(to, from)?;
    }
    Ok(all)
}
