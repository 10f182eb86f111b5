//! What all targets of the data crate that decode pictures have in common.

use vincie_data::Limits;

/// Small enough that an input cannot win by size alone.
pub(crate) const LIMITS: Limits =
    Limits { side: 1024, pixels: 1 << 18, frames: 64, encoded_bytes: 1 << 20 };

/// The JPEG decoder is another project's, and the library turns its panics into errors. The fuzzing
/// engine's hook would end the run before that; a panic that nobody catches still does.
pub(crate) fn allow_caught_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
