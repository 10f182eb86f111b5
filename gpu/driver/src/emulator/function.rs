//! Kernels of loaded modules, and their attributes.

use super::device::{DEFAULT_SHARED, MAX_SHARED};
use super::state::{Handle, State, lock};
use super::{Answer, fail, put};
use crate::abi::{Out, Raw};
use crate::result::Code;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use vincie_ptx::{Kernel, Loaded, MAX_THREADS};

/// A kernel on its device.
pub(super) struct Function {
    pub(super) device: usize,
    pub(super) kernel: Kernel,
    pub(super) loaded: Arc<Loaded>,
    /// True where it may wait for a kernel on another device.
    pub(super) talks: bool,
    /// Most bytes of dynamic shared memory a launch may ask for.
    pub(super) max_dynamic_shared: AtomicI32,
    /// True where clusters of more than 8 CTAs are allowed.
    pub(super) allows_large_clusters: AtomicBool,
}

impl Function {
    pub(super) fn new(device: usize, kernel: Kernel, loaded: Arc<Loaded>, talks: bool) -> Self {
        let room = DEFAULT_SHARED - kernel.static_shared as i32;
        Function {
            device,
            kernel,
            loaded,
            talks,
            max_dynamic_shared: AtomicI32::new(room.max(0)),
            allows_large_clusters: AtomicBool::new(false),
        }
    }

    fn max_threads(&self) -> u32 {
        let limit = self.kernel.directive("maxntid").or_else(|| self.kernel.directive("reqntid"));
        limit.map_or(MAX_THREADS, |axes| axes.iter().product())
    }
}

impl State {
    pub(super) fn function(&self, function: Raw) -> Answer<Arc<Function>> {
        match self.functions.get(&(function as Handle)) {
            Some(function) => Ok(Arc::clone(function)),
            None => fail(Code::INVALID_HANDLE, format!("no emulated kernel {function:p}")),
        }
    }
}

/// Attributes by the driver's number.
const MAX_THREADS_PER_BLOCK: i32 = 0;
const SHARED_BYTES: i32 = 1;
const REGISTERS: i32 = 4;
const PTX_VERSION: i32 = 5;
const BINARY_VERSION: i32 = 6;
const MAX_DYNAMIC_SHARED: i32 = 8;
const SHARED_CARVEOUT: i32 = 9;
const LARGE_CLUSTERS: i32 = 14;

pub(crate) fn attribute(value: Out<i32>, attribute: i32, function: Raw) -> Answer {
    let function = lock().function(function)?;
    let digits: String = function.kernel.target.chars().filter(char::is_ascii_digit).collect();
    let target: i32 = digits.parse().unwrap_or(0);
    let found = match attribute {
        MAX_THREADS_PER_BLOCK => function.max_threads() as i32,
        SHARED_BYTES => function.kernel.static_shared as i32,
        PTX_VERSION => target,
        BINARY_VERSION => 90,
        MAX_DYNAMIC_SHARED => function.max_dynamic_shared.load(Relaxed),
        LARGE_CLUSTERS => i32::from(function.allows_large_clusters.load(Relaxed)),
        REGISTERS => {
            let message = "registers of a kernel are known only once it is compiled for hardware";
            return fail(Code::NOT_SUPPORTED, message);
        }
        _ => {
            let message = format!("kernel attribute {attribute} is not emulated");
            return fail(Code::NOT_SUPPORTED, message);
        }
    };
    put(value, found)
}

pub(crate) fn set_attribute(function: Raw, attribute: i32, value: i32) -> Answer {
    let function = lock().function(function)?;
    match attribute {
        MAX_DYNAMIC_SHARED => {
            let limit = MAX_SHARED - function.kernel.static_shared as i32;
            if !(0..=limit).contains(&value) {
                let name = &function.kernel.name;
                let message =
                    format!("{name}: {value} bytes of dynamic shared memory; at most {limit}");
                return fail(Code::INVALID_VALUE, message);
            }
            function.max_dynamic_shared.store(value, Relaxed);
            Ok(())
        }
        LARGE_CLUSTERS => {
            function.allows_large_clusters.store(value != 0, Relaxed);
            Ok(())
        }
        // A preference, which changes nothing here.
        SHARED_CARVEOUT => Ok(()),
        _ => fail(Code::INVALID_VALUE, format!("kernel attribute {attribute} cannot be set")),
    }
}

pub(crate) fn set_cache_config(function: Raw, _config: i32) -> Answer {
    lock().function(function).map(drop)
}
