//! One thing that is wrong with a value, before it is known where the value was written.

use std::fmt;

/// A key and what is wrong with it; displays as one line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    /// `section.key`, or `section`.
    pub(super) key: String,
    /// What is wrong and what would be right.
    pub(super) what: String,
}

impl Problem {
    pub(super) fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.what)
    }
}

/// `Err` unless the value is in its range, which `expected` says in words.
pub(super) fn require(
    is_in_range: bool,
    key: &str,
    value: impl fmt::Debug,
    expected: &str,
) -> Result<(), Problem> {
    if is_in_range {
        return Ok(());
    }
    Err(Problem::new(key, format!("is {value:?}; expected {expected}")))
}

/// Requires a share.
pub(super) fn require_share(key: &str, value: f64) -> Result<(), Problem> {
    require((0.0..=1.0).contains(&value), key, value, "a share from 0 to 1")
}

/// Requires a seed that TOML can hold.
pub(super) fn require_seed(key: &str, value: u64) -> Result<(), Problem> {
    require(i64::try_from(value).is_ok(), key, value, "at most 9223372036854775807")
}
