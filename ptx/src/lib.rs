//! What runs on the device: handwritten PTX under `kernels/`, one folder an op, and the machine
//! that parses, executes and checks it where there is no GPU.
#![warn(missing_docs)]

mod decode;
mod error;
mod number;
pub mod parse;

pub use decode::{Class, Kernel};
pub use error::{Error, Result};
pub use parse::Module;
