//! The tape: ops run at once, and what their gradients need is kept until [`Graph::backward`].
//!
//! Invariant: nodes stand in the order they were computed, so walking them backwards meets every use
//! of a value before the op that made it, always in the same order: gradients are sums in a fixed
//! order and have the same bits every time, recomputed or not.
//!
//! Gradients of parameters, and whatever is a sum over rows or uses, are f32; a rule that computes
//! rounds its result's gradient to the result's type first.

use crate::parameters::{ParameterId, Parameters};
use crate::rules::{self, Saved};
use crate::sums::GradientSums;
use std::cell::RefCell;
use vincie_tensor::ops::{Binary, Op};
use vincie_tensor::{DType, Error, Result, Tensor};

/// A tensor and where on the tape it was made. Without a place it is a constant.
#[derive(Clone, Debug)]
pub struct Var {
    value: Tensor,
    origin: Option<Origin>,
}

impl Var {
    /// A value that gets no gradient.
    pub fn constant(value: Tensor) -> Self {
        Self { value, origin: None }
    }

    /// The value.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The same value without its history: no gradient flows through it.
    pub fn detached(&self) -> Self {
        Self::constant(self.value.clone())
    }
}

impl From<Tensor> for Var {
    fn from(value: Tensor) -> Self {
        Self::constant(value)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Node { node: u32, output: u32 },
    Parameter(ParameterId),
}

type Function<'a> = Box<dyn Fn(&Graph<'a>, &[Var]) -> Result<Vec<Var>> + 'a>;

enum Work<'a> {
    /// A leaf whose gradient is asked for.
    Input,
    Op {
        op: Op,
        saved: Saved,
    },
    /// A stretch of the tape that keeps its inputs only and is computed again for its gradient.
    Checkpoint {
        function: Function<'a>,
        inputs: Vec<Tensor>,
    },
}

struct Node<'a> {
    work: Work<'a>,
    inputs: Vec<Option<Origin>>,
    outputs: usize,
}

/// One forward computation over a set of parameters.
pub struct Graph<'a> {
    parameters: &'a Parameters,
    is_recording: bool,
    nodes: RefCell<Vec<Node<'a>>>,
}

impl<'a> Graph<'a> {
    /// A graph that keeps what gradients need.
    pub fn recording(parameters: &'a Parameters) -> Self {
        Self { parameters, is_recording: true, nodes: RefCell::default() }
    }

    /// A graph that keeps nothing: results are all constants.
    pub fn inference(parameters: &'a Parameters) -> Self {
        Self { parameters, is_recording: false, nodes: RefCell::default() }
    }

