//! Which driver answers the calls of a thread.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// One of the two drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Driver {
    /// `libcuda.so.1`: the GPUs of this machine.
    Library,
    /// The PTX machine in this process.
    Emulator,
}

static EMULATES_BY_DEFAULT: AtomicBool = AtomicBool::new(false);

thread_local! {
    static SELECTED: Cell<Option<Driver>> = const { Cell::new(None) };
}

/// Lets a driver answer the calls of threads that selected none; before, it is the library.
pub fn set_default(driver: Driver) {
    EMULATES_BY_DEFAULT.store(driver == Driver::Emulator, Ordering::Relaxed);
}

/// Lets a driver answer all further calls of this thread. Each driver remembers the thread's current context of its own.
pub fn select(driver: Driver) {
    SELECTED.set(Some(driver));
}

/// The driver that answers the calls of this thread.
pub fn selected() -> Driver {
    SELECTED.get().unwrap_or(match EMULATES_BY_DEFAULT.load(Ordering::Relaxed) {
        true => Driver::Emulator,
        false => Driver::Library,
    })
}
