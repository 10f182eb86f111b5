//! The training input: sessions from shards in a seeded order that can be left and resumed at any
//! place.
//!
//! Data sets and seed define one endless sequence. Each pass over a data set takes its shards in
//! a new order and its sessions through a shuffle buffer; several data sets are mixed by weight.
//! Ranks take turns in the sequence, so together they see every session of a pass once, whatever
//! their number. The buffer holds places in files, not pixels, so it may be large, and a position
//! in a checkpoint is a few numbers. Workers read, decode and transform ahead; how many there are
//! does not change what is delivered.
//!
//! ```no_run
//! use vincie_data::loader::{DatasetConfig, Loader, LoaderConfig, Transform};
//!
//! # fn main() -> vincie_data::Result<()> {
//! let config = LoaderConfig {
//!     datasets: vec![DatasetConfig::new("sessions")],
//!     transform: Some(Transform::fit(256, 256)),
//!     ..LoaderConfig::default()
//! };
//! let mut loader = Loader::open(config.clone())?;
//! for session in loader.by_ref().take(1000) {
//!     println!("{}", session?.key);
//! }
//! let checkpoint = loader.position();
//! // Later, in another process: session 1001 comes next.
//! let loader = Loader::resume(config, &checkpoint)?;
//! # Ok(())
//! # }
//! ```

mod config;
mod holdout;
mod order;
mod plan;
mod position;
pub(crate) mod random;
mod statistics;
#[cfg(test)]
mod tests;
mod work;
mod workers;

pub use config::{BadSessions, DatasetConfig, DatasetSource, LoaderConfig, Order, Transform};
pub use holdout::{HoldOut, HoldOutBy, Part};
pub use position::LoaderPosition;
pub use statistics::{LoaderStatistics, Skipped};

use crate::session::Session;
use crate::{Error, Result};
use order::Sequence;
use plan::Plan;
use std::sync::Arc;
use std::time::Instant;
use work::{Job, Work};
use workers::Workers;

/// An iterator over sessions for one rank.
///
/// `next` gives `Some(Ok(session))` for as long as there are any usable sessions, forever when no
/// number of epochs is set. `Some(Err(_))` comes only when nothing can be used, and is the last.
#[derive(Debug)]
pub struct Loader {
    plan: Arc<Plan>,
    sequence: Sequence,
    workers: Workers,
    statistics: LoaderStatistics,
    rank: u64,
    world: u64,
    prefetch: usize,
    /// Number in the sequence at which this loader began.
    start: u64,
    /// Turns of this rank: put in line, taken, and in all.
    planned: u64,
    taken: u64,
    turns: u64,
    /// Turns in a row that gave nothing.
    barren: u64,
    is_done: bool,
}

impl Loader {
    /// Opens all shards and starts at the beginning of the sequence.
    pub fn open(config: LoaderConfig) -> Result<Self> {
        let plan = Plan::new(&config)?;
        let turns = turns(&config, &plan, 0);
        if turns == 0 {
            return Err(Error::Unsupported(format!(
                "loader: {} sessions for {} ranks; every rank needs one at least",
                plan.sessions(),
                config.world
            )));
        }
        Self::start(config, plan, 0)
    }

    /// Opens all shards and goes on from a position. Data sets, seed, order and hold-out must be
    /// those of the position; ranks, workers and transform may be others.
    pub fn resume(config: LoaderConfig, position: &LoaderPosition) -> Result<Self> {
        let plan = Plan::new(&config)?;
        position.check(&plan)?;
        Self::start(config, plan, position.drawn)
    }

    /// The place behind the sessions that were taken so far, for [`Loader::resume`].
    pub fn position(&self) -> LoaderPosition {
        LoaderPosition::new(&self.plan, self.start + self.taken * self.world)
    }

    /// Sessions in all data sets after the hold-out.
    pub fn sessions(&self) -> u64 {
        self.plan.sessions()
    }

    /// Sessions that all ranks together take in an epoch. With one data set that is all its
    /// sessions; in a mixture, enough to read every data set to its end at least once.
    pub fn epoch_sessions(&self) -> u64 {
        self.plan.epoch()
    }

    /// Number of the epoch that the next session belongs to, from 0.
    pub fn epoch(&self) -> u64 {
        self.position().drawn / self.epoch_sessions()
    }

    /// What was done so far.
    pub fn statistics(&self) -> &LoaderStatistics {
        &self.statistics
    }

    fn start(config: LoaderConfig, plan: Plan, start: u64) -> Result<Self> {
        let plan = Arc::new(plan);
        let turns = turns(&config, &plan, start);
        Ok(Self {
            sequence: Sequence::new(&plan, start),
            workers: Workers::start(Work::new(Arc::clone(&plan), &config), config.workers)?,
            statistics: plan.found.clone(),
            rank: config.rank as u64,
            world: config.world as u64,
            prefetch: config.prefetch,
            start,
            planned: 0,
            taken: 0,
            turns,
            barren: 0,
            is_done: false,
            plan,
        })
    }

    /// Barren turns in a row after which everything counts as bad. Between two visits of the
    /// same session lie less than two epochs.
    fn patience(&self) -> u64 {
        let share = self.plan.epoch().div_ceil(self.world).saturating_mul(2);
        if self.start == 0 { share.min(self.turns) } else { share }
    }

    /// Keeps the workers busy.
    fn plan_ahead(&mut self) {
        let mut outstanding = self.workers.outstanding();
        while outstanding < self.prefetch && self.planned < self.turns {
            for rank in 0..self.world {
                let (number, place) = self.sequence.next(&self.plan);
                if rank == self.rank {
                    self.workers.push(Job { number, place });
                }
            }
            self.planned += 1;
            outstanding += 1;
        }
    }
}

impl Iterator for Loader {
    type Item = Result<Session>;

    fn next(&mut self) -> Option<Result<Session>> {
        while !self.is_done {
            self.plan_ahead();
            let begin = Instant::now();
            let Some(outcome) = self.workers.take() else { break };
            self.statistics.waited += begin.elapsed();
            self.taken += 1;
            self.statistics.bytes += outcome.bytes;
            self.statistics.ignored_members += outcome.ignored;
            self.statistics.worked += outcome.worked;
            for (reason, error) in &outcome.bad {
                self.statistics.skip(*reason, error);
            }
            if let Some(session) = outcome.session {
                self.barren = 0;
                self.statistics.sessions += 1;
                self.statistics.substitutes += u64::from(!outcome.bad.is_empty());
                return Some(Ok(session));
            }
            self.barren += 1;
            // Where substitutes are allowed they were tried in vain already.
            if outcome.bad.len() > 1 || self.barren >= self.patience() {
                self.is_done = true;
                let (_, first) = outcome.bad.into_iter().next()?;
                return Some(Err(Error::Unsupported(format!(
                    "loader: no usable session is left; {} were tried in vain, for instance {first}",
                    self.statistics.skipped_sessions()
                ))));
            }
        }
        self.is_done = true;
        None
    }
}

/// Turns of one rank from `start` to the end of the last epoch. All ranks have as many, so up to
/// one turn less than there are ranks is left over at the very end.
fn turns(config: &LoaderConfig, plan: &Plan, start: u64) -> u64 {
    let world = config.world as u64;
    match config.epochs {
        None => u64::MAX / world,
        Some(epochs) => epochs.saturating_mul(plan.epoch()).saturating_sub(start) / world,
    }
}
