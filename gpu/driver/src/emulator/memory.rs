//! Device memory: allocation at once or in stream order, and what is known of an address.

use super::queue::{Work, finish_device, submit};
use super::state::{State, current_device, lock};
use super::{Answer, fail, put};
use crate::abi::{Out, Raw};
use crate::result::Code;
use vincie_ptx::{DEVICE_SPAN, DevicePtr};

/// Handle of the default pool of device 0; one a device.
const POOLS: u64 = 0x3000;
/// The pool attribute that programs set: bytes it keeps rather than gives back.
const RELEASE_THRESHOLD: i32 = 4;
/// The pool attribute of bytes in use.
const USED: i32 = 7;

impl State {
    pub(super) fn used(&self, device: usize) -> usize {
        self.devices[device].allocations.values().sum()
    }

    pub(super) fn allocate(&mut self, device: usize, bytes: usize, label: &str) -> Answer<u64> {
        if bytes == 0 {
            return fail(Code::INVALID_VALUE, "an allocation of 0 bytes");
        }
        let (used, limit) = (self.used(device), self.memory_bytes);
        if bytes > limit.saturating_sub(used) {
            let message =
                format!("device {device}: {bytes} bytes asked for, {used} of {limit} in use");
            return fail(Code::OUT_OF_MEMORY, message);
        }
        match self.machine.allocate(device, bytes, label) {
            Ok(DevicePtr(at)) => {
                self.devices[device].allocations.insert(at, bytes);
                Ok(at)
            }
            Err(error) => fail(Code::OUT_OF_MEMORY, error.to_string()),
        }
    }

    /// Fails where a range is not inside one allocation, or where the device has no right to it.
    pub(super) fn check_range(&self, device: usize, at: u64, bytes: usize, what: &str) -> Answer {
        if bytes == 0 {
            return Ok(());
        }
        let Some((DevicePtr(base), size)) = self.machine.range(DevicePtr(at)) else {
            let message = format!("{what}: {at:#x} is not in any allocation");
            return fail(Code::INVALID_VALUE, message);
        };
        let offset = (at - base) as usize;
        if bytes > size - offset {
            let message =
                format!("{what}: {bytes} bytes at offset {offset} of an allocation of {size}");
            return fail(Code::INVALID_VALUE, message);
        }
        let owner = owner(at);
        if !self.machine.can_reach(device, owner) {
            let message = format!("{what}: device {device} has no access to device {owner}");
            return fail(Code::PEER_ACCESS_NOT_ENABLED, message);
        }
        Ok(())
    }
}

/// The device whose address range holds an address.
fn owner(at: u64) -> usize {
    (at / DEVICE_SPAN).saturating_sub(1) as usize
}

pub(crate) fn info(free: Out<usize>, total: Out<usize>) -> Answer {
    let state = lock();
    let device = state.current()?;
    put(free, state.memory_bytes.saturating_sub(state.used(device)))?;
    put(total, state.memory_bytes)
}

pub(crate) fn allocate(at: Out<u64>, bytes: usize) -> Answer {
    let mut state = lock();
    let device = state.current()?;
    state.refuse_in_capture("cuMemAlloc")?;
    let address = state.allocate(device, bytes, "cuMemAlloc")?;
    put(at, address)
}

pub(crate) fn free(at: u64) -> Answer {
    let mut state = lock();
    let device = state.current()?;
    state.refuse_in_capture("cuMemFree")?;
    state.check_start(at)?;
    drop(state);
    // Freeing waits for the device, as programs rely on it.
    finish_device(device)?;
    submit(std::ptr::null_mut(), |_, _, _| Ok(Work::Free { at }))?.finish()
}

impl State {
    fn check_start(&self, at: u64) -> Answer {
        if self.devices.iter().any(|device| device.allocations.contains_key(&at)) {
            return Ok(());
        }
        fail(Code::INVALID_VALUE, format!("no allocation starts at {at:#x}"))
    }
}

pub(crate) fn allocate_async(at: Out<u64>, bytes: usize, stream: Raw) -> Answer {
    let mut state = lock();
    let handle = state.stream_handle(stream)?;
    let device = state.streams[&handle].device;
    state.check_fault(device)?;
    if state.streams[&handle].capture.is_some() {
        let message = "cuMemAllocAsync: memory nodes of graphs are not emulated";
        return fail(Code::STREAM_CAPTURE_UNSUPPORTED, message);
    }
    // Addresses are never used again, so the memory may be there before its turn.
    let address = state.allocate(device, bytes, "cuMemAllocAsync")?;
    put(at, address)
}

pub(crate) fn free_async(at: u64, stream: Raw) -> Answer {
    submit(stream, |state, _, is_captured| {
        if is_captured {
            let message = "cuMemFreeAsync: memory nodes of graphs are not emulated";
            return fail(Code::STREAM_CAPTURE_UNSUPPORTED, message);
        }
        state.check_start(at)?;
        Ok(Work::Free { at })
    })
    .map(drop)
}

