//! All that the emulated driver knows, behind one lock.

use super::config::{CONFIG, Config};
use super::event::Event;
use super::fault::{Fault, KernelCounters};
use super::function::Function;
use super::graph::{Capture, Graph};
use super::module::LoadedModule;
use super::stream::Stream;
use super::{Answer, fail};
use crate::abi::Raw;
use crate::result::Code;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use vincie_ptx::{FindingKind, Machine, Options};

/// Handles of primary contexts start here, one a device.
const CONTEXTS: u64 = 0x1000;
/// Handles of the default streams start here, one a device.
const DEFAULT_STREAMS: u64 = 0x2000;
/// All other handles start here and are never used twice.
const HANDLES: u64 = 0x10_000;

/// A handle of any kind as a number.
pub(super) type Handle = u64;

/// One emulated device.
#[derive(Default)]
pub(super) struct Device {
    /// How often its primary context is retained.
    pub(super) retained: u32,
    pub(super) flags: u32,
    pub(super) fault: Option<Fault>,
    /// What each kernel executed, by name.
    pub(super) counters: BTreeMap<String, KernelCounters>,
    /// Live allocations: start and bytes.
    pub(super) allocations: BTreeMap<u64, usize>,
    /// What programs call their allocations, by start.
    pub(super) names: BTreeMap<u64, String>,
    /// The default pool's release threshold, which programs set and read back.
    pub(super) pool_threshold: u64,
}

/// The emulated driver.
pub(super) struct State {
    pub(super) machine: Machine,
    pub(super) memory_bytes: usize,
    pub(super) options: Options,
    pub(super) tolerate: Vec<FindingKind>,
    pub(super) devices: Vec<Device>,
    pub(super) streams: BTreeMap<Handle, Stream>,
    pub(super) events: BTreeMap<Handle, Event>,
    pub(super) modules: BTreeMap<Handle, LoadedModule>,
    pub(super) functions: BTreeMap<Handle, Arc<Function>>,
    pub(super) captures: BTreeMap<Handle, Capture>,
    pub(super) graphs: BTreeMap<Handle, Graph>,
    pub(super) executables: BTreeMap<Handle, Graph>,
    /// Pinned host ranges: start, bytes, and the memory itself where it is ours.
    pub(super) pinned: BTreeMap<usize, super::host::Pinned>,
    pub(super) start: Instant,
    next: Handle,
}

static STATE: OnceLock<Mutex<State>> = OnceLock::new();

thread_local! {
    /// The stack of current contexts of this thread, as device numbers; `None` is no context.
    static CURRENT: RefCell<Vec<Option<usize>>> = const { RefCell::new(Vec::new()) };
}

/// The state, made at the first call.
pub(super) fn lock() -> MutexGuard<'static, State> {
    let state = STATE.get_or_init(|| Mutex::new(State::new(CONFIG.get_or_init(Config::default))));
    // A panic under the lock is a failed assertion of the machine; what it left is still whole.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stack of current contexts of this thread.
pub(super) fn with_current<T>(act: impl FnOnce(&mut Vec<Option<usize>>) -> T) -> T {
    CURRENT.with_borrow_mut(act)
}

impl State {
    fn new(config: &Config) -> Self {
        let mut state = State {
            machine: Machine::new(config.devices),
            memory_bytes: config.memory_bytes,
            options: config.options,
            tolerate: config.tolerate.clone(),
            devices: (0..config.devices).map(|_| Device::default()).collect(),
            streams: BTreeMap::new(),
            events: BTreeMap::new(),
            modules: BTreeMap::new(),
            functions: BTreeMap::new(),
            captures: BTreeMap::new(),
            graphs: BTreeMap::new(),
            executables: BTreeMap::new(),
            pinned: BTreeMap::new(),
            start: Instant::now(),
            next: HANDLES,
        };
        for device in 0..config.devices {
            let handle = DEFAULT_STREAMS + device as u64;
            state.streams.insert(handle, Stream::new(device, 0, 0));
        }
        state
    }

    /// A handle that was never given before.
    pub(super) fn new_handle(&mut self) -> Handle {
        self.next += 16;
        self.next
    }

    /// The device of an ordinal.
    pub(super) fn device_index(&self, device: i32) -> Answer<usize> {
        let count = self.devices.len();
        match usize::try_from(device) {
            Ok(index) if index < count => Ok(index),
            _ => fail(
                Code::INVALID_DEVICE,
                format!("emulated device {device}; there are {count}, numbered from 0"),
            ),
        }
    }

    /// The device of this thread's context, which must have no fault.
    pub(super) fn current(&self) -> Answer<usize> {
        let device = current_device()?;
        self.check_fault(device)?;
        Ok(device)
    }

    pub(super) fn check_fault(&self, device: usize) -> Answer {
        match &self.devices[device].fault {
            Some(fault) => fail(fault.code, fault.text.clone()),
            None => Ok(()),
        }
    }

    /// The stream behind a handle: null and the two special values are the default stream of the
    /// current context.
    pub(super) fn stream_handle(&self, stream: Raw) -> Answer<Handle> {
        let handle = match stream as u64 {
            0..=2 => DEFAULT_STREAMS + current_device()? as u64,
            handle => handle,
        };
        if self.streams.contains_key(&handle) {
            Ok(handle)
        } else {
            fail(Code::INVALID_HANDLE, format!("no emulated stream {handle:#x}"))
        }
    }

    /// The default stream of a device.
    pub(super) fn default_stream(device: usize) -> Handle {
        DEFAULT_STREAMS + device as u64
    }
}

/// The device of this thread's context.
pub(super) fn current_device() -> Answer<usize> {
    match with_current(|stack| stack.last().copied().flatten()) {
        Some(device) => Ok(device),
        None => fail(Code::INVALID_CONTEXT, "this thread has no current emulated context"),
    }
}

/// Handle of a device's primary context.
pub(super) fn context_handle(device: usize) -> Raw {
    (CONTEXTS + device as u64) as Raw
}

/// Device of a context's handle.
pub(super) fn context_device(state: &State, context: Raw) -> Answer<usize> {
    let device = (context as u64).checked_sub(CONTEXTS).map(|device| device as usize);
    match device {
        Some(device) if device < state.devices.len() => Ok(device),
        _ => fail(Code::INVALID_CONTEXT, format!("{context:p} is no emulated context")),
    }
}
