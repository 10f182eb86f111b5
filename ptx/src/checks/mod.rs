//! What a launch is checked for: findings, the clocks that order accesses, and the shadows that
//! remember them.

mod clock;
mod finding;
mod lint;
mod shadow;

pub(crate) use clock::{Clock, Entry, Handover, WarpTime};
pub use finding::{Finding, FindingKind, Party};
pub(crate) use lint::lint;
pub(crate) use shadow::{Actor, Conflict, Kind, Shadow, Stamp};
