//! NVIDIA's assembler `ptxas`, where one is installed: whether a file assembles, and what it takes.
//!
//! The machine needs no assembler. Where there is one, it is the last word on syntax, registers,
//! spills and the repairs it makes without a warning (notes C7501 to C7599: an injected wait, a
//! serialised `wgmma`, an ignored `setmaxnreg`).

use crate::error::{Error, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Environment variable that names the program.
pub const VARIABLE: &str = "PTXAS";

/// Folder of a Python environment with the package `nvidia-cuda-nvcc`, below the current folder.
pub const TOOLS: &str = ".tools";

/// The program.
#[derive(Debug, Clone)]
pub struct Assembler {
    path: PathBuf,
}

/// What the assembler says of one file and target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assembly {
    /// What each entry takes, in the order of the assembler.
    pub entries: Vec<Resources>,
    /// Errors, and notes on silent repairs; empty for a good file.
    pub complaints: Vec<String>,
}

/// What one entry takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// Name of the entry.
    pub entry: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Static shared memory, bytes.
    pub shared_bytes: u32,
    /// Stack frame of the entry or of a function below it, bytes.
    pub stack_bytes: u32,
    /// Bytes that are spilled and read back.
    pub spill_bytes: u32,
}

impl Resources {
    /// Lines on a stack frame and spills, which a kernel that must be fast has none of.
    pub fn overflows(&self) -> Vec<String> {
        let Self { entry, stack_bytes, spill_bytes, .. } = self;
        [(stack_bytes, "of stack frame"), (spill_bytes, "spilled")]
            .into_iter()
            .filter(|(bytes, _)| **bytes > 0)
            .map(|(bytes, what)| format!("{entry}: {bytes} bytes {what}"))
            .collect()
    }
}

impl Assembler {
    /// The program that `$PTXAS` names, or the one on the path, or the one in [`TOOLS`].
    pub fn find() -> Option<Self> {
        if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            return Some(Self { path: path.into() });
        }
        let folders = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>());
        let on_path = folders.into_iter().flatten().map(|folder| folder.join("ptxas"));
        let versions = fs::read_dir(Path::new(TOOLS).join("lib")).into_iter().flatten().flatten();
        let in_tools =
            versions.map(|version| version.path().join("site-packages/nvidia/cu13/bin/ptxas"));
        on_path.chain(in_tools).find(|path| path.is_file()).map(|path| Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its release, such as `13.0`.
    pub fn release(&self) -> Result<String> {
        let fail = |what: String| Error::Case(format!("{}: {what}", self.path.display()));
        let output = Command::new(&self.path).arg("--version").output();
        let output = output.map_err(|e| fail(e.to_string()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let release = between(&said, "release ", ",");
        release.map(str::to_owned).ok_or_else(|| fail("--version names no release".to_owned()))
    }

    /// Assembles a text for `target`, such as `sm_80`. `Err` when the program cannot be run; a text
    /// that it refuses is an [`Assembly`] with complaints.
    pub fn assemble(&self, text: &str, target: &str) -> Result<Assembly> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vincie-{}-{number}.ptx", std::process::id());
        let file = env::temp_dir().join(name);
        let fail = |what: String| Error::Case(format!("{}: {what}", self.path.display()));
        fs::write(&file, text).map_err(|e| Error::Case(format!("{}: {e}", file.display())))?;
        let output = Command::new(&self.path)
            .args(["-v", "-warn-spills", "-o", "/dev/null"])
            .arg(format!("-arch={target}"))
            .arg(&file)
            .output();
        // The text is a copy that nobody misses.
        let _ = fs::remove_file(&file);
        let output = output.map_err(|e| fail(e.to_string()))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).replace(&*file.to_string_lossy(), "");
        Ok(read(&said, output.status.success()))
    }
}

/// What the program printed.
fn read(said: &str, is_success: bool) -> Assembly {
    let mut assembly = Assembly::default();
    for line in said.lines() {
        if let Some(name) = between(line, "Compiling entry function '", "'") {
            assembly.entries.push(Resources { entry: name.to_owned(), ..Resources::default() });
        }
        if let Some(entry) = assembly.entries.last_mut() {
            let take = |to: &mut u32, unit: &str| {
                if let Some(number) = number_before(line, unit) {
                    *to = (*to).max(number);
                }
            };
            take(&mut entry.registers, " registers");
            take(&mut entry.shared_bytes, " bytes smem");
            take(&mut entry.stack_bytes, " bytes stack frame");
            take(&mut entry.spill_bytes, " bytes spill stores");
            take(&mut entry.spill_bytes, " bytes spill loads");
        }
        let is_repair = line.contains("(C75");
        if line.contains("error") || line.contains("fatal") || is_repair {
            assembly.complaints.push(line.trim().to_owned());
        }
    }
    if !is_success && assembly.complaints.is_empty() {
        assembly.complaints.push(said.lines().next().unwrap_or("refused").trim().to_owned());
    }
    assembly
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside)
}

fn number_before(text: &str, unit: &str) -> Option<u32> {
    let (before, _) = text.split_once(unit)?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "ptxas info    : 0 bytes gmem\n\
        ptxas info    : Compiling entry function 'scale' for 'sm_80'\n\
        ptxas info    : Function properties for scale\n    \
        0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
        ptxas info    : Used 17 registers, used 1 barriers, 4096 bytes smem, 380 bytes cmem[0]\n";

    #[test]
    fn a_good_file_has_resources_and_no_complaints() {
        let assembly = read(GOOD, true);
        let expected = Resources {
            entry: "scale".into(),
            registers: 17,
            shared_bytes: 4096,
            ..Resources::default()
        };
        assert_eq!(assembly, Assembly { entries: vec![expected], complaints: Vec::new() });
    }

    #[test]
    fn spills_repairs_and_errors_are_complaints() {
        let spills = GOOD.replace("0 bytes spill loads", "64 bytes spill loads");
        assert_eq!(read(&spills, true).entries[0].overflows(), ["scale: 64 bytes spilled"]);
        assert_eq!(read(GOOD, true).entries[0].overflows(), [""; 0]);
        let repair = format!("{GOOD}ptxas info : (C7517) Potential Performance Loss: injected\n");
        assert_eq!(read(&repair, true).complaints.len(), 1);
        let error = "ptxas , line 4; error   : Unknown symbol 'x'\n";
        assert_eq!(read(error, false).complaints, [error.trim()]);
        assert_eq!(read("", false).complaints, ["refused"]);
    }
}
