//! Tests across readers: files made on the spot, cut, mutated and compared with ffmpeg.

mod clips;
mod mutation;
pub(super) mod mux;
mod still;

use std::path::PathBuf;

/// A fresh empty folder for one test.
pub(super) fn folder(name: &str) -> PathBuf {
    let folder = format!("vincie-decode-{}-{name}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
