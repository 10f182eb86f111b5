//! The golden numbers of the repository, inside the program.

use std::fs;
use std::io;
use std::path::Path;

/// Names and contents of the files of `tests/golden`.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/golden.rs"));

/// Writes them into a folder, which is made.
pub(super) fn unpack(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    FILES.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}
