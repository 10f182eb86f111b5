//! What runs on the device: handwritten PTX under `kernels/`, one folder an op, and the machine
//! that parses, executes and checks it where there is no GPU.
#![warn(missing_docs)]

pub mod assembler;
pub mod catalogue;
mod checks;
pub mod contract;
pub mod corpus;
mod counters;
mod decode;
mod error;
mod machine;
mod number;
pub mod parse;
pub mod resources;
pub mod template;

pub use checks::{Finding, FindingKind, Party};
pub use counters::{A100, Counters, H100, H200, Peaks, Roofline};
pub use decode::{Class, Kernel};
pub use error::{Error, Result};
pub use machine::{
    Checks, DEVICE_SPAN, DevicePtr, GUARD, Landing, Launch, LaunchConfig, Loaded, MAX_ALLOCATION,
    MAX_CLUSTER, MAX_SHARED, MAX_THREADS, Machine, Options, Report, Schedule, Swizzle,
    TENSOR_MAP_BYTES, TensorMap,
};
pub use parse::Module;
