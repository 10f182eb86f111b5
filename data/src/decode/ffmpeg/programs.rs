//! Finding the programs and running one that answers at once.

use crate::{Error, Result};
use std::{
    env,
    ffi::OsStr,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

/// Longest wait for a program that only answers a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for the next frame.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer; `ffprobe` prints a few kilobytes a stream.
const ANSWER_BYTES: u64 = 16 << 20;

/// The two programs, and which ffmpeg they are.
#[derive(Clone, Debug)]
pub(in super::super) struct Programs {
    pub(super) ffmpeg: PathBuf,
    pub(super) ffprobe: PathBuf,
    pub(super) version: String,
    /// Longest wait for the next frame.
    pub(super) frame_timeout: Duration,
}

/// The programs on the `PATH`, looked for once a process; `None` unless both are there and run.
pub(in super::super) fn installed() -> Option<&'static Programs> {
    static PROGRAMS: OnceLock<Option<Programs>> = OnceLock::new();
    PROGRAMS.get_or_init(|| Programs::find(&env::var_os("PATH")?)).as_ref()
}

/// Version of the ffmpeg on the `PATH`, as it names itself; `None` where videos cannot be decoded
/// with it.
pub fn ffmpeg_version() -> Option<&'static str> {
    installed().map(Programs::version)
}

impl Programs {
    /// Looks through a list of folders as in `PATH`.
    pub(in super::super) fn find(folders: &OsStr) -> Option<Self> {
        let find = |name: &str| {
            let file = format!("{name}{}", env::consts::EXE_SUFFIX);
            env::split_paths(folders).map(|folder| folder.join(&file)).find(|path| path.is_file())
        };
        let (ffmpeg, ffprobe) = (find("ffmpeg")?, find("ffprobe")?);
        let text = answer(Command::new(&ffmpeg).args(["-hide_banner", "-version"])).ok()?;
        let version = text.strip_prefix("ffmpeg version ")?.split_whitespace().next()?.to_owned();
        Some(Self { ffmpeg, ffprobe, version, frame_timeout: FRAME_TIMEOUT })
    }

    /// Version as the program names itself, such as `5.1.9-0+deb12u1` or `N-112233-gabcdef`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Whether the version is at least `major.minor`. Builds from the development branch, which
    /// have no such number, count as new.
    pub(super) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        let digits = self.version.trim_start_matches('n');
        let mut numbers = digits.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(a)), Some(Ok(b))) => (a, b) >= (major, minor),
            (Some(Ok(a)), _) => (a, 0) >= (major, minor),
            _ => true,
        }
    }
}

/// A child process that is killed when dropped.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end and returns its standard output. `Err` is one line: the last the
/// program said, or what became of it.
pub(super) fn answer(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|e| format!("{name} does not start: {e}"))?;
    let mut running = Running(child);
    let output = collect(running.0.stdout.take());
    let errors = collect(running.0.stderr.take());
    let text = output
        .recv_timeout(ANSWER_TIMEOUT)
        .map_err(|_| format!("{name} gave no answer in {} s", ANSWER_TIMEOUT.as_secs()))?;
    let complaint = errors.recv_timeout(ANSWER_TIMEOUT).unwrap_or_default();
    let status = running.0.wait().map_err(|e| format!("{name} is lost: {e}"))?;
    if status.success() {
        return Ok(text);
    }
    let last = complaint.lines().rfind(|line| !line.trim().is_empty());
    Err(last.map_or_else(|| format!("{name} ended with {status}"), str::to_owned))
}

/// Reads a pipe to its end on its own thread.
fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What could be read before an error is still worth having.
            let _ = pipe.take(ANSWER_BYTES).read_to_end(&mut bytes);
        }
        // The receiver is gone when nobody waits any more.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// A complaint of one of the programs about a file, without the file's name and the module's
/// address in front.
pub(super) fn complaint(path: &Path, message: &str) -> Error {
    let argument = format!("file:{}: ", path.display());
    let message = message.replace(&argument, "");
    Error::format(path, format!("ffmpeg cannot read it: {}", shorten(&message)))
}

/// One line of at most 300 characters.
pub(super) fn shorten(message: &str) -> String {
    message.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared() {
        let at_least = |version: &str, major, minor| {
            let programs = Programs {
                ffmpeg: PathBuf::new(),
                ffprobe: PathBuf::new(),
                version: version.to_owned(),
                frame_timeout: FRAME_TIMEOUT,
            };
            programs.is_at_least(major, minor)
        };
        assert!(at_least("5.1.9-0+deb12u1", 5, 1));
        assert!(!at_least("4.4.2-0ubuntu0.22.04.1", 5, 1));
        assert!(at_least("n7.0", 5, 1));
        assert!(at_least("8", 5, 1));
        assert!(at_least("N-112233-gabcdef", 5, 1));
        assert!(at_least("git-2024-01-01", 5, 1));
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        assert!(Programs::find(OsStr::new("")).is_none());
        assert!(Programs::find(OsStr::new("/no/such/folder")).is_none());
    }
}
