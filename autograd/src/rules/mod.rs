//! Gradients, one rule an op, matched without `_`.

mod attention;
mod binary;
mod cast;
mod concat;
mod convolution;
mod depth_to_space;
mod expand;
mod gate_residual;
mod gather;
mod group_norm;
mod layer_norm;
mod linear_gate_residual;
mod linear_swiglu;
mod matmul;
mod mse;
mod narrow;
mod permute;
mod qk_norm_rotary;
mod reduce;
mod reshape;
mod rms_norm;
mod softmax;
mod swiglu;
mod unary;

use vincie_tensor::ops::{Op, watch};
use vincie_tensor::{DType, Result, Shape, Tensor};

/// What a rule gets to work with: the tensors it asked for, and all shapes.
pub(crate) struct Saved {
    inputs: Vec<Option<Tensor>>,
    results: Vec<Option<Tensor>>,
    shapes: Vec<Shape>,
    dtypes: Vec<DType>,
    result_dtypes: Vec<DType>,
}

/// Which tensors a rule needs, by position.
#[derive(Clone, Copy, Default)]
struct Keep {
    inputs: u32,
    results: u32,
}

impl Keep {
    const NOTHING: Self = Self { inputs: 0, results: 0 };

    const fn inputs(mask: u32) -> Self {
        Self { inputs: mask, results: 0 }
    }

    const fn and_results(self, mask: u32) -> Self {
        Self { results: mask, ..self }
    }
}

impl Saved {
    /// Keeps what the op's rule needs.
    pub(crate) fn new(op: &Op, inputs: &[&Tensor], results: &[Tensor]) -> Self {
        let keep = keep(op);
        let kept =
            |mask: u32, i: usize, t: &Tensor| (mask >> i.min(31) & 1 == 1).then(|| t.clone());
        Self {
            inputs: inputs.iter().enumerate().map(|(i, t)| kept(keep.inputs, i, t)).collect(),
            results: results.iter().enumerate().map(|(i, t)| kept(keep.results, i, t)).collect(),
            shapes: inputs.iter().map(|t| t.shape()).collect(),
            dtypes: inputs.iter().map(|t| t.dtype()).collect(),
            result_dtypes: results.iter().map(Tensor::dtype).collect(),
        }
    }

    fn input(&self, i: usize) -> &Tensor {
        self.inputs[i].as_ref().expect("the rule keeps this input")
    }

    fn result(&self, i: usize) -> &Tensor {
        self.results[i].as_ref().expect("the rule keeps this result")
    }

    /// All inputs, for rules that keep every one.
    fn all_inputs(&self) -> Vec<&Tensor> {
        (0..self.inputs.len()).map(|i| self.input(i)).collect()
    }
}

fn keep(op: &Op) -> Keep {
    match op {
        Op::Attention(_) => attention::KEEP,
        Op::Binary(op) => binary::keep(*op),
        Op::Cast(_) | Op::Concat(_) | Op::Expand(_) | Op::Narrow(_) => Keep::NOTHING,
        Op::DepthToSpace(_) => Keep::NOTHING,
        Op::Permute(_) | Op::Reduce(_) | Op::Reshape(_) => Keep::NOTHING,
        Op::Convolution(_) => convolution::KEEP,
        Op::GateResidual(_) => gate_residual::KEEP,
        Op::Gather(_) => gather::KEEP,
        Op::GroupNorm(_) => group_norm::KEEP,
        Op::LayerNorm(_) => layer_norm::KEEP,
        Op::LinearGateResidual(_) => linear_gate_residual::KEEP,
        Op::LinearSwiglu(_) => linear_swiglu::KEEP,
        Op::Matmul(_) => matmul::KEEP,
        Op::Mse(_) => mse::KEEP,
        Op::QkNormRotary(_) => qk_norm_rotary::KEEP,
        Op::RmsNorm(_) => rms_norm::KEEP,
        Op::Softmax(_) => softmax::KEEP,
        Op::Swiglu(_) => swiglu::KEEP,
        Op::Unary(op) => unary::keep(*op),
    }
}

/// How many of the op's results, from the first, carry a gradient. The rest are saved values.
pub(crate) fn differentiable_results(op: &Op) -> usize {
    match op {
        Op::QkNormRotary(_) => 3,
        Op::Attention(_)
        | Op::Binary(_)
        | Op::Cast(_)
        | Op::Concat(_)
        | Op::Convolution(_)
        | Op::DepthToSpace(_)
        | Op::Expand(_)
        | Op::GateResidual(_)
        | Op::Gather(_)
        | Op::GroupNorm(_)
        | Op::LayerNorm(_)
        | Op::LinearGateResidual(_)
        | Op::LinearSwiglu(_)
        | Op::Matmul(_)
        | Op::Mse(_)
        | Op::Narrow(_)
        | Op::Permute(_)
        | Op::Reduce(_)
        | Op::Reshape(_)
        | Op::RmsNorm(_)
        | Op::Softmax(_)
        | Op::Swiglu(_)
        | Op::Unary(_) => 1,
    }
}