/// Makes the contents of device memory undefined, in stream order: what an allocator that hands
/// out memory again tells the emulator, so that reads of old contents are found. The thread's
/// driver must be the emulator.
pub fn forget(at: u64, bytes: usize, stream: Raw) -> Result<(), String> {
    let result = submit(stream, |state, device, _| {
        state.check_range(device, at, bytes, "forget")?;
        Ok(Work::Forget { at, bytes })
    });
    result.map(drop).map_err(|failure| failure.message.unwrap_or_else(|| failure.code.to_string()))
}

/// Tells what the memory at an address is called, for findings. The next name takes its place.
pub fn name(at: u64, name: &str) {
    if let Some(device) = lock().devices.get_mut(owner(at)) {
        device.names.insert(at, name.to_owned());
    }
}

impl State {
    /// The name of the allocation that an address belongs to, or of the one that it runs out of.
    pub(super) fn name_of(&self, at: u64) -> Option<&str> {
        let device = self.devices.get(owner(at))?;
        let (start, _) = device.allocations.range(..=at).next_back()?;
        device.names.get(start).map(String::as_str)
    }
}

pub(crate) fn range(base: Out<u64>, bytes: Out<usize>, at: u64) -> Answer {
    let state = lock();
    state.current()?;
    match state.machine.range(DevicePtr(at)) {
        Some((DevicePtr(start), size)) => {
            // Either may be null.
            base.put(start);
            bytes.put(size);
            Ok(())
        }
        None => fail(Code::NOT_FOUND, format!("{at:#x} is not in any allocation")),
    }
}

pub(crate) fn pointer_attribute(value: Out<u64>, attribute: i32, at: u64) -> Answer {
    let state = lock();
    let pinned = state.pinned_range(at as usize);
    let found = state.machine.range(DevicePtr(at));
    if found.is_none() && pinned.is_none() {
        return fail(Code::INVALID_VALUE, format!("{at:#x} is no address of the driver's"));
    }
    match (attribute, found, pinned) {
        // CU_POINTER_ATTRIBUTE_CONTEXT, _MEMORY_TYPE, _DEVICE_POINTER, _HOST_POINTER.
        (1, Some(_), _) => put(value, super::state::context_handle(owner(at)) as u64),
        (2, found, _) => put(value.cast(), if found.is_some() { 2u32 } else { 1 }),
        (3, Some(_), _) => put(value, at),
        (4, None, Some(_)) => put(value, at),
        // _IS_MANAGED, _DEVICE_ORDINAL, _RANGE_START_ADDR, _RANGE_SIZE.
        (8, ..) => put(value.cast(), 0u32),
        (9, Some(_), _) => put(value.cast(), owner(at) as i32),
        (11, Some((DevicePtr(start), _)), _) => put(value, start),
        (12, Some((_, size)), _) => put(value, size as u64),
        (11, None, Some((start, _))) => put(value, start as u64),
        (12, None, Some((_, size))) => put(value, size as u64),
        _ => fail(Code::INVALID_VALUE, format!("pointer attribute {attribute} is not emulated")),
    }
}

pub(crate) fn default_pool(pool: Out<Raw>, device: i32) -> Answer {
    let device = lock().device_index(device)?;
    put(pool, (POOLS + device as u64) as Raw)
}

fn pool_device(state: &State, pool: Raw) -> Answer<usize> {
    match (pool as u64).checked_sub(POOLS).map(|device| device as usize) {
        Some(device) if device < state.devices.len() => Ok(device),
        _ => fail(Code::INVALID_HANDLE, format!("{pool:p} is no emulated pool")),
    }
}

pub(crate) fn set_pool_attribute(pool: Raw, attribute: i32, value: Out<u64>) -> Answer {
    let mut state = lock();
    let device = pool_device(&state, pool)?;
    let value = value.get();
    match (attribute, value) {
        (RELEASE_THRESHOLD, Some(bytes)) => {
            state.devices[device].pool_threshold = bytes;
            Ok(())
        }
        _ => fail(Code::INVALID_VALUE, format!("pool attribute {attribute} cannot be set")),
    }
}

pub(crate) fn pool_attribute(pool: Raw, attribute: i32, value: Out<u64>) -> Answer {
    let state = lock();
    let device = pool_device(&state, pool)?;
    match attribute {
        RELEASE_THRESHOLD => put(value, state.devices[device].pool_threshold),
        USED => put(value, state.used(device) as u64),
        _ => fail(Code::INVALID_VALUE, format!("pool attribute {attribute} is not emulated")),
    }
}

pub(crate) fn trim_pool(pool: Raw, _bytes: usize) -> Answer {
    // Freed memory is never kept, so there is nothing to trim.
    pool_device(&lock(), pool)?;
    current_device().map(drop)
}
