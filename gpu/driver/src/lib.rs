//! The CUDA driver's calls. Every `cu*` symbol that `cust` refers to is defined here, and answered
//! either by `libcuda.so.1`, opened at the first call, or by an emulated driver in this process,
//! which executes PTX on the machine of `vincie_ptx` under its checks. Nothing of CUDA is needed
//! to build, link or start a program.
//!
//! Both drivers live side by side: [`select`] says which one answers the calls of a thread, and
//! real and emulated devices each count their ordinals from 0. A handle belongs to the driver
//! that made it, so a thread selects that driver before it uses the handle.
#![warn(missing_docs)]

mod abi;
mod calls;
pub mod emulator;
mod library;
pub mod result;
mod select;

pub use abi::{
    Attribute, HostFunction, In, LaunchSetup, MemcpyRows, Out, Raw, TENSOR_MAP_BYTES, TensorMap,
    Text,
};
pub use calls::{NAMES, call};
pub use library::{LIBRARY_VARIABLE, Library, library};
pub use result::{Code, last_raw_code, message};
pub use select::{Driver, select, selected, set_default};
