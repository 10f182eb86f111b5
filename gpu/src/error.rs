//! The one error type of the crate.

use std::fmt;
use vincie_driver::Code;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No driver library, or one that does not start.
    NoDriver,
    /// The driver has no device of that ordinal.
    NoDevice,
    /// Device memory is used up; the message says who holds it.
    OutOfMemory,
    /// PTX that does not compile, or a kernel that the module lacks.
    Module,
    /// Arguments that do not fit, refused before any call.
    Argument,
    /// A kernel failed. The device fails every later call; the message has the last launches.
    Fault,
    /// Any other code of the driver.
    Driver,
}

/// What failed, with which values, and what would be right; one line, except of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind.
    pub kind: ErrorKind,
    /// The driver's code, where a call failed.
    pub code: Option<Code>,
    message: String,
}

/// Result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, code: None, message: message.into() }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument, message)
    }

    /// The failure of a driver's call, with what the driver has to say.
    pub(crate) fn of_call(call: &str, code: Code) -> Self {
        let kind = match code {
            Code::OUT_OF_MEMORY => ErrorKind::OutOfMemory,
            Code::SHARED_OBJECT_INIT_FAILED => ErrorKind::NoDriver,
            Code::NO_DEVICE | Code::INVALID_DEVICE => ErrorKind::NoDevice,
            code if code.is_sticky() => ErrorKind::Fault,
            _ => ErrorKind::Driver,
        };
        let detail = vincie_driver::message().map(|text| format!(": {text}")).unwrap_or_default();
        Error { kind, code: Some(code), message: format!("{call}: {code}{detail}") }
    }

    /// True where PTX is of a later version than the driver reads.
    pub fn is_later_ptx(&self) -> bool {
        self.code == Some(Code::UNSUPPORTED_PTX_VERSION)
    }

    pub(crate) fn with_note(mut self, note: &str) -> Self {
        if !note.is_empty() {
            self.message.push('\n');
            self.message.push_str(note);
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Turns the code of a call into a result.
pub(crate) fn check(call: &str, code: Code) -> Result<()> {
    if code.is_success() { Ok(()) } else { Err(Error::of_call(call, code)) }
}
