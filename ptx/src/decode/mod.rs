//! From syntax to something fast to run: each kernel becomes a list of instructions over rows.
//! One file a family of instructions; what is not known there is an error that names it.

mod asynchronous;
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

pub(crate) use constant::{Special, Value};
pub(crate) use kernel::Frame;
pub use kernel::Kernel;
pub(crate) use layout::SHARED_START;
pub use op::Class;
pub(crate) use op::*;