    /// The parameters the graph computes with.
    pub fn parameters(&self) -> &'a Parameters {
        self.parameters
    }

    /// Whether gradients can be asked for.
    pub fn is_recording(&self) -> bool {
        self.is_recording
    }

    /// A parameter as a value of the graph.
    pub fn parameter(&self, id: ParameterId) -> Var {
        let origin = self.is_recording.then_some(Origin::Parameter(id));
        Var { value: self.parameters.value(id).clone(), origin }
    }

    /// An input whose gradient [`Gradients::of`] will give.
    pub fn input(&self, value: Tensor) -> Var {
        if !self.is_recording {
            return Var::constant(value);
        }
        let node = self.push(Work::Input, Vec::new(), 1);
        Var { value, origin: Some(Origin::Node { node, output: 0 }) }
    }

    fn push(&self, work: Work<'a>, inputs: Vec<Option<Origin>>, outputs: usize) -> u32 {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { work, inputs, outputs });
        (nodes.len() - 1) as u32
    }

    /// Computes an op and records it where an input has a gradient.
    pub fn apply(&self, op: impl Into<Op>, inputs: &[&Var]) -> Result<Vec<Var>> {
        let op = op.into();
        let tensors: Vec<&Tensor> = inputs.iter().map(|input| &input.value).collect();
        let results = op.forward(&tensors)?;
        let origins: Vec<Option<Origin>> = inputs.iter().map(|input| input.origin).collect();
        if !self.is_recording || origins.iter().all(Option::is_none) {
            return Ok(results.into_iter().map(Var::constant).collect());
        }
        let differentiable = rules::differentiable_results(&op);
        let saved = Saved::new(&op, &tensors, &results);
        let node = self.push(Work::Op { op, saved }, origins, results.len());
        let var = |(output, value): (usize, Tensor)| {
            let origin = Origin::Node { node, output: output as u32 };
            Var { value, origin: (output < differentiable).then_some(origin) }
        };
        Ok(results.into_iter().enumerate().map(var).collect())
    }

    /// Computes an op with one result.
    pub fn apply_one(&self, op: impl Into<Op>, inputs: &[&Var]) -> Result<Var> {
        Ok(self.apply(op, inputs)?.swap_remove(0))
    }

    /// Runs `function` on `inputs` without keeping anything inside it; [`Graph::backward`] runs it
    /// again for its gradient, which has the same bits as without the checkpoint. `function` must be
    /// a function of its inputs and the parameters alone.
    pub fn checkpoint(
        &self,
        inputs: &[&Var],
        function: impl Fn(&Graph<'a>, &[Var]) -> Result<Vec<Var>> + 'a,
    ) -> Result<Vec<Var>> {
        let constants: Vec<Var> = inputs.iter().map(|input| input.detached()).collect();
        let results = function(&Graph::inference(self.parameters), &constants)?;
        if !self.is_recording {
            return Ok(results);
        }
        let origins = inputs.iter().map(|input| input.origin).collect();
        let inputs = constants.into_iter().map(|input| input.value).collect();
        let work = Work::Checkpoint { function: Box::new(function), inputs };
        let node = self.push(work, origins, results.len());
        let var = |(output, result): (usize, Var)| {
            let origin = Origin::Node { node, output: output as u32 };
            Var { value: result.value, origin: Some(origin) }
        };
        Ok(results.into_iter().enumerate().map(var).collect())
    }

    /// Gradients of the one-element `loss` for all parameters and inputs. The tape is used up.
    pub fn backward(self, loss: &Var) -> Result<Gradients> {
        if loss.value.count() != 1 {
            let what = format!("the loss is {}; expected one element", loss.value.shape());
            return Err(Error::shape("backward", what));
        }
        let seed = Tensor::full(loss.value.shape(), 1f32)?;
        self.backward_from(&[(loss, seed)])
    }

    /// Gradients of `sum_i <seed_i, result_i>` for all parameters and inputs.
    pub fn backward_from(self, seeds: &[(&Var, Tensor)]) -> Result<Gradients> {
        let mut sums = GradientSums::new(self.parameters);
        let inputs = self.walk(&mut sums, seeds)?;
        Ok(Gradients { parameters: sums.into_values(), inputs })
    }

    /// Adds the gradients of `sum_i <seed_i, result_i>` for all parameters to sums.
    pub fn backward_into(self, sums: &mut GradientSums, seeds: &[(&Var, Tensor)]) -> Result<()> {
        self.walk(sums, seeds).map(drop)
    }

    fn walk(self, sums: &mut GradientSums, seeds: &[(&Var, Tensor)]) -> Result<Vec<(u32, Tensor)>> {
        let mut walk = Walk::new(self.nodes.into_inner(), self.parameters, sums);
        for (result, seed) in seeds {
            if let Some(origin) = result.origin {
                walk.add(origin, seed.clone())?;
            }
        }
        walk.run()
    }
}

/// Gradients of one backward pass.
#[derive(Debug)]
pub struct Gradients {
    parameters: Vec<Option<Tensor>>,
    inputs: Vec<(u32, Tensor)>,
}

impl Gradients {
    /// Gradient of a parameter, f32 whatever the parameter is; `None` where the loss does not depend
    /// on it.
    pub fn parameter(&self, id: ParameterId) -> Option<&Tensor> {
        self.parameters[id.index()].as_ref()
    }

    /// Gradient of a value made by [`Graph::input`]; `None` where the loss does not depend on it.
    pub fn of(&self, input: &Var) -> Option<&Tensor> {
        let Some(Origin::Node { node, .. }) = input.origin else { return None };
        self.inputs.iter().find(|(at, _)| *at == node).map(|(_, gradient)| gradient)
    }

    /// Gradients of all parameters in their order.
    pub fn parameters(&self) -> &[Option<Tensor>] {
        &self.parameters
    }

    /// Gradients of all parameters in their order, by value.
    pub fn into_parameters(self) -> Vec<Option<Tensor>> {
        self.parameters
    }
}

/// A backward pass over one tape. Parameter gradients are shared with the tapes of checkpoints.
struct Walk<'a, 'g> {
    nodes: Vec<Node<'a>>,
    parameters: &'a Parameters,
    outputs: Vec<Vec<Option<Tensor>>>,
    sums: &'g mut GradientSums,
}

