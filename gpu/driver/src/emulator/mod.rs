//! The emulated driver: devices, contexts, memory, streams, events, modules, launches and graphs,
//! over the PTX machine.
//!
//! Work waits in its stream until something waits for it, and only what that needs is then done:
//! the latest order that the program allows, so a missing wait shows as stale data. Kernels run
//! under the machine's checks. A finding is a fault: it stays on the device, and every later call
//! fails with the code that hardware has for it, until the context is reset.
//!
//! Kernels of several devices that wait for each other must all be in their streams before any
//! of them is waited for; those of devices with peer access then run side by side.

pub(crate) mod capture;
mod config;
pub(crate) mod context;
pub(crate) mod copy;
pub(crate) mod device;
pub(crate) mod event;
mod execute;
mod failure;
mod fault;
pub(crate) mod fill;
pub(crate) mod function;
pub(crate) mod graph;
pub(crate) mod host;
mod jit;
pub(crate) mod launch;
pub(crate) mod memory;
pub(crate) mod module;
mod queue;
mod state;
pub(crate) mod stream;
pub(crate) mod tensor_map;
mod threads;

pub use config::{Config, set_options, start};
pub use fault::{Fault, KernelCounters, counters, fault};
pub use memory::{forget, name};

pub(crate) use failure::{Answer, Failure, refuse};
use failure::{fail, put};
