//! The closed list of ops. `match` without `_` is the registry: a new variant does not compile until
//! it has a shape rule, a cost, a CPU kernel, a reference and (in the autograd crate) a gradient.

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
pub(crate) mod reduce;
mod reshape;
mod rms_norm;
mod softmax;
mod swiglu;
mod unary;
mod update;

pub mod watch;

use crate::accelerator::Accelerator;
use crate::reference::Array;
use crate::{DType, Error, Result, Shape, Tensor};
use std::borrow::Cow;

pub(crate) use attention::tables::{Key, Tables};
pub(crate) use convolution::tables as lattices;

pub use attention::{Attention, AttentionMask, QueryBlock};
pub use binary::Binary;
pub use cast::Cast;
pub use concat::Concat;
pub use convolution::Convolution;
pub use depth_to_space::DepthToSpace;
pub use expand::Expand;
pub use gate_residual::GateResidual;
pub use gather::Gather;
pub use group_norm::{GroupNorm, GroupNormGradients};
pub use layer_norm::LayerNorm;
pub use linear_gate_residual::LinearGateResidual;
pub use linear_swiglu::LinearSwiglu;
pub use matmul::Matmul;
pub use mse::Mse;
pub use narrow::Narrow;
pub use permute::Permute;
pub use qk_norm_rotary::QkNormRotary;
pub use reduce::{Reduce, Reduction};
pub use reshape::Reshape;
pub use rms_norm::RmsNorm;
pub use softmax::Softmax;
pub use swiglu::Swiglu;
pub use unary::Unary;
pub use update::{
    AdamW, AdamWState, adamw_on, add_assign, add_on, clip_on, ema, ema_on, sum_of_squares,
};

/// Work that one call does: what a profile divides time by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating point operations; a fused multiply-add counts two.
    pub flops: u64,
    /// Bytes read and written, each element once.
    pub bytes: u64,
}

/// What a result looks like before it is computed.
pub type Spec = (Shape, DType);

/// The parts every op has.
pub(crate) trait Operation {
    /// The name that finds everything.
    const NAME: &'static str;

    /// The shape rule: the results' shapes and types, or one line on what does not fit.
    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>>;

    /// Arithmetic of one call; bytes are counted by the caller from inputs and results.
    fn flops(&self, inputs: &[&Tensor]) -> u64;

    /// The fast kernels of the host. Inputs have passed `infer`.
    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>>;

    /// The PTX kernels. Inputs have passed `infer` and lie on the accelerator.
    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>>;

    /// Plain f64 loops. Inputs have passed `infer`.
    fn reference(&self, inputs: &[Array]) -> Vec<Array>;
}

macro_rules! ops {
    ($($(#[$doc:meta])* $variant:ident),* $(,)?) => {
        /// One op with its parameters.
        #[derive(Clone, Debug)]
        pub enum Op {
            $($(#[$doc])* $variant($variant),)*
        }

        $(impl From<$variant> for Op {
            fn from(op: $variant) -> Self {
                Self::$variant(op)
            }
        })*

        impl Op {
            /// Names of all ops, in the order of the list.
            pub const NAMES: &'static [&'static str] = &[$(<$variant as Operation>::NAME,)*];

            /// The name that finds the op's folder, rule and cases.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$variant as Operation>::NAME,)* }
            }

            /// Shapes and types of the results, or one line on what does not fit.
            pub fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
                match self { $(Self::$variant(op) => op.infer(inputs),)* }
            }

            fn flops(&self, inputs: &[&Tensor]) -> u64 {
                match self { $(Self::$variant(op) => op.flops(inputs),)* }
            }

            fn compute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
                match self { $(Self::$variant(op) => op.forward(inputs),)* }
            }

            fn compute_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
                match self { $(Self::$variant(op) => op.forward_on(place, inputs),)* }
            }

            fn compute_reference(&self, inputs: &[Array]) -> Vec<Array> {
                match self { $(Self::$variant(op) => op.reference(inputs),)* }
            }
        }
    };
}

ops! {
    /// Softmax attention over a prefix and an own range of keys per query block.
    Attention,
    /// Elementwise arithmetic of two tensors with broadcasting.
    Binary,
    /// Change of element type.
    Cast,
    /// Tensors joined along an axis.
    Concat,
    /// Convolution in time, height and width.
    Convolution,
    /// Blocks of channels become pixels and frames.
    DepthToSpace,
    /// Repetition along axes of size 1.
    Expand,
    /// `x * gate + residual` with a gate per group of rows.
    GateResidual,
    /// Rows of a table.
    Gather,
    /// Norm of a frame's groups of channels, with an optional SiLU.
    GroupNorm,
    /// Layer norm with optional weight and bias.
    LayerNorm,
    /// A linear layer whose product leaves through a gate into the residual.
    LinearGateResidual,
    /// `silu(gate) * up` of two linear layers.
    LinearSwiglu,
    /// Matrix product with optional transposes and bias.
    Matmul,
    /// Row-weighted mean squared error.
    Mse,
    /// A range of entries of an axis.
    Narrow,
    /// Axes in another order.
    Permute,
    /// Head split, RMS norm of q and k, rotary embedding and joining of streams.
    QkNormRotary,
    /// Sum or mean over an axis.
    Reduce,
    /// Another shape over the same elements.
    Reshape,
    /// RMS norm with optional weight and modulation.
    RmsNorm,
    /// `e^(scale x)` over its sum along the innermost axis.
    Softmax,
    /// `silu(gate) * up`.
    Swiglu,
    /// Elementwise functions of one tensor.
    Unary,
}

