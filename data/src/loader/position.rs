//! Where a loader stands, for checkpoints.

use super::plan::Plan;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Version of the position's meaning; it changes with the order that a seed gives.
const FORMAT: u32 = 1;

/// Most sessions that a position may have drawn, so that counting on cannot overflow.
const MAX_DRAWN: u64 = 1 << 60;

/// A loader's place in the endless sequence that its data and seed define.
///
/// It is a handful of numbers: the shuffle buffer is computed again from them. All ranks that
/// have taken the same number of sessions have the same position, and it may be resumed with
/// another number of ranks: the sequence of all ranks together goes on where it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoaderPosition {
    /// Version of the position's meaning.
    pub format: u32,
    /// Sessions that all ranks together have taken, or passed over as bad.
    pub drawn: u64,
    /// The loader's seed.
    pub seed: u64,
    /// Sessions in all data sets, after the hold-out.
    pub sessions: u64,
    /// Hash of the data and of every option that the order depends on.
    pub fingerprint: String,
}

impl LoaderPosition {
    pub(super) fn new(plan: &Plan, drawn: u64) -> Self {
        Self {
            format: FORMAT,
            drawn,
            seed: plan.seed,
            sessions: plan.sessions(),
            fingerprint: plan.fingerprint.clone(),
        }
    }

    /// `Err` unless the plan gives the sequence that the position was taken in.
    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        let differs = |what: &str, then: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
            Err(Error::Unsupported(format!(
                "resume: {what} was {then} when the position was taken and is {now} now; resume \
                 with the same data and options, or start anew"
            )))
        };
        if self.format != FORMAT {
            return differs("the position's format", &self.format, &FORMAT);
        }
        if self.seed != plan.seed {
            return differs("the seed", &self.seed, &plan.seed);
        }
        if self.sessions != plan.sessions() {
            return differs("the number of sessions", &self.sessions, &plan.sessions());
        }
        if self.fingerprint != plan.fingerprint {
            return differs(
                "the hash of shards, weights, hold-out and order",
                &self.fingerprint,
                &plan.fingerprint,
            );
        }
        if self.drawn > MAX_DRAWN {
            return differs("the number of drawn sessions", &self.drawn, &"at most 2^60");
        }
        Ok(())
    }
}
