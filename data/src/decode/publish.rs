//! Files that appear whole or not at all.

use crate::{Error, Result};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// Writes `bytes` beside `path` under a temporary name, then renames. Readers of `path` see the
/// old content or the new one, and a killed process leaves at most a file whose name starts with
/// a dot and ends in `.tmp`.
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| Error::format(path, "is not a file name"))?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let hidden = format!(".{}.{}-{number}.tmp", name.to_string_lossy(), std::process::id());
    let temporary = path.with_file_name(hidden);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|e| {
        // The first error is the one to report; a failure to clean up adds nothing to it.
        let _ = fs::remove_file(&temporary);
        Error::io(path, e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_and_nothing_else_is_left() {
        let folder = crate::decode::tests::folder("publish");
        let path = folder.join("result.bin");
        publish(&path, b"old").unwrap();
        publish(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(&*folder).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = crate::decode::tests::folder("publish-failure");
        let taken = folder.join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), b"").unwrap();
        assert!(publish(&taken, b"new").is_err());
        assert_eq!(fs::read_dir(&*folder).unwrap().count(), 1);
        assert!(publish(&folder.join("none/at/all"), b"new").is_err());
    }
}
