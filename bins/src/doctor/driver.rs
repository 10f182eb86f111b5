//! Where the library of the GPU driver is, found as the dynamic loader would find it but without
//! loading it.

use serde::Serialize;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use vincie_gpu::LIBRARY_VARIABLE;

/// Names of the driver's library, in the order in which they are tried.
const LIBRARIES: [&str; 2] = ["libcuda.so.1", "libcuda.so"];

/// Variable with folders that the loader searches first.
const LOADER_PATH: &str = "LD_LIBRARY_PATH";

/// The loader's list of libraries.
const LOADER_CACHE: &str = "/etc/ld.so.cache";

/// Largest list that is read, bytes.
const MAX_CACHE_BYTES: u64 = 64 << 20;

/// Folders that hold the driver on common systems; the last ones are of containers and WSL.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/cuda/compat",
    "/usr/lib/wsl/lib",
];

/// What the kernel's part of the driver says about itself.
const KERNEL_MODULE: &str = "/proc/driver/nvidia/version";

/// What is known of a GPU driver on this machine.
#[derive(Debug, Serialize)]
pub(super) struct Driver {
    /// The library, where there is one.
    library: Option<PathBuf>,
    /// Version of the kernel module, where it is loaded.
    kernel_module: Option<String>,
    /// Where the library was looked for, in this order.
    tried: Vec<String>,
}

impl Driver {
    pub(super) fn look() -> Self {
        let mut tried = Vec::new();
        let library = match env::var_os(LIBRARY_VARIABLE) {
            // A library asked for by name is not replaced by another one.
            Some(named) => {
                let named = PathBuf::from(named);
                tried.push(format!("{LIBRARY_VARIABLE}={}", named.display()));
                // A name without a slash is looked for by the loader.
                match named.to_str().filter(|name| !name.contains('/')) {
                    Some(name) => find(name, &mut tried),
                    None => Some(named).filter(|path| path.exists()),
                }
            }
            None => LIBRARIES.iter().find_map(|name| find(name, &mut tried)),
        };
        Self { library, kernel_module: kernel_module(), tried }
    }

    pub(super) fn is_found(&self) -> bool {
        self.library.is_some()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let found = match &self.library {
            Some(path) => format!("{} found; `doctor --device cuda` starts it", path.display()),
            None => {
                let names = LIBRARIES.join(" and ");
                format!("{names} not found; looked in {}", self.tried.join(", "))
            }
        };
        let module = match &self.kernel_module {
            Some(version) => format!("kernel module {version}"),
            None => "no kernel module loaded".to_owned(),
        };
        vec![found, module]
    }
}

/// Version of the driver's part in the operating system, where it is loaded.
pub(crate) fn kernel_module() -> Option<String> {
    let text = fs::read_to_string(KERNEL_MODULE).ok()?;
    text.lines().next().and_then(module_version)
}

/// The library of a name, where the loader would find it; places are noted once.
fn find(name: &str, tried: &mut Vec<String>) -> Option<PathBuf> {
    fn note(place: String, tried: &mut Vec<String>) {
        if !tried.contains(&place) {
            tried.push(place);
        }
    }
    let in_folder = |folder: &Path, tried: &mut Vec<String>| {
        note(folder.display().to_string(), tried);
        Some(folder.join(name)).filter(|path| path.exists())
    };
    for folder in env::split_paths(&env::var_os(LOADER_PATH).unwrap_or_default()) {
        if !folder.as_os_str().is_empty()
            && let Some(path) = in_folder(&folder, tried)
        {
            return Some(path);
        }
    }
    note(LOADER_CACHE.to_owned(), tried);
    let size = fs::metadata(LOADER_CACHE).map_or(0, |metadata| metadata.len());
    if size <= MAX_CACHE_BYTES
        && let Some(path) = fs::read(LOADER_CACHE).ok().and_then(|cache| in_cache(name, &cache))
    {
        return Some(path);
    }
    FOLDERS.iter().find_map(|folder| in_folder(Path::new(folder), tried))
}

/// The library's path in the loader's list, whose texts end with a zero byte.
fn in_cache(name: &str, cache: &[u8]) -> Option<PathBuf> {
    let suffix = format!("/{name}");
    let path = cache
        .split(|&byte| byte == 0)
        .filter_map(|text| std::str::from_utf8(text).ok())
        .find(|text| text.starts_with('/') && text.ends_with(&suffix))?;
    Some(PathBuf::from(path)).filter(|path| path.exists())
}

/// The number in the module's line: `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54  ...`.
fn module_version(line: &str) -> Option<String> {
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    line.split_whitespace().find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_cache_names_existing_files_only() {
        assert_eq!(in_cache(LIBRARIES[0], b""), None);
        let cache = b"\0/nowhere/libcuda.so.1\0libcuda.so.1\0";
        assert_eq!(in_cache(LIBRARIES[0], cache), None);
    }

    #[test]
    fn module_versions() {
        let line = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5";
        assert_eq!(module_version(line).as_deref(), Some("550.54.15"));
        assert_eq!(module_version("NVRM version: none"), None);
    }

    #[test]
    fn a_search_says_where() {
        let driver = Driver::look();
        assert!(!driver.tried.is_empty());
        assert_eq!(driver.lines().len(), 2);
    }
}
