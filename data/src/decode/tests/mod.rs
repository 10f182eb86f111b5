//! Tests across readers: files made on the spot, cut, mutated and compared with ffmpeg.

mod clips;
mod mutation;
pub(super) mod mux;
mod still;

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

/// A folder for one test, empty at first and removed at its end.
pub(super) struct Folder(PathBuf);

/// A fresh folder; `name` is unique among the tests.
pub(super) fn folder(name: &str) -> Folder {
    let folder = format!("vincie-decode-{}-{name}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    Folder(folder)
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
