//! A device: its driver and context, and what it keeps for its streams.

use crate::error::{Error, ErrorKind, Result, check};
use crate::pool::{Pool, PoolStatistics};
use crate::ring::{LaunchRecord, Ring};
use crate::spec::DeviceSpec;
use crate::status::driver_status;
use crate::trace::Recorder;
use cust::CudaFlags;
use cust::context::{Context, CurrentContext};
use cust::device::{Device as Ordinal, DeviceAttribute};
use cust::error::CudaError;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vincie_driver::{Code, Driver, Out, call, last_raw_code, select};

/// A GPU or an emulated one. Clones are the same device.
#[derive(Clone)]
pub struct Device(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) driver: Driver,
    spec: DeviceSpec,
    context: Context,
    name: String,
    limits: Limits,
    pub(crate) pool: Mutex<Pool>,
    pub(crate) ring: Mutex<Ring>,
    pub(crate) recorder: Mutex<Option<Arc<Recorder>>>,
    /// Modules without an owner, which kernels under way may still need.
    pub(crate) retired: Mutex<Vec<usize>>,
    streams: AtomicU32,
}

/// What a device can do, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of memory.
    pub memory_bytes: usize,
    /// Threads of a CTA.
    pub block_threads: u32,
    /// Threads of a CTA along x, y, z.
    pub block: [u32; 3],
    /// CTAs along x, y, z.
    pub grid: [u32; 3],
    /// Bytes of static and dynamic shared memory that a CTA may ask for.
    pub shared_bytes: usize,
}

impl Limits {
    /// True where code for a target of PTX, such as `sm_80`, runs. That of `sm_90a` runs on
    /// capability 9.0 only, that of `sm_100f` on later ones of the same family.
    pub fn runs(&self, target: &str) -> bool {
        let Some(number) = target.strip_prefix("sm_") else { return false };
        let digits = number.trim_end_matches(['a', 'f']);
        let Ok(number) = digits.parse::<u32>() else { return false };
        let (wanted, have) = ((number / 10, number % 10), self.capability);
        match target.as_bytes().last() {
            Some(b'a') => have == wanted,
            Some(b'f') => have.0 == wanted.0 && have >= wanted,
            _ => have >= wanted,
        }
    }
}

/// Locks what no panic can leave half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_cust(call: &str, error: CudaError) -> Error {
    // cust's own codes have no counterpart in the driver.
    let code = if error as u32 <= 999 { last_raw_code() } else { Code::UNKNOWN };
    Error::of_call(call, code)
}

impl Device {
    /// Opens a device. `cpu` is none; without a driver, `cuda` is one clear line.
    pub fn open(spec: DeviceSpec) -> Result<Device> {
        let (driver, ordinal) = match spec {
            DeviceSpec::Cpu => {
                let message = "device cpu: it has no driver; expected cuda:N or emulated:N";
                return Err(Error::argument(message));
            }
            DeviceSpec::Cuda(ordinal) => (Driver::Library, ordinal),
            DeviceSpec::Emulated(ordinal) => (Driver::Emulator, ordinal),
        };
        if driver == Driver::Library {
            let status = driver_status();
            if status.devices.is_err() {
                let message = format!(
                    "device {spec}: {}; --device emulated runs the same kernels without a GPU",
                    status.line()
                );
                return Err(Error::new(ErrorKind::NoDriver, message));
            }
        }
        select(driver);
        cust::init(CudaFlags::empty()).map_err(|e| of_cust("cuInit", e))?;
        let count = Ordinal::num_devices().map_err(|e| of_cust("cuDeviceGetCount", e))?;
        if ordinal >= count {
            let message = format!("device {spec}: there are {count}, numbered from 0");
            return Err(Error::new(ErrorKind::NoDevice, message));
        }
        let device = Ordinal::get_device(ordinal).map_err(|e| of_cust("cuDeviceGet", e))?;
        let limits = limits(device)?;
        let name = device.name().map_err(|e| of_cust("cuDeviceGetName", e))?;
        let context = Context::new(device).map_err(|e| of_cust("cuDevicePrimaryCtxRetain", e))?;
        Ok(Device(Arc::new(Inner {
            driver,
            spec,
            context,
            name,
            limits,
            pool: Mutex::new(Pool::new(driver, limits.memory_bytes)),
            ring: Mutex::new(Ring::default()),
            recorder: Mutex::new(None),
            retired: Mutex::new(Vec::new()),
            streams: AtomicU32::new(0),
        })))
    }

