//! AVI files: frames or one line, never a panic.
#![no_main]

mod shared;
mod video;

libfuzzer_sys::fuzz_target!(
    init: shared::allow_caught_panics(),
    |bytes: &[u8]| video::read(bytes)
);
