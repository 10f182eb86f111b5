//! The device as safe Rust: devices, streams, buffers, kernels and what ties them together, on a
//! GPU through `libcuda.so.1` or on the emulated devices of this process. This is the only crate
//! that names the CUDA driver.
//!
//! Nothing here asks its caller for unsafe code. A kernel can write wherever it likes in device
//! memory, but no Rust value lives there: bytes come back only through copies of plain data.
#![warn(missing_docs)]

mod buffer;
mod case;
mod copy;
mod device;
mod element;
mod error;
mod event;
mod expression;
mod graph;
mod kernel;
mod launch;
mod line;
mod module;
mod pinned;
mod pool;
mod region;
mod ring;
mod signature;
mod spec;
mod status;
mod stream;
mod tensor_map;
mod trace;

pub use buffer::Buffer;
pub use bytemuck::Pod;
pub use case::CaseRun;
pub use device::{Device, Limits};
pub use element::Element;
pub use error::{Error, ErrorKind, Result};
pub use event::Event;
pub use graph::Graph;
pub use kernel::Kernel;
pub use launch::Launch;
pub use module::Module;
pub use pinned::{Pinned, Transfer};
pub use pool::{Holder, PoolStatistics};
pub use region::Region;
pub use ring::LaunchRecord;
pub use spec::{DeviceSpec, ParseDeviceError};
pub use status::{DriverStatus, driver_status};
pub use stream::Stream;
pub use tensor_map::{TensorMap, TileLayout};
pub use trace::{KernelTime, Span, Trace};
pub use vincie_driver::{LIBRARY_VARIABLE, emulator};
pub use vincie_ptx::Swizzle;
