//! A library with a few of the driver's functions, for the tests of the way to a real one: it has
//! one device, and answers with a code that is later than CUDA 11.4.

use std::ffi::c_int;

// SAFETY: the library is opened at run time, without its names being seen by the program.
#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: u32) -> c_int {
    if flags == 0 { 0 } else { 1 }
}

/// # Safety
/// `count` is valid for a write.
// SAFETY: as of `cuInit`.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> c_int {
    // SAFETY: the caller promised it.
    unsafe { *count = 1 };
    0
}

/// # Safety
/// `version` is valid for a write.
// SAFETY: as of `cuInit`.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> c_int {
    // SAFETY: the caller promised it.
    unsafe { *version = 13_000 };
    0
}

// SAFETY: as of `cuInit`.
#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> c_int {
    912
}
