//! Tape, gradient rules and optimizers.
//!
//! A [`Graph`] computes ops eagerly and, when it records, keeps what their gradients need; a [`Var`]
//! is a tensor with its place on the tape. Every op has a rule under `rules/`, matched without `_`,
//! so an op without a gradient does not compile.
#![forbid(unsafe_code)]

pub mod check;
mod functions;
mod graph;
mod parameters;
mod rules;
mod sums;

pub mod optimizer;

pub use graph::{Gradients, Graph, Var};
pub use parameters::{ParameterId, Parameters};
pub use sums::GradientSums;
pub use vincie_tensor::{Error, Result};
