//! Which videos can be decoded here.

use serde::Serialize;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes of a program that are searched for its version.
const MAX_SEARCHED_BYTES: u64 = 8 << 20;

/// What ffmpeg prints its version with; the text stands in the program.
const VERSION_TEXT: &[u8] = b"%s version ";

/// Longest version that is believed, bytes.
const MAX_VERSION_BYTES: usize = 64;

/// A way to decode videos.
#[derive(Debug, Serialize)]
pub(super) struct Decoder {
    name: &'static str,
    reads: &'static str,
    /// Programs that were found, by name.
    programs: Vec<PathBuf>,
    /// Programs that are not on the `PATH`.
    missing: Vec<&'static str>,
    version: Option<String>,
}

/// All ways there are, also those that cannot be used here.
pub(super) fn decoders() -> Vec<Decoder> {
    let builtin = Decoder {
        name: "builtin",
        reads: "folders of PNG and JPEG, Y4M, motion JPEG in AVI, MOV and MP4",
        programs: Vec::new(),
        missing: Vec::new(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    };
    vec![builtin, ffmpeg(&env::var_os("PATH").unwrap_or_default())]
}

fn ffmpeg(path: &OsStr) -> Decoder {
    let mut decoder = Decoder {
        name: "ffmpeg",
        reads: "everything else",
        programs: Vec::new(),
        missing: Vec::new(),
        version: None,
    };
    for name in ["ffmpeg", "ffprobe"] {
        let file = format!("{name}{}", env::consts::EXE_SUFFIX);
        match env::split_paths(path).map(|folder| folder.join(&file)).find(|p| p.is_file()) {
            Some(program) => decoder.programs.push(program),
            None => decoder.missing.push(name),
        }
    }
    if decoder.missing.is_empty() {
        decoder.version = version(&decoder.programs[0]);
    }
    decoder
}

/// The version that the program would print. Asking it takes longer than the whole command may.
fn version(program: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(program).ok()?.take(MAX_SEARCHED_BYTES).read_to_end(&mut bytes).ok()?;
    let at = bytes.windows(VERSION_TEXT.len()).position(|window| window == VERSION_TEXT)?;
    let rest = &bytes[at + VERSION_TEXT.len()..];
    let end = rest.iter().take(MAX_VERSION_BYTES).position(|byte| !byte.is_ascii_graphic())?;
    let version = std::str::from_utf8(&rest[..end]).ok()?;
    (!version.is_empty() && !version.contains('%')).then(|| version.to_owned())
}

impl fmt::Display for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.missing.is_empty() {
            let missing = self.missing.join(" and ");
            return write!(f, "{}: not usable, {missing} not found on the PATH", self.name);
        }
        write!(f, "{}", self.name)?;
        if let Some(program) = self.programs.first() {
            let version = self.version.as_deref().unwrap_or("of unknown version");
            write!(f, " {version}, {}", program.display())?;
        }
        write!(f, ": {}", self.reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_programs() {
        let folder = env::temp_dir().join(format!("vincie-doctor-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        for (content, expected) in [
            (&b"\0\0%s version 5.1.9-0+deb12u1\0more"[..], Some("5.1.9-0+deb12u1")),
            (b"%s version %s\0", None),
            (b"%s version 7.0", None),
            (b"%s version \0", None),
            (b"", None),
        ] {
            let program = folder.join("ffmpeg");
            std::fs::write(&program, content).expect("a file can be written");
            assert_eq!(version(&program).as_deref(), expected, "{content:?}");
        }
        std::fs::remove_dir_all(&folder).expect("the folder can be removed");
        assert_eq!(version(&folder), None);
    }

    #[test]
    fn missing_programs_are_named() {
        let text = ffmpeg(OsStr::new("")).to_string();
        assert_eq!(text, "ffmpeg: not usable, ffmpeg and ffprobe not found on the PATH");
    }
}