impl Op {
    /// Computes the op where its inputs are: on the host, or on the accelerator of the first input
    /// that lies on one, where the others go first. Checks shapes before; `Err` is one line that
    /// says what does not fit.
    pub fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let Some(place) = place_of(inputs)? else {
            self.infer(inputs)?;
            return watch::observe(self, inputs, || self.compute(inputs));
        };
        let moved = inputs.iter().map(|input| input.to_place(Some(place)));
        let moved: Vec<Tensor> = moved.collect::<Result<_>>()?;
        let inputs: Vec<&Tensor> = moved.iter().collect();
        self.infer(&inputs)?;
        watch::observe(self, &inputs, || self.compute_on(place, &inputs))
    }

    /// Computes the op in plain f64.
    pub fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        self.compute_reference(inputs)
    }

    /// Arithmetic and memory traffic of one call on these inputs.
    pub fn cost(&self, inputs: &[&Tensor]) -> Result<Cost> {
        let results: usize =
            self.infer(inputs)?.iter().map(|(shape, dtype)| shape.count() * dtype.size()).sum();
        let read: usize = inputs.iter().map(|input| input.bytes()).sum();
        let moves = !matches!(
            self,
            Self::Reshape(_) | Self::Permute(_) | Self::Expand(_) | Self::Narrow(_)
        );
        let bytes = if moves { (read + results) as u64 } else { 0 };
        Ok(Cost { flops: self.flops(inputs), bytes })
    }
}

/// `Err` unless there are `count` inputs.
fn arity(op: &'static str, inputs: &[&Tensor], count: usize) -> Result<()> {
    if inputs.len() == count {
        return Ok(());
    }
    Err(Error::shape(op, format!("{} inputs; expected {count}", inputs.len())))
}

/// `Err` unless the input is f32 or bf16.
fn float(op: &'static str, argument: &'static str, input: &Tensor) -> Result<()> {
    if input.dtype().is_float() {
        return Ok(());
    }
    Err(Error::DType { op, argument, got: input.dtype(), expected: "f32 or bf16" })
}

/// `Err` unless the input has this shape.
fn shaped(op: &'static str, argument: &str, input: &Tensor, shape: impl Into<Shape>) -> Result<()> {
    let shape = shape.into();
    if input.shape() == shape {
        return Ok(());
    }
    Err(Error::shape(op, format!("{argument} is {}; expected {shape}", input.shape())))
}

/// `Err` unless the input holds i32 indices below `bound`, one for each of `count` rows.
fn indices(
    op: &'static str,
    argument: &'static str,
    input: &Tensor,
    count: usize,
    bound: usize,
) -> Result<()> {
    if input.dtype() != DType::I32 {
        return Err(Error::DType { op, argument, got: input.dtype(), expected: "i32" });
    }
    shaped(op, argument, input, [count])?;
    let range = input.index_range()?;
    let wrong = range.and_then(|(least, most)| {
        [least, most].into_iter().find(|&index| index < 0 || index as usize >= bound)
    });
    match wrong {
        Some(i) => {
            Err(Error::shape(op, format!("{argument} holds {i}; indices must be below {bound}")))
        }
        None => {
            if let Some(indices) = input.indices() {
                indices.hold_below(bound);
            }
            Ok(())
        }
    }
}

/// Index inputs as the kernels take them. They passed [`indices`], so none is negative.
fn as_indices(input: &Tensor) -> Result<Cow<'_, [u32]>> {
    Ok(match input.to_slice::<i32>()? {
        Cow::Borrowed(all) => Cow::Borrowed(bytemuck::cast_slice(all)),
        Cow::Owned(all) => Cow::Owned(all.into_iter().map(|index| index as u32).collect()),
    })
}

/// An input as contiguous f32: itself where it is so already, else converted.
fn dense(input: &Tensor) -> Result<Cow<'_, Tensor>> {
    if input.dtype() == DType::F32 && input.is_contiguous() {
        return Ok(Cow::Borrowed(input));
    }
    Ok(Cow::Owned(input.to_f32()?.contiguous()?))
}

/// Slice of a tensor made by [`dense`].
fn slice(input: &Tensor) -> &[f32] {
    input.as_slice().expect("a dense input is contiguous f32")
}

/// The elements of a tensor that was just made.
fn fresh(tensor: &mut Tensor) -> &mut [f32] {
    tensor.as_mut_slice().expect("a fresh f32 tensor has one owner")
}

/// The accelerator that an op on these inputs runs on: that of the first that lies on one. `Err`
/// where two lie on different ones.
fn place_of<'a>(inputs: &[&'a Tensor]) -> Result<Option<&'a Accelerator>> {
    let mut place = None;
    for accelerator in inputs.iter().filter_map(|input| input.accelerator()) {
        match place {
            None => place = Some(accelerator),
            Some(other) if other == accelerator => {}
            Some(other) => {
                let what =
                    format!("inputs on {other:?} and on {accelerator:?}; expected one device");
                return Err(Error::Device(what));
            }
        }
    }
    Ok(place)
}

/// An input of a kernel on an accelerator: there, of that type, and contiguous.
pub(crate) fn ready(place: &Accelerator, input: &Tensor, dtype: DType) -> Result<Tensor> {
    input.to_place(Some(place))?.to_dtype(dtype)?.contiguous()
}

/// The type results take: bf16 when every float input is bf16, else f32.
fn result_dtype(inputs: &[&Tensor]) -> DType {
    let mut floats = inputs.iter().map(|input| input.dtype()).filter(|dtype| dtype.is_float());
    if floats.by_ref().all(|dtype| dtype == DType::BF16) { DType::BF16 } else { DType::F32 }
}
