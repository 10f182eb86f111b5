//! The emulated driver as a library that stands in for `libcuda.so.1`: with `VINCIE_LIBCUDA` naming
//! it, `--device cuda` takes the whole way of a GPU, dynamic loader included, on a machine without
//! one. A test of that way, and of any other program that asks a driver for the calls of our table.

use vincie_driver::{Driver, set_default};

/// Runs when the library is opened.
// SAFETY: the section holds pointers to functions without arguments, as the loader calls them.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    set_default(Driver::Emulator);
}
