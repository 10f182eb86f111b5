//! Gradients of parameters, added up over the passes of a step.

use crate::graph::add_to;
use crate::parameters::{ParameterId, Parameters};
use vincie_tensor::{Accelerator, DType, Result, Shape, Tensor, ops};

/// The gradient of every parameter, a sum over all backward passes since the last
/// [`GradientSums::clear`], in the order in which they and their uses came.
#[derive(Debug)]
pub struct GradientSums {
    sums: Vec<Option<Tensor>>,
    /// Where sums lie on an accelerator, one f32 tensor a parameter in one allocation.
    planned: Option<(Accelerator, Vec<Tensor>)>,
}

impl GradientSums {
    /// No gradients yet. Sums lie wherever gradients do.
    pub fn new(parameters: &Parameters) -> Self {
        Self { sums: vec![None; parameters.len()], planned: None }
    }

    /// No gradients yet. Sums lie in one allocation of the accelerator, at the same place for every
    /// step.
    pub fn planned(parameters: &Parameters, place: &Accelerator) -> Result<Self> {
        let specs: Vec<(Shape, DType)> =
            parameters.iter().map(|(_, _, value)| (value.shape(), DType::F32)).collect();
        Ok(Self::over(place.arena(&specs, "gradients")?, place))
    }

    /// No gradients yet. Sums lie in these tensors of the accelerator, f32, one a parameter.
    pub fn over(tensors: Vec<Tensor>, place: &Accelerator) -> Self {
        Self { sums: vec![None; tensors.len()], planned: Some((place.clone(), tensors)) }
    }

    /// Parameters of the same names, shapes and types with sums for them, all without contents: for
    /// work on an accelerator that is measured and not done.
    pub fn shells(parameters: &Parameters, place: &Accelerator) -> Result<(Parameters, Self)> {
        let mut shells = Parameters::new();
        let mut sums = Vec::with_capacity(parameters.len());
        for (_, name, value) in parameters.iter() {
            shells.insert(name, place.zeros(value.shape(), value.dtype())?);
            sums.push(place.zeros(value.shape(), DType::F32)?);
        }
        Ok((shells, Self::over(sums, place)))
    }

    /// Forgets all sums. What is planned keeps its memory.
    pub fn clear(&mut self) {
        self.sums.fill(None);
    }

    /// Adds to the sum of a parameter.
    pub(crate) fn add(&mut self, id: ParameterId, gradient: Tensor) -> Result<()> {
        let sum = &mut self.sums[id.index()];
        let gradient = gradient.to_f32()?;
        let Some((place, planned)) = &self.planned else { return add_to(sum, gradient) };
        let to = &planned[id.index()];
        if sum.is_some() {
            return ops::add_on(place, to, &gradient);
        }
        place.write(to, &gradient)?;
        *sum = Some(to.clone());
        Ok(())
    }

    /// The sums in the order of the parameters; `None` where no loss depended on one.
    pub fn values(&self) -> &[Option<Tensor>] {
        &self.sums
    }

    /// The sums by value.
    pub fn into_values(self) -> Vec<Option<Tensor>> {
        self.sums
    }
}
