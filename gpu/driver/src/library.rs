//! The driver's library: where it was looked for, and its functions by name.

use crate::result::Code;
use libc::{RTLD_LOCAL, RTLD_NOW, dlerror, dlopen, dlsym};
use std::env;
use std::ffi::{CStr, CString, c_void};
use std::sync::OnceLock;

/// Variable that names the library to open instead of the usual ones.
pub const LIBRARY_VARIABLE: &str = "VINCIE_LIBCUDA";

/// Names that the dynamic loader is asked for, in this order.
const NAMES: [&CStr; 2] = [c"libcuda.so.1", c"libcuda.so"];

/// What came of looking for the driver's library.
#[derive(Debug)]
pub struct Library {
    handle: Option<usize>,
    /// The name under which it was opened.
    pub name: Option<String>,
    /// What was tried, each with the loader's answer where it failed.
    pub tried: Vec<String>,
}

/// Opens the library at the first call; later calls give the same answer.
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let named = env::var_os(LIBRARY_VARIABLE)
            .and_then(|name| CString::new(name.into_encoded_bytes()).ok());
        match named {
            // A library asked for by name is not quietly replaced by another one.
            Some(name) => Library::open(&[&name]),
            None => Library::open(&NAMES),
        }
    })
}

impl Library {
    fn open(names: &[&CStr]) -> Self {
        let mut tried = Vec::new();
        for name in names {
            let text = name.to_string_lossy().into_owned();
            // SAFETY: the name ends with a zero byte. What runs when the library is loaded is the
            // business of the user, who installed it or named it.
            let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_LOCAL) };
            if !handle.is_null() {
                return Library { handle: Some(handle as usize), name: Some(text), tried };
            }
            // SAFETY: after a failed dlopen of this thread the text is valid or null.
            let reason = unsafe {
                let text = dlerror();
                (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
            };
            tried.push(reason.filter(|r| r.contains(&text)).unwrap_or(text));
        }
        Library { handle: None, name: None, tried }
    }

    /// True where the library was opened.
    pub fn is_found(&self) -> bool {
        self.handle.is_some()
    }

    /// Address of a function; the code says whether the library or the function is missing.
    pub(crate) fn function(&self, name: &CStr) -> Result<*mut c_void, Code> {
        let handle = self.handle.ok_or(Code::SHARED_OBJECT_INIT_FAILED)?;
        // SAFETY: the handle is of a library that is never closed; the name ends with a zero byte.
        let address = unsafe { dlsym(handle as *mut c_void, name.as_ptr()) };
        if address.is_null() { Err(Code::SHARED_OBJECT_SYMBOL_NOT_FOUND) } else { Ok(address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named_with_the_loaders_reason() {
        let library = Library::open(&[c"libvincie-none.so.7", c"libvincie-none.so"]);
        assert!(!library.is_found());
        assert_eq!(library.tried.len(), 2);
        assert!(library.tried[0].contains("libvincie-none.so.7"), "{:?}", library.tried);
        assert_eq!(library.function(c"cuInit"), Err(Code::SHARED_OBJECT_INIT_FAILED));
    }

    #[test]
    fn a_library_without_the_function_says_so() {
        let library = Library::open(&[c"libvincie-none.so", c"libc.so.6"]);
        assert_eq!(library.name.as_deref(), Some("libc.so.6"));
        assert_eq!(library.tried.len(), 1);
        let missing = library.function(c"cuInit");
        assert_eq!(missing, Err(Code::SHARED_OBJECT_SYMBOL_NOT_FOUND));
        assert!(library.function(c"memcpy").is_ok());
    }
}
