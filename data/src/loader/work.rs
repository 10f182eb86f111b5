//! From a place in the plan to a session: reading, decoding, transforming, and what to do when
//! that fails. Runs on workers; the outcome depends on the job alone.

use super::plan::{Found, Place, Plan, check_of_bytes};
use super::random::{Random, Stream};
use super::{BadSessions, LoaderConfig, Transform};
use crate::session::Session;
use crate::shard::{Reason, Refusal, key_of, read_span, unpack};
use crate::{Error, Limits};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Substitutes that are drawn at random before the data set is searched in file order: a whole
/// shard that cannot be read would defeat the search alone.
const RANDOM_SUBSTITUTES: u64 = 64;

/// Sessions that are searched in file order.
const SEARCHED_SUBSTITUTES: u64 = 4096;

/// What is asked of a worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// Number in the sequence of all ranks.
    pub(super) number: u64,
    pub(super) place: Place,
}

/// What became of a job.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) session: Option<Session>,
    /// Sessions that were tried in vain, in order.
    pub(super) bad: Vec<(Reason, String)>,
    pub(super) bytes: u64,
    pub(super) ignored: u64,
    pub(super) worked: Duration,
}

/// What all workers share.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) plan: Arc<Plan>,
    limits: Limits,
    transform: Option<Transform>,
    bad_sessions: BadSessions,
}

impl Work {
    pub(super) fn new(plan: Arc<Plan>, config: &LoaderConfig) -> Self {
        Self {
            plan,
            limits: config.limits,
            transform: config.transform.clone(),
            bad_sessions: config.bad_sessions,
        }
    }

    /// Does a job. `buffer` is the worker's own, for compressed bytes.
    pub(super) fn run(&self, job: Job, buffer: &mut Vec<u8>) -> Outcome {
        let begin = Instant::now();
        let mut outcome = Outcome {
            session: None,
            bad: Vec::new(),
            bytes: 0,
            ignored: 0,
            worked: Duration::ZERO,
        };
        let mut attempts = std::iter::once(job.place).chain(self.substitutes(job));
        while outcome.session.is_none() {
            let Some(place) = attempts.next() else { break };
            if let Found::Span(_, span) = self.plan.find(place) {
                outcome.bytes += span.size;
            }
            match self.load_caught(place, buffer) {
                Ok((session, ignored)) => {
                    outcome.session = Some(session);
                    outcome.ignored += ignored;
                }
                Err(refusal) => outcome.bad.push((refusal.reason, refusal.error.to_string())),
            }
        }
        outcome.worked = begin.elapsed();
        outcome
    }

    /// The sessions that may take the place of a job's own, in the order they are tried. They are
    /// of the same data set, so the mixture keeps its weights.
    fn substitutes(&self, job: Job) -> impl Iterator<Item = Place> {
        let dataset = job.place.dataset as usize;
        let planned = &self.plan.datasets[dataset];
        let sessions = planned.sessions();
        let random = Random::new(self.plan.seed, Stream::Substitute, dataset, job.number);
        let (drawn, searched) = match self.bad_sessions {
            BadSessions::Substitute => (RANDOM_SUBSTITUTES, SEARCHED_SUBSTITUTES.min(sessions)),
            BadSessions::Skip => (0, 0),
        };
        let start = random.below(RANDOM_SUBSTITUTES, sessions);
        let ordinals = (0..drawn)
            .map(move |attempt| random.below(attempt, sessions))
            .chain((0..searched).map(move |step| (start + step) % sessions));
        ordinals.map(move |ordinal| planned.place(dataset, ordinal))
    }

    /// A decoder's panic costs one session, not the training.
    fn load_caught(&self, place: Place, buffer: &mut Vec<u8>) -> Result<(Session, u64), Refusal> {
        catch_unwind(AssertUnwindSafe(|| self.load(place, buffer))).unwrap_or_else(|payload| {
            let message = payload
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            let error = match self.plan.find(place) {
                Found::Span(shard, span) => {
                    let what = format!("panic at the session at byte {}: {message}", span.offset);
                    Error::format(&shard.path, what)
                }
                Found::Sprites(_, number) => {
                    Error::Unsupported(format!("sprites session {number}: panic: {message}"))
                }
            };
            Err(Refusal { reason: Reason::Panic, error })
        })
    }

    fn load(&self, place: Place, buffer: &mut Vec<u8>) -> Result<(Session, u64), Refusal> {
        let (shard, span) = match self.plan.find(place) {
            Found::Span(shard, span) => (shard, span),
            Found::Sprites(world, number) => {
                return Ok((self.transformed(world.session(number))?, 0));
            }
        };
        let path = &shard.path;
        let mut file = File::open(path)
            .map_err(|error| Refusal { reason: Reason::Read, error: Error::io(path, error) })?;
        read_span(&mut file, path, span.offset, span.size, buffer)?;
        let damaged = |what: &str| Refusal {
            reason: Reason::Damaged,
            error: Error::format(path, format!("session at byte {}: {what}", span.offset)),
        };
        if span.check != 0 && check_of_bytes(buffer) != span.check {
            return Err(damaged("its bytes have another hash than the index says"));
        }
        let key = key_of(buffer).ok_or_else(|| damaged("no file of a session is there"))?;
        let unpacked = unpack(buffer, &key, &self.limits, path)?;
        Ok((self.transformed(unpacked.session)?, unpacked.ignored))
    }

    fn transformed(&self, session: Session) -> Result<Session, Refusal> {
        let Some(transform) = &self.transform else { return Ok(session) };
        let refuse = |error| Refusal { reason: Reason::Transform, error };
        let session = transform.apply(session).map_err(refuse)?;
        session.validate().map_err(refuse)?;
        Ok(session)
    }
}
