//! A folder for one test, removed with the value: in memory where the system offers that, because
//! the tests wait for the disk thousands of times.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A new, empty folder.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("vincie-train-{}-{number}-{name}", std::process::id());
        let parents = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
        let mut paths = parents.iter().map(|parent| parent.join(&folder));
        Self(
            paths
                .find(|path| fs::create_dir(path).is_ok())
                .expect("a temporary folder is writable"),
        )
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