/// Whether the rule computes with the gradient in the type of the result. Rules that move, sum or
/// repeat elements leave it as it is: a sum over uses or rows stays f32 until something computes.
fn computes(op: &Op) -> bool {
    match op {
        Op::Attention(_)
        | Op::Binary(_)
        | Op::Convolution(_)
        | Op::GateResidual(_)
        | Op::GroupNorm(_)
        | Op::LayerNorm(_)
        | Op::LinearGateResidual(_)
        | Op::LinearSwiglu(_)
        | Op::Matmul(_)
        | Op::QkNormRotary(_)
        | Op::RmsNorm(_)
        | Op::Softmax(_)
        | Op::Swiglu(_)
        | Op::Unary(_) => true,
        Op::Cast(_)
        | Op::Concat(_)
        | Op::DepthToSpace(_)
        | Op::Expand(_)
        | Op::Gather(_)
        | Op::Mse(_)
        | Op::Narrow(_)
        | Op::Permute(_)
        | Op::Reduce(_)
        | Op::Reshape(_) => false,
    }
}

/// Name of the op's gradient in profiles.
fn label(op: &Op) -> &'static str {
    match op {
        Op::Attention(_) => "attention backward",
        Op::Binary(_) => "binary backward",
        Op::Cast(_) => "cast backward",
        Op::Concat(_) => "concat backward",
        Op::Convolution(_) => "convolution backward",
        Op::DepthToSpace(_) => "depth_to_space backward",
        Op::Expand(_) => "expand backward",
        Op::GateResidual(_) => "gate_residual backward",
        Op::Gather(_) => "gather backward",
        Op::GroupNorm(_) => "group_norm backward",
        Op::LayerNorm(_) => "layer_norm backward",
        Op::LinearGateResidual(_) => "linear_gate_residual backward",
        Op::LinearSwiglu(_) => "linear_swiglu backward",
        Op::Matmul(_) => "matmul backward",
        Op::Mse(_) => "mse backward",
        Op::Narrow(_) => "narrow backward",
        Op::Permute(_) => "permute backward",
        Op::QkNormRotary(_) => "qk_norm_rotary backward",
        Op::Reduce(_) => "reduce backward",
        Op::Reshape(_) => "reshape backward",
        Op::RmsNorm(_) => "rms_norm backward",
        Op::Softmax(_) => "softmax backward",
        Op::Swiglu(_) => "swiglu backward",
        Op::Unary(_) => "unary backward",
    }
}

/// Gradients of the op's inputs from those of its results; `needed` says which are asked for.
/// At least one of `gradients` is there.
pub(crate) fn backward(
    op: &Op,
    saved: &Saved,
    mut gradients: Vec<Option<Tensor>>,
    needed: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    if computes(op) {
        for (gradient, dtype) in gradients.iter_mut().zip(&saved.result_dtypes) {
            if let Some(gradient) = gradient {
                *gradient = gradient.to_dtype(*dtype)?;
            }
        }
    }
    let watched: Vec<&Tensor> = gradients.iter().flatten().collect();
    let first = || gradients[0].as_ref().expect("the only differentiable result has a gradient");
    watch::observe_gradient(label(op), &watched, || match op {
        Op::Attention(op) => attention::backward(op, saved, first()),
        Op::Binary(op) => binary::backward(*op, saved, first(), needed),
        Op::Cast(_) => cast::backward(saved, first()),
        Op::Concat(op) => concat::backward(op, saved, first()),
        Op::Convolution(op) => convolution::backward(op, saved, first(), needed),
        Op::DepthToSpace(op) => depth_to_space::backward(op, saved, first()),
        Op::Expand(_) => expand::backward(saved, first()),
        Op::GateResidual(op) => gate_residual::backward(op, saved, first()),
        Op::Gather(op) => gather::backward(op, saved, first()),
        Op::GroupNorm(op) => group_norm::backward(op, saved, first()),
        Op::LayerNorm(op) => layer_norm::backward(op, saved, first()),
        Op::LinearGateResidual(op) => linear_gate_residual::backward(op, saved, first(), needed),
        Op::LinearSwiglu(op) => linear_swiglu::backward(op, saved, first(), needed),
        Op::Matmul(op) => matmul::backward(op, saved, first(), needed),
        Op::Mse(op) => mse::backward(op, saved, first()),
        Op::Narrow(op) => narrow::backward(op, saved, first()),
        Op::Permute(op) => permute::backward(op, first()),
        Op::QkNormRotary(op) => qk_norm_rotary::backward(op, saved, &gradients),
        Op::Reduce(op) => reduce::backward(op, saved, first()),
        Op::Reshape(_) => reshape::backward(saved, first()),
        Op::RmsNorm(op) => rms_norm::backward(op, saved, first()),
        Op::Softmax(op) => softmax::backward(op, saved, first()),
        Op::Swiglu(op) => swiglu::backward(op, saved, first()),
        Op::Unary(op) => unary::backward(*op, saved, first()),
    })
}

/// A backward product in the forward op's terms.
fn run(op: impl Into<Op>, inputs: &[&Tensor]) -> Result<Tensor> {
    Ok(op.into().forward(inputs)?.swap_remove(0))
}