    /// The first GPU where a driver answers, else nothing.
    pub fn first_gpu() -> Option<Device> {
        Self::open(DeviceSpec::Cuda(0)).ok()
    }

    /// What it was opened as.
    pub fn spec(&self) -> DeviceSpec {
        self.0.spec
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it can do.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// True where kernels run on the PTX machine.
    pub fn is_emulated(&self) -> bool {
        self.0.driver == Driver::Emulator
    }

    /// Waits for all streams of the device.
    pub fn synchronize(&self) -> Result<()> {
        let _span = self.0.span("synchronize");
        self.0.synchronize()
    }

    /// Lets kernels and copies of this device reach memory of another one.
    pub fn enable_peer(&self, other: &Device) -> Result<()> {
        if self.0.driver != other.0.driver {
            let (from, to) = (self.spec(), other.spec());
            let message = format!("peer access from {from} to {to}: they have different drivers");
            return Err(Error::argument(message));
        }
        self.0.enter()?;
        // SAFETY: the context lives as long as `other`.
        let code = unsafe { call::cuCtxEnablePeerAccess(other.0.context.as_raw().cast(), 0) };
        match code {
            Code::PEER_ACCESS_ALREADY_ENABLED => Ok(()),
            code => self.0.check("cuCtxEnablePeerAccess", code),
        }
    }

    /// Takes that right back, once all work of this device is done.
    pub fn disable_peer(&self, other: &Device) -> Result<()> {
        self.synchronize()?;
        // SAFETY: the context lives as long as `other`.
        let code = unsafe { call::cuCtxDisablePeerAccess(other.0.context.as_raw().cast()) };
        self.0.check("cuCtxDisablePeerAccess", code)
    }

    /// What the pool of the device holds, and who holds its buffers.
    pub fn memory(&self) -> PoolStatistics {
        lock(&self.0.pool).statistics()
    }

    /// Sets how many bytes of buffers and kept blocks the pool may have together.
    pub fn set_memory_limit(&self, bytes: usize) {
        lock(&self.0.pool).limit = bytes;
    }

    /// Bytes that buffers may still take: what the driver has, blocks that are kept for reuse, and
    /// no more than the pool's limit allows.
    pub fn free_memory(&self) -> Result<usize> {
        self.0.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: both results have room.
        let code = unsafe { call::cuMemGetInfo_v2(Out::to(&mut free), Out::to(&mut total)) };
        self.0.check("cuMemGetInfo", code)?;
        let PoolStatistics { used, kept, limit, .. } = self.memory();
        Ok((free + kept).min(limit.saturating_sub(used)))
    }

    /// Gives kept blocks back to the driver, once all work of the device is done.
    pub fn trim_memory(&self) -> Result<()> {
        self.synchronize()?;
        lock(&self.0.pool).trim(&self.0)
    }

    /// The last launches, newest first.
    pub fn last_launches(&self) -> Vec<LaunchRecord> {
        lock(&self.0.ring).newest_first().cloned().collect()
    }

    /// How often each kernel was launched so far, by name; a launch that a graph notes counts once.
    pub fn launches(&self) -> BTreeMap<Arc<str>, u64> {
        lock(&self.0.ring).by_kernel().clone()
    }

    /// The kernel's peer: handle of the context for peer copies.
    pub(crate) fn context(&self) -> vincie_driver::Raw {
        self.0.context.as_raw().cast()
    }
}

impl Inner {
    /// Makes the device's driver and context those of this thread.
    pub(crate) fn enter(&self) -> Result<()> {
        select(self.driver);
        CurrentContext::set_current(&self.context).map_err(|e| of_cust("cuCtxSetCurrent", e))
    }

