//! Space on a disk, as the operating system tells it.

use crate::failure::Failure;
use crate::number::bytes;
use serde::Serialize;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait of a command that is about to write for long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Space on the disk of a folder, bytes.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Disk {
    folder: PathBuf,
    total: u64,
    free: u64,
}

/// A question to `df` that is under way.
#[derive(Debug)]
pub(crate) struct Asked(Option<(Child, Instant, PathBuf)>);

impl Disk {
    /// Starts to ask about a folder. The answer is fetched later, so that other work fits in between.
    pub(crate) fn ask(folder: &Path) -> Asked {
        let mut command = Command::new("df");
        command
            .arg("-Pk")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let child = command.env("LC_ALL", "C").spawn().ok();
        Asked(child.map(|child| (child, Instant::now(), folder.to_owned())))
    }

    /// Reads what `df -Pk` prints: the last line's second and fourth columns are kilobytes.
    fn parse(text: &str, folder: &Path) -> Option<Self> {
        let mut columns = text.lines().nth(1)?.split_whitespace().skip(1);
        let mut bytes = || columns.next()?.parse::<u64>().ok()?.checked_mul(1024);
        let (total, _used, free) = (bytes()?, bytes()?, bytes()?);
        Some(Self { folder: folder.to_owned(), total, free })
    }
}

impl Asked {
    /// The answer, if it comes within `patience`; a disk that hangs must not hang the command.
    pub(crate) fn answer(self, patience: Duration) -> Option<Disk> {
        let (mut child, start, folder) = self.0?;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => break,
                Ok(None) if start.elapsed() < patience => {
                    thread::sleep(Duration::from_micros(500));
                }
                _ => {
                    // Neither can fail in a way that matters: the child is done, or left alone.
                    let _ = child.kill();
                    return None;
                }
            }
        }
        let mut text = String::new();
        child.stdout.take()?.take(1 << 16).read_to_string(&mut text).ok()?;
        Disk::parse(&text, &folder.canonicalize().ok()?)
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, total) = (bytes(self.free), bytes(self.total));
        write!(f, "{free} free of {total} in {}", self.folder.display())
    }
}

/// `Err` when the disk that `path` will lie on is known to have less than `needed` bytes free.
pub(crate) fn check(path: &Path, needed: u64) -> Result<(), Failure> {
    let existing =
        path.ancestors().skip(1).find(|folder| folder.is_dir() || folder.as_os_str().is_empty());
    let folder = existing.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match Disk::ask(folder).answer(PATIENCE) {
        Some(disk) if disk.free < needed => Err(Failure::new(format!(
            "{}: {} are to be written, and {} are free in {}",
            path.display(),
            bytes(needed),
            bytes(disk.free),
            disk.folder.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_df_prints() {
        let text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                    /dev/a 264212084 26209360 69076528 28% /\n";
        let disk = Disk::parse(text, Path::new("here")).expect("is what df prints");
        assert_eq!((disk.total, disk.free), (264_212_084 << 10, 69_076_528 << 10));
        for bad in ["", "one line", "a\nb c d e", "a\nb 1 2 -3", "a\nb 99999999999999999999 1 1"] {
            assert_eq!(Disk::parse(bad, Path::new("here")), None, "{bad:?}");
        }
    }

    #[test]
    fn more_than_the_disk_has_is_refused() {
        let path = std::env::temp_dir().join("vincie-none/file");
        assert!(check(&path, 0).is_ok());
        let is_known = Disk::ask(&std::env::temp_dir()).answer(PATIENCE).is_some();
        assert_eq!(check(&path, u64::MAX).is_err(), is_known);
    }
}
