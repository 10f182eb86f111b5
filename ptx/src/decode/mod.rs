//! From syntax to something fast to run: each kernel becomes a list of instructions over rows.
//! One file a family of instructions; what is not known there is an error that names it.

mod asynchronous;
mod bitwise;
mod class;
mod collective;
mod compare;
mod constant;
mod context;
mod control;
mod convert;
mod float;
mod half;
mod integer;
mod kernel;
mod layout;
mod matrix;
mod memory;
mod op;
pub(crate) mod row;

pub use class::Class;
pub(crate) use class::{CLASS_NAMES, CLASSES};
pub(crate) use constant::{Special, Value};
pub use kernel::Kernel;
pub(crate) use layout::SHARED_START;
pub(crate) use op::*;
