//! PNG pictures and masks: pixels or one line, never a panic.
#![no_main]

use vincie_data::{
    Limits,
    decode::{decode_image, decode_mask, encode_png},
};

const LIMITS: Limits = Limits { side: 1024, pixels: 1 << 18, frames: 1, encoded_bytes: 1 << 20 };

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = decode_mask(bytes, "input", &LIMITS);
    match decode_image(bytes, "input", &LIMITS) {
        // What was read is written and read again without loss.
        Ok(image) => {
            let again = decode_image(&encode_png(&image), "again", &LIMITS);
            assert_eq!(again.expect("our own PNG is valid"), image);
        }
        Err(error) => assert_eq!(error.to_string().lines().count(), 1),
    }
});
