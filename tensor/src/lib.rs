//! Tensors and the closed list of ops, each with a shape rule, a cost, fast CPU kernels and a plain
//! f64 reference.
//!
//! A [`Tensor`] is a typed, strided view of memory from a recycling [`pool`]. Everything that
//! computes is an [`Op`]: a name under `ops/`, where the rule and the reference (`mod.rs`), the CPU's
//! kernels (`cpu.rs`) and the launches of PTX kernels (`gpu.rs`) of that name stand together. An op
//! runs where its inputs are: on the host, or on an [`Accelerator`].

mod accelerator;
pub mod cases;
mod dtype;
mod error;
pub mod kernels;
mod mapping;
pub mod ops;
pub mod pool;
pub mod random;
pub mod reference;
mod shape;
mod storage;
mod tensor;

pub use accelerator::{Accelerator, Inputs, Replay, Transfers, Workspace};
pub use dtype::{DType, Element};
pub use error::{Error, NotFinite, Result};
pub use mapping::Mapping;
pub use ops::Op;
pub use shape::{MAX_RANK, Shape, Strides};
pub use tensor::Tensor;
