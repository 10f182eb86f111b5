//! The crate's error: one line that says what failed, with which values, and what would be right.

use std::path::{Path, PathBuf};

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a file and a session.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Bytes that do not follow their format.
    #[error("{}: {what}", path.display())]
    Format {
        /// File they came from, with a position where one is known.
        path: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
    /// Input above a limit; nothing was allocated for it.
    #[error("{}: {what}", path.display())]
    Limit {
        /// File that asks for too much.
        path: PathBuf,
        /// Asked for and allowed.
        what: String,
    },
    /// Data in which no session is left to read, after what is damaged and what is held out.
    #[error("{0}")]
    NoSessions(String),
    /// A request that cannot be served: a missing program, an option out of range.
    #[error("{0}")]
    Unsupported(String),
}

impl Error {
    /// An input/output error at `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// A format error at `path`.
    pub fn format(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_owned(), what: what.into() }
    }

    /// A limit error at `path`.
    pub fn limit(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self::Limit { path: path.as_ref().to_owned(), what: what.into() }
    }
}
