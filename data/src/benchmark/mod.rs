//! The arithmetic of MSE-Bench, which every benchmark of sessions shares: a turn passes when both of
//! its scores are above the threshold, the first turn that fails ends the session, and everything is
//! divided by the number of all sessions.

mod tally;

pub use tally::{CategoryTally, Interval, Tally, TurnScores, wilson};

/// Scores pass when they are above this, of 10.
pub const PASS: f64 = 6.0;
