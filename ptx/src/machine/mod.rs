//! The machine: device memory, launches, clusters, CTAs, warps, and what instructions do.

mod access;
mod atomic;
mod barrier;
mod bulk;
mod call;
mod collective;
mod copies;
mod cost;
mod exec;
mod findings;
mod global;
mod launch;
mod matrix;
mod mbarrier;
mod memory;
mod mma;
mod options;
mod ordering;
mod start;
mod step;
mod tensor_copy;
mod tensor_map;
mod warp;
mod wgmma;

pub use launch::{Launch, Loaded, MAX_CLUSTER, MAX_SHARED, MAX_THREADS};
pub use memory::{DEVICE_SPAN, DevicePtr, GUARD, MAX_ALLOCATION, Machine};
pub use options::{Checks, Landing, LaunchConfig, Options, Report, Schedule};
pub use tensor_map::{Swizzle, TENSOR_MAP_BYTES, TensorMap};
