//! The crate's error: one line that says what failed, with which values, and what would be right.

use crate::{DType, Shape};

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that cannot be served.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// Shapes that do not fit each other or the op.
    #[error("{op}: {what}")]
    Shape {
        /// The op's name.
        op: &'static str,
        /// Which shapes, which axis, what would be right.
        what: String,
    },
    /// An element type the op does not take.
    #[error("{op}: {argument} is {got}; expected {expected}")]
    DType {
        /// The op's name.
        op: &'static str,
        /// Which argument.
        argument: &'static str,
        /// Its element type.
        got: DType,
        /// The accepted types, in words.
        expected: &'static str,
    },
    /// The host pool's limit does not allow the allocation.
    #[error(
        "host memory: {requested} bytes more would pass the limit of {limit} bytes \
         ({live} in use, {cached} cached); raise the limit or shrink the work"
    )]
    OutOfMemory {
        /// Bytes asked for.
        requested: usize,
        /// Bytes in use.
        live: usize,
        /// Bytes kept for reuse.
        cached: usize,
        /// The limit in force.
        limit: usize,
    },
    /// A device that failed.
    #[error(transparent)]
    Gpu(#[from] vincie_gpu::Error),
    /// A device that two tensors of one op do not share.
    #[error("{0}")]
    Device(String),
    /// A value that stopped being finite while `--check-finite` watched.
    #[error(transparent)]
    NotFinite(Box<NotFinite>),
}

/// The first op whose result is not finite, and where.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[error(
    "{op}: {tensor} is {value} at index {index:?} of {shape}; all inputs of the op were finite: {inputs_finite}"
)]
pub struct NotFinite {
    /// The op.
    pub op: &'static str,
    /// Which of its results.
    pub tensor: String,
    /// The first offending value.
    pub value: f32,
    /// Where it stands.
    pub index: Vec<usize>,
    /// Shape of the result.
    pub shape: Shape,
    /// Whether the fault starts here rather than in an input.
    pub inputs_finite: bool,
}

impl Error {
    /// A shape error of `op`.
    pub fn shape(op: &'static str, what: impl Into<String>) -> Self {
        Self::Shape { op, what: what.into() }
    }
}
