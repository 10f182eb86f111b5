//! JPEG pictures: pixels or one line, never a panic.
#![no_main]

mod shared;

use vincie_data::decode::decode_image;

libfuzzer_sys::fuzz_target!(init: shared::allow_caught_panics(), |bytes: &[u8]| {
    if let Err(error) = decode_image(bytes, "input", &shared::LIMITS) {
        assert_eq!(error.to_string().lines().count(), 1);
    }
});
