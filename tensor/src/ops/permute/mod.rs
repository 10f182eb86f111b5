//! A view with the axes in another order.

use super::{Operation, Spec, arity};
use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::shape::MAX_RANK;
use crate::{Result, Shape, Tensor};

/// Parameters of the op: axis `i` of the result is axis `order[i]` of the input.
#[derive(Clone, Copy, Debug)]
pub struct Permute {
    order: [u8; MAX_RANK],
    rank: u8,
}

impl Permute {
    /// The op for an order of all axes.
    pub fn new(order: &[usize]) -> Self {
        assert!(order.len() <= MAX_RANK, "order {order:?} has more than {MAX_RANK} axes");
        let mut all = [0; MAX_RANK];
        for (to, &from) in all.iter_mut().zip(order) {
            *to = from.min(MAX_RANK) as u8;
        }
        Self { order: all, rank: order.len() as u8 }
    }

    /// The order of the axes.
    pub fn order(&self) -> Vec<usize> {
        self.order[..self.rank as usize].iter().map(|&axis| axis as usize).collect()
    }

    /// The op that undoes this one.
    pub fn inverse(&self) -> Self {
        let order = self.order();
        let mut back = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            back[from] = to;
        }
        Self::new(&back)
    }
}

impl Operation for Permute {
    const NAME: &'static str = "permute";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, 1)?;
        let view = inputs[0].permute(&self.order())?;
        Ok(vec![(view.shape(), view.dtype())])
    }

    fn flops(&self, _: &[&Tensor]) -> u64 {
        0
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].permute(&self.order())?])
    }

    fn forward_on(&self, _: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        // Views are made without a look at the elements, and copies where the tensor lies.
        self.forward(inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let (input, order) = (&inputs[0], self.order());
        let dims: Vec<usize> = order.iter().map(|&axis| input.shape[axis]).collect();
        let mut result = Array::zeros(Shape::new(&dims));
        for (position, &value) in input.data.iter().enumerate() {
            let at = input.shape.unravel(position);
            let to = order.iter().zip(&dims).fold(0, |index, (&axis, &dim)| index * dim + at[axis]);
            result.data[to] = value;
        }
        vec![result]
    }
}
