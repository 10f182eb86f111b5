//! The table of op cases that parity, gradient and bench readers share.

mod cases;

pub use cases::{Case, cases};
