//! The device as safe Rust. This is the only crate that names the CUDA driver.

mod spec;

pub use spec::{DeviceSpec, ParseDeviceError};