    /// Waits for all work, and unloads modules that only that needed.
    fn synchronize(&self) -> Result<()> {
        self.enter()?;
        let retired = std::mem::take(&mut *lock(&self.retired));
        let waited = CurrentContext::synchronize();
        waited.map_err(|error| self.explain(of_cust("cuCtxSynchronize", error)))?;
        for module in retired {
            // SAFETY: nothing has the handle any more, and launches of its kernels have ended.
            let code = unsafe { call::cuModuleUnload(module as vincie_driver::Raw) };
            self.check("cuModuleUnload", code)?;
        }
        Ok(())
    }

    /// The result of a call; a fault comes with the last launches.
    pub(crate) fn check(&self, name: &str, code: Code) -> Result<()> {
        check(name, code).map_err(|error| self.explain(error))
    }

    pub(crate) fn explain(&self, error: Error) -> Error {
        if error.kind == ErrorKind::Fault {
            error.with_note(&lock(&self.ring).note())
        } else {
            error
        }
    }

    pub(crate) fn next_stream(&self) -> u32 {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The recorder of a running trace.
    pub(crate) fn tracing(&self) -> Option<Arc<Recorder>> {
        lock(&self.recorder).clone()
    }

    /// Times a piece of host work, where a trace runs.
    pub(crate) fn span(&self, name: &'static str) -> Option<crate::trace::Span> {
        self.tracing().map(|recorder| recorder.span(name))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // After a fault nothing can be freed; the context's end frees it.
        if self.synchronize().is_ok() {
            let mut pool = std::mem::replace(
                self.pool.get_mut().unwrap_or_else(PoisonError::into_inner),
                Pool::new(self.driver, 0),
            );
            let _ = pool.trim(self);
        }
        select(self.driver);
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({}, {})", self.spec(), self.name())
    }
}

fn limits(device: Ordinal) -> Result<Limits> {
    use DeviceAttribute as Attribute;
    let get = |attribute: Attribute| -> Result<u32> {
        let value = device.get_attribute(attribute);
        value.map(|value| value as u32).map_err(|e| of_cust("cuDeviceGetAttribute", e))
    };
    /// Shared memory that a CTA may ask for; cust has no name for it.
    const SHARED_OPT_IN: i32 = 97;
    let mut shared = 0;
    // SAFETY: the result has room.
    let code =
        unsafe { call::cuDeviceGetAttribute(Out::to(&mut shared), SHARED_OPT_IN, device.as_raw()) };
    check("cuDeviceGetAttribute", code)?;
    Ok(Limits {
        capability: (
            get(Attribute::ComputeCapabilityMajor)?,
            get(Attribute::ComputeCapabilityMinor)?,
        ),
        multiprocessors: get(Attribute::MultiprocessorCount)?,
        memory_bytes: device.total_memory().map_err(|e| of_cust("cuDeviceTotalMem", e))?,
        block_threads: get(Attribute::MaxThreadsPerBlock)?,
        block: [
            get(Attribute::MaxBlockDimX)?,
            get(Attribute::MaxBlockDimY)?,
            get(Attribute::MaxBlockDimZ)?,
        ],
        grid: [
            get(Attribute::MaxGridDimX)?,
            get(Attribute::MaxGridDimY)?,
            get(Attribute::MaxGridDimZ)?,
        ],
        shared_bytes: shared as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_run_on_their_capability_and_later_ones() {
        let limits = |major, minor| Limits {
            capability: (major, minor),
            multiprocessors: 1,
            memory_bytes: 0,
            block_threads: 1024,
            block: [1024; 3],
            grid: [1; 3],
            shared_bytes: 0,
        };
        for (target, capability, runs) in [
            ("sm_80", (8, 0), true),
            ("sm_80", (9, 0), true),
            ("sm_90", (8, 9), false),
            ("sm_90a", (9, 0), true),
            ("sm_90a", (10, 0), false),
            ("sm_100f", (10, 3), true),
            ("sm_100f", (12, 0), false),
            ("sm_", (9, 0), false),
            ("compute_80", (9, 0), false),
        ] {
            assert_eq!(limits(capability.0, capability.1).runs(target), runs, "{target}");
        }
    }
}
