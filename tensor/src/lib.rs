//! Tensors and the closed list of ops, each with a shape rule, a cost, fast CPU kernels and a plain
//! f64 reference.
//!
//! A [`Tensor`] is a typed, strided view of memory from a recycling [`pool`]. Everything that
//! computes is an [`Op`]: a name under `ops/`, where the rule (`mod.rs`), the kernels (`cpu.rs`) and
//! the reference (`reference.rs`) of that name stand together.

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

pub use dtype::{DType, Element};
pub use error::{Error, NotFinite, Result};
pub use mapping::Mapping;
pub use ops::Op;
pub use shape::{MAX_RANK, Shape, Strides};
pub use tensor::Tensor;
