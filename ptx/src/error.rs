//! The one error type of the crate: what failed, where, and what would be right.

use std::fmt;

/// Why PTX could not be parsed, decoded, launched or run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The text is not PTX as the machine reads it.
    Parse {
        /// Name of the module as given to the parser.
        module: String,
        /// Line in the PTX text, from 1.
        line: u32,
        /// What was met and what was expected.
        message: String,
    },
    /// An instruction is well formed but the machine does not know it.
    Unsupported {
        /// Name of the module.
        module: String,
        /// Line in the PTX text, from 1.
        line: u32,
        /// The opcode with all its modifiers, and what about it is not known.
        opcode: String,
    },
    /// A launch does not fit the kernel or the machine.
    Launch(String),
    /// The kernel did what a device answers with a fault, and no check was on to report it.
    Fault(String),
    /// A corpus case, a contract header or one of their files is wrong.
    Case(String),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Parse { module, line, message } => write!(out, "{module}:{line}: {message}"),
            Error::Unsupported { module, line, opcode } => {
                write!(out, "{module}:{line}: unsupported instruction {opcode}")
            }
            Error::Launch(message) => write!(out, "launch: {message}"),
            Error::Fault(message) => write!(out, "fault: {message}"),
            Error::Case(message) => write!(out, "{message}"),
        }
    }
}

impl std::error::Error for Error {}

/// Result of everything in this crate that outside data can make fail.
pub type Result<T> = std::result::Result<T, Error>;
