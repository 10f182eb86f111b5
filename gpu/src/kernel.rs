//! A kernel of a loaded module.

use crate::error::Result;
use crate::module::ModuleInner;
use crate::signature::Signature;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use vincie_driver::{Code, Out, Raw, call};
use vincie_ptx::contract::Contract;

/// Dynamic shared memory beyond which a kernel must be told.
const DEFAULT_SHARED: usize = 48 << 10;
/// The attribute that tells it.
const MAX_DYNAMIC_SHARED: i32 = 8;
/// The attribute that allows clusters of more than 8 CTAs.
const LARGE_CLUSTERS: i32 = 14;
/// Registers of a thread.
const REGISTERS: i32 = 4;
/// Bytes of local memory of a thread.
const LOCAL_BYTES: i32 = 3;

/// A kernel. Clones are the same one.
#[derive(Clone)]
pub struct Kernel(pub(crate) Arc<KernelInner>);

pub(crate) struct KernelInner {
    pub(crate) module: Arc<ModuleInner>,
    pub(crate) name: Arc<str>,
    handle: usize,
    pub(crate) signature: Signature,
    /// Dynamic shared memory that the kernel may have by now.
    shared: AtomicUsize,
    allows_large_clusters: Mutex<bool>,
}

impl Kernel {
    pub(crate) fn new(module: Arc<ModuleInner>, handle: Raw, signature: Signature) -> Kernel {
        let shared = DEFAULT_SHARED.saturating_sub(signature.static_shared);
        Kernel(Arc::new(KernelInner {
            module,
            name: signature.kernel.as_str().into(),
            handle: handle as usize,
            signature,
            shared: AtomicUsize::new(shared),
            allows_large_clusters: Mutex::new(false),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Number of its parameters.
    pub fn parameters(&self) -> usize {
        self.0.signature.parameters.len()
    }

    /// Bytes of a parameter, counted from 0.
    pub fn parameter_bytes(&self, index: usize) -> Option<usize> {
        self.0.signature.parameters.get(index).map(|parameter| parameter.bytes)
    }

    /// The contract in the header of its file, where there is one.
    pub fn contract(&self) -> Option<&Contract> {
        self.0.signature.contract.as_ref()
    }

    /// Limits of the contract that launches cannot check, as they are none of the forms
    /// `a <= b`, `a >= b`, `a < b`, `a > b` and `a = b`.
    pub fn unread_limits(&self) -> Vec<&str> {
        self.0.signature.unread_limits()
    }

    /// Registers of a thread, where the driver compiled for hardware.
    pub fn registers(&self) -> Option<u32> {
        self.attribute(REGISTERS)
    }

    /// Bytes of local memory of a thread, spills included, where the driver compiled for hardware.
    pub fn local_bytes(&self) -> Option<u32> {
        self.attribute(LOCAL_BYTES)
    }

    fn attribute(&self, attribute: i32) -> Option<u32> {
        self.0.module.device.enter().ok()?;
        let mut value = 0;
        // SAFETY: the result has room and the handle lives as long as the module.
        let code =
            unsafe { call::cuFuncGetAttribute(Out::to(&mut value), attribute, self.0.raw()) };
        u32::try_from(value).ok().filter(|_| code.is_success())
    }
}

impl KernelInner {
    pub(crate) fn raw(&self) -> Raw {
        self.handle as Raw
    }

    /// Tells the driver what a launch will need. The context is current.
    pub(crate) fn prepare(&self, dynamic_shared: usize, cluster: [u32; 3]) -> Result<()> {
        if dynamic_shared > self.shared.load(Ordering::Relaxed) {
            self.set(MAX_DYNAMIC_SHARED, dynamic_shared as i32)?;
            self.shared.fetch_max(dynamic_shared, Ordering::Relaxed);
        }
        if cluster.iter().product::<u32>() > 8 {
            let mut is_allowed = crate::device::lock(&self.allows_large_clusters);
            if !*is_allowed {
                self.set(LARGE_CLUSTERS, 1)?;
                *is_allowed = true;
            }
        }
        Ok(())
    }

    fn set(&self, attribute: i32, value: i32) -> Result<()> {
        // SAFETY: the handle lives as long as the module.
        let code: Code = unsafe { call::cuFuncSetAttribute(self.raw(), attribute, value) };
        self.module.device.check("cuFuncSetAttribute", code)
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({} of {})", self.name(), self.0.module.name)
    }
}
