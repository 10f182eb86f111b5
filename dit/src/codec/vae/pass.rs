//! One pass through an encoder or decoder: who watches it, and what a clip's slices hand on.

use crate::Result;
use crate::model::Probe;
use std::cell::RefCell;
use std::collections::HashMap;
use vincie_autograd::{Graph, ParameterId, Var};

/// What the layers of one pass share.
#[derive(Default)]
pub(super) struct Pass<'p> {
    /// Sees named values in the middle.
    probe: Option<&'p Probe<'p>>,
    /// The last frames that each causal convolution saw, where the clip comes in slices.
    memory: Option<&'p RefCell<Memory>>,
}

/// Last frames of the slices before, by the convolution's weight.
#[derive(Default)]
pub(super) struct Memory {
    frames: HashMap<ParameterId, Var>,
    has_begun: bool,
}

impl Memory {
    /// Says that the clip's first slice is through.
    pub(super) fn go_on(&mut self) {
        self.has_begun = true;
    }
}

impl<'p> Pass<'p> {
    /// A pass over a whole clip.
    pub(super) fn whole(probe: Option<&'p Probe<'p>>) -> Self {
        Self { probe, memory: None }
    }

    /// A pass over the next slice of a clip.
    pub(super) fn slice(memory: &'p RefCell<Memory>) -> Self {
        Self { probe: None, memory: Some(memory) }
    }

    /// Shows a value to the probe.
    pub(super) fn see(&self, name: &str, value: &Var) {
        if let Some(probe) = self.probe {
            (probe.borrow_mut())(name, value.value());
        }
    }

    /// Whether anyone looks.
    pub(super) fn is_watched(&self) -> bool {
        self.probe.is_some()
    }

    /// Whether these frames are the first of their clip.
    pub(super) fn is_first(&self) -> bool {
        self.memory.is_none_or(|memory| !memory.borrow().has_begun)
    }

    /// The frames that a convolution of `taps` temporal taps and that stride computes on, and how
    /// many copies of the first go before them. With slices these are the frames that the slice before
    /// left over and the new ones; what this slice leaves over is kept.
    pub(super) fn continued(
        &self,
        g: &Graph<'_>,
        layer: ParameterId,
        x: &Var,
        taps: usize,
        stride: usize,
    ) -> Result<(Var, usize)> {
        let Some(memory) = self.memory.filter(|_| taps > 1) else {
            return Ok((x.clone(), taps - 1));
        };
        let mut memory = memory.borrow_mut();
        let before = match memory.frames.remove(&layer) {
            Some(before) => before,
            None => {
                let first = g.narrow(x, 1, 0, 1)?;
                let copies: Vec<&Var> = std::iter::repeat_n(&first, taps - 1).collect();
                g.concat(&copies, 1)?
            }
        };
        let joined = g.concat(&[&before, x], 1)?;
        let frames = joined.value().shape()[1];
        // A pass leaves over what the next result still needs: the taps but for one step.
        let used = (frames.saturating_sub(taps) / stride + 1) * stride;
        let left = frames.saturating_sub(used);
        let rest = g.narrow(&joined, 1, frames - left, left)?;
        // A view would keep the whole slice.
        let rest = g.concat(&[&rest], 1)?.value().contiguous()?;
        memory.frames.insert(layer, rest.into());
        Ok((joined, 0))
    }
}
