//! The crate's error: one line that says what failed, with which values, and what would be right.

use std::path::{Path, PathBuf};

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between files, configurations and the model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An op refused its inputs.
    #[error(transparent)]
    Tensor(#[from] vincie_tensor::Error),
    /// Images or sessions could not be read.
    #[error(transparent)]
    Data(#[from] vincie_data::Error),
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
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
    /// A configuration or request that contradicts itself or the model.
    #[error("{0}")]
    Invalid(String),
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

    /// A request that cannot be served.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid(what.into())
    }
}
