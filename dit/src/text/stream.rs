//! Weights of an encoder, fetched when they are needed and let go behind.

use crate::weights::Checkpoint;
use crate::{Error, Result};
use std::cell::RefCell;
use vincie_autograd::Var;
use vincie_tensor::ops::{Gather, Op};
use vincie_tensor::{Accelerator, DType, Tensor};

/// Where an encoder computes, and in which type.
#[derive(Clone, Debug, Default)]
pub struct Computation {
    /// The device; the host where there is none.
    pub place: Option<Accelerator>,
    /// Type of activations; that of the stored weights where there is none. With bf16, weights are
    /// taken in bf16 too.
    pub dtype: Option<DType>,
}

/// A checkpoint whose tensors are looked at one after another. What has been fetched since the last
/// [`Weights::release`] is all that is held.
#[derive(Debug)]
pub(super) struct Weights {
    checkpoint: Checkpoint,
    place: Option<Accelerator>,
    dtype: DType,
    fetched: RefCell<Vec<String>>,
}

impl Weights {
    /// `probe` names the tensor whose stored type is that of the activations where none is asked for.
    pub(super) fn new(checkpoint: Checkpoint, computation: Computation, probe: &str) -> Self {
        let is_half = matches!(checkpoint.dtype(probe).as_deref(), Some("BF16" | "F16"));
        let stored = if is_half { DType::BF16 } else { DType::F32 };
        let Computation { place, dtype } = computation;
        let fetched = RefCell::default();
        Self { checkpoint, place, dtype: dtype.unwrap_or(stored), fetched }
    }

    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Type of activations.
    pub(super) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(super) fn place(&self) -> Option<&Accelerator> {
        self.place.as_ref()
    }

    /// `Err` unless all of these are there and have these shapes. Others do no harm: released files
    /// hold parts that an encoder has no use for.
    pub(super) fn check(&self, expected: &[(String, Vec<usize>)]) -> Result<()> {
        let is_wrong = |(name, shape): &&(String, Vec<usize>)| {
            self.checkpoint.shape(name) != Some(shape.as_slice())
        };
        let wrong: Vec<_> = expected.iter().filter(is_wrong).collect();
        let Some((name, shape)) = wrong.first() else { return Ok(()) };
        let found = match self.checkpoint.shape(name) {
            Some(found) => format!("{name} is {found:?}"),
            None => format!("{name} is missing"),
        };
        let more = match wrong.len() {
            1 => String::new(),
            all => format!("; {} other tensors are missing or of another shape", all - 1),
        };
        Err(Error::format(self.checkpoint.path(), format!("{found}; expected {shape:?}{more}")))
    }

    /// A tensor where the encoder computes. Matrices stay in bf16 where they are stored so.
    pub(super) fn matrix(&self, name: &str) -> Result<Var> {
        let stored = self.fetch(name)?;
        let dtype = if self.dtype == DType::BF16 { DType::BF16 } else { stored.dtype() };
        Ok(stored.to_place(self.place.as_ref())?.to_dtype(dtype)?.into())
    }

    /// A vector of biases or of a norm, in the type of activations.
    pub(super) fn vector(&self, name: &str) -> Result<Var> {
        let stored = self.fetch(name)?;
        Ok(stored.to_place(self.place.as_ref())?.to_dtype(self.dtype)?.into())
    }

    /// Rows of a table, which stays where it is.
    pub(super) fn rows(&self, name: &str, rows: &[u32]) -> Result<Var> {
        let table = self.fetch(name)?;
        let count = table.shape().first().copied().unwrap_or(0);
        if let Some(row) = rows.iter().find(|&&row| row as usize >= count) {
            let what = format!("{name} has {count} rows; token {row} has none");
            return Err(Error::format(self.checkpoint.path(), what));
        }
        let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let rows = Tensor::from_slice(&rows, [rows.len()])?;
        let taken = Op::from(Gather).forward(&[&table, &rows])?.swap_remove(0);
        Ok(taken.to_dtype(self.dtype)?.to_place(self.place.as_ref())?.into())
    }

    fn fetch(&self, name: &str) -> Result<Tensor> {
        self.fetched.borrow_mut().push(name.to_owned());
        self.checkpoint.tensor(name)
    }

    /// Asks the system to read the tensors whose names begin with `prefix` while others are computed
    /// with.
    pub(super) fn prefetch(&self, prefix: &str) {
        for name in self.checkpoint.names().iter().filter(|name| name.starts_with(prefix)) {
            self.checkpoint.prefetch(name);
        }
    }

    /// Lets the system take back the memory of everything fetched so far.
    pub(super) fn release(&self) {
        for name in self.fetched.borrow_mut().drain(..) {
            self.checkpoint.release(&name);
        }
    }
}
