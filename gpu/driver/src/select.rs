//! Which driver answers the calls of a thread.

use std::cell::Cell;

/// One of the two drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Driver {
    /// `libcuda.so.1`: the GPUs of this machine.
    Library,
    /// The PTX machine in this process.
    Emulator,
}

thread_local! {
    static SELECTED: Cell<Driver> = const { Cell::new(Driver::Library) };
}

/// Lets a driver answer all further calls of this thread; before the first `select` it is the
/// library. Each driver remembers the thread's current context of its own.
pub fn select(driver: Driver) {
    SELECTED.set(driver);
}

/// The driver that answers the calls of this thread.
pub fn selected() -> Driver {
    SELECTED.get()
}
