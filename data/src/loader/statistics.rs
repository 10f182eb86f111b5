//! What a loader has done so far.

use crate::shard::Reason;
use std::collections::BTreeMap;
use std::time::Duration;

/// Counts of one loader since it was opened. They follow the order of delivery, so all but the
/// times are the same for any number of workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoaderStatistics {
    /// Sessions delivered.
    pub sessions: u64,
    /// Sessions delivered in place of bad ones.
    pub substitutes: u64,
    /// Compressed bytes read.
    pub bytes: u64,
    /// Files in shards that are no part of a session, beside the sessions that were read.
    pub ignored_members: u64,
    /// Sessions, and parts of shards, that could not be used, by reason.
    pub skipped: BTreeMap<Reason, Skipped>,
    /// Time that the caller waited for sessions.
    pub waited: Duration,
    /// Time that workers spent reading, decoding and transforming, summed over workers.
    pub worked: Duration,
}

/// Bad sessions of one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// How often.
    pub count: u64,
    /// The first error.
    pub first: String,
}

impl LoaderStatistics {
    /// Sessions, and parts of shards, that could not be used.
    pub fn skipped_sessions(&self) -> u64 {
        self.skipped.values().map(|skipped| skipped.count).sum()
    }

    /// Counts a bad session.
    pub(super) fn skip(&mut self, reason: Reason, error: &str) {
        let skipped = self
            .skipped
            .entry(reason)
            .or_insert_with(|| Skipped { count: 0, first: error.to_owned() });
        skipped.count += 1;
    }
}