impl<'a, 'g> Walk<'a, 'g> {
    fn new(nodes: Vec<Node<'a>>, parameters: &'a Parameters, sums: &'g mut GradientSums) -> Self {
        let outputs = nodes.iter().map(|node| vec![None; node.outputs]).collect();
        Self { nodes, parameters, outputs, sums }
    }

    fn add(&mut self, origin: Origin, gradient: Tensor) -> Result<()> {
        match origin {
            Origin::Parameter(id) => self.sums.add(id, gradient),
            Origin::Node { node, output } => {
                add_to(&mut self.outputs[node as usize][output as usize], gradient)
            }
        }
    }

    /// Walks the tape backwards; returns the gradients of its inputs by node.
    fn run(mut self) -> Result<Vec<(u32, Tensor)>> {
        let mut inputs = Vec::new();
        while let Some(node) = self.nodes.pop() {
            let gradients = self.outputs.pop().expect("as many outputs as nodes");
            if gradients.iter().all(Option::is_none) {
                continue;
            }
            match node.work {
                Work::Input => {
                    let gradient = gradients.into_iter().flatten().next().expect("checked above");
                    inputs.push((self.nodes.len() as u32, gradient));
                }
                Work::Op { op, saved } => {
                    let needed: Vec<bool> = node.inputs.iter().map(Option::is_some).collect();
                    let results = rules::backward(&op, &saved, gradients, &needed)?;
                    drop(saved);
                    for (origin, gradient) in node.inputs.iter().zip(results) {
                        if let (Some(origin), Some(gradient)) = (origin, gradient) {
                            self.add(*origin, gradient)?;
                        }
                    }
                }
                Work::Checkpoint { function, inputs } => {
                    self.replay(&function, inputs, &node.inputs, gradients)?;
                }
            }
        }
        inputs.reverse();
        Ok(inputs)
    }

    /// Computes a checkpoint again and walks it. The accumulators of its inputs move in and out, so
    /// every sum has the order it would have without the checkpoint.
    fn replay(
        &mut self,
        function: &Function<'a>,
        inputs: Vec<Tensor>,
        origins: &[Option<Origin>],
        gradients: Vec<Option<Tensor>>,
    ) -> Result<()> {
        let graph = Graph::recording(self.parameters);
        let leaves: Vec<Var> = inputs
            .into_iter()
            .zip(origins)
            .map(|(value, origin)| if origin.is_some() { graph.input(value) } else { value.into() })
            .collect();
        let results = function(&graph, &leaves)?;
        let mut walk = Walk::new(graph.nodes.into_inner(), self.parameters, self.sums);
        for (leaf, origin) in leaves.iter().zip(origins) {
            // One accumulator per distinct origin: an input passed twice starts empty the second time.
            let (outer, inner) = (*origin, leaf.origin);
            if let (Some(Origin::Node { node, output }), Some(Origin::Node { node: leaf, .. })) =
                (outer, inner)
            {
                walk.outputs[leaf as usize][0] =
                    self.outputs[node as usize][output as usize].take();
            }
        }
        for (result, gradient) in results.iter().zip(gradients) {
            if let (Some(origin), Some(gradient)) = (result.origin, gradient) {
                walk.add(origin, gradient)?;
            }
        }
        drop(results);
        for (node, gradient) in walk.run()? {
            let is_leaf =
                |leaf: &Var| matches!(leaf.origin, Some(Origin::Node { node: n, .. }) if n == node);
            let at =
                leaves.iter().position(is_leaf).expect("inputs of the inner tape are its leaves");
            if let Some(origin) = origins[at] {
                self.add(origin, gradient)?;
            }
        }
        Ok(())
    }
}

/// Adds into `slot`, in place where no one else sees the sum.
pub(crate) fn add_to(slot: &mut Option<Tensor>, gradient: Tensor) -> Result<()> {
    let Some(sum) = slot else {
        *slot = Some(gradient);
        return Ok(());
    };
    if sum.dtype() == DType::F32
        && gradient.dtype() == DType::F32
        && sum.shape() == gradient.shape()
    {
        let gradient = gradient.contiguous()?;
        if let (Some(to), Some(from)) = (sum.as_mut_slice::<f32>(), gradient.as_slice::<f32>()) {
            vincie_tensor::ops::add_assign(to, from);
            return Ok(());
        }
    }
    *sum = Op::from(Binary::Add).forward(&[sum, &gradient])?.swap_remove(0);
    Ok(())
}
