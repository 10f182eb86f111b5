//! Pinned host memory: what copies may touch after they were asked for. Kernels do not reach it.

use super::state::{State, lock};
use super::{Answer, fail, put, queue};
use crate::abi::{Out, Raw};
use crate::result::Code;

/// Alignment of pinned memory, a page.
const PAGE: usize = 4096;

/// A pinned range.
pub(super) struct Pinned {
    bytes: usize,
    /// Our memory, in pages; none where the program registered its own.
    memory: Option<Box<[Page]>>,
}

#[derive(Clone)]
#[repr(align(4096))]
struct Page {
    _bytes: [u8; PAGE],
}

impl State {
    /// The pinned range that holds an address: start and bytes.
    pub(super) fn pinned_range(&self, at: usize) -> Option<(usize, usize)> {
        let (start, pinned) = self.pinned.range(..=at).next_back()?;
        (at - start < pinned.bytes).then_some((*start, pinned.bytes))
    }

    /// True where all of a range is pinned.
    pub(super) fn is_pinned(&self, at: usize, bytes: usize) -> bool {
        self.pinned_range(at).is_some_and(|(start, size)| at - start + bytes <= size)
    }
}

pub(crate) fn allocate(at: Out<Raw>, bytes: usize) -> Answer {
    allocate_flags(at, bytes, 0)
}

pub(crate) fn allocate_flags(at: Out<Raw>, bytes: usize, _flags: u32) -> Answer {
    let mut state = lock();
    state.current()?;
    if bytes == 0 || bytes > vincie_ptx::MAX_ALLOCATION {
        let message = format!("{bytes} bytes of pinned memory asked for");
        return fail(Code::INVALID_VALUE, message);
    }
    let mut memory = vec![Page { _bytes: [0; PAGE] }; bytes.div_ceil(PAGE)].into_boxed_slice();
    let start = memory.as_mut_ptr();
    state.pinned.insert(start as usize, Pinned { bytes, memory: Some(memory) });
    put(at, start.cast())
}

pub(crate) fn free(at: Raw) -> Answer {
    remove(at, true, Code::INVALID_VALUE)
}

pub(crate) fn register(at: Raw, bytes: usize, _flags: u32) -> Answer {
    let mut state = lock();
    state.current()?;
    if at.is_null() || bytes == 0 {
        return fail(Code::INVALID_VALUE, "host memory to register is empty");
    }
    let start = at as usize;
    let overlaps = state.pinned.range(..start + bytes).next_back();
    if overlaps.is_some_and(|(other, pinned)| other + pinned.bytes > start) {
        let message = format!("{bytes} bytes at {at:p} overlap memory that is pinned already");
        return fail(Code::HOST_MEMORY_ALREADY_REGISTERED, message);
    }
    state.pinned.insert(start, Pinned { bytes, memory: None });
    Ok(())
}

pub(crate) fn unregister(at: Raw) -> Answer {
    remove(at, false, Code::HOST_MEMORY_NOT_REGISTERED)
}

fn remove(at: Raw, is_ours: bool, code: Code) -> Answer {
    let devices = lock().devices.len();
    // Copies that touch the memory are still in streams. A fault has dropped them.
    for device in 0..devices {
        if lock().check_fault(device).is_ok() {
            let _ = queue::finish_device(device);
        }
    }
    let mut state = lock();
    match state.pinned.get(&(at as usize)) {
        Some(pinned) if pinned.memory.is_some() == is_ours => {
            state.pinned.remove(&(at as usize));
            Ok(())
        }
        _ => fail(code, format!("no such pinned memory starts at {at:p}")),
    }
}
