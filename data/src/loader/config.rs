//! What a loader is asked to do.

use super::HoldOut;
use crate::session::Session;
use crate::sprites::World;
use crate::{Limits, Result};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything a [`super::Loader`] needs to know.
#[derive(Clone, Debug)]
pub struct LoaderConfig {
    /// Data sets and their weights.
    pub datasets: Vec<DatasetConfig>,
    /// Seed of the order.
    pub seed: u64,
    /// The order of sessions in a pass.
    pub order: Order,
    /// Which sessions to read; all without.
    pub hold_out: Option<HoldOut>,
    /// This rank, from 0.
    pub rank: usize,
    /// Number of ranks.
    pub world: usize,
    /// Epochs after which the loader ends, counted from the start of the sequence even when it is
    /// resumed; never without.
    pub epochs: Option<u64>,
    /// What to deliver for a session that cannot be used.
    pub bad_sessions: BadSessions,
    /// Threads that decode ahead; with 0, sessions are decoded in `next`.
    pub workers: usize,
    /// Most sessions that are decoded, or being decoded, ahead; this bounds the memory.
    pub prefetch: usize,
    /// Limits for pictures.
    pub limits: Limits,
    /// Done to every session on the worker, for instance resizing.
    pub transform: Option<Transform>,
}

/// One data set of a mixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetConfig {
    /// Where its sessions come from.
    pub source: DatasetSource,
    /// Of as many sessions as the weights of all data sets sum to, this one gives so many.
    pub weight: u32,
}

/// Where sessions come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatasetSource {
    /// Shards and folders of shards, in this order. Keys may repeat between them.
    Shards(Vec<PathBuf>),
    /// The synthetic world, made on the workers. A hold-out's part decides what they are made for,
    /// so the held-out sessions are others than those trained on, and none is left out.
    Sprites {
        /// Which episodes there are.
        world: World,
        /// Different sessions, numbered from 0.
        sessions: u64,
    },
}

/// The order of sessions in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they stand in the files, the same in every pass.
    FileOrder,
    /// Shards in random order, their sessions through a buffer from which a random one is taken.
    Shuffled {
        /// Sessions in the buffer, 12 bytes each: at least as many as a few shards hold mixes
        /// well, more than the data set holds makes every order equally likely.
        buffer: usize,
    },
}

/// What to deliver for a session that cannot be used. It is counted in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSessions {
    /// Another session of the same data set, drawn at random: all ranks get as many sessions.
    Substitute,
    /// The next one: no session comes twice in a pass, but ranks may end at different times.
    Skip,
}

/// A function that workers apply to each session; an `Err` or an invalid result makes the session
/// a bad one. It should depend on the session alone, or the order of workers would show.
#[derive(Clone)]
pub struct Transform(Arc<TransformFunction>);

type TransformFunction = dyn Fn(Session) -> Result<Session> + Send + Sync;

impl Default for LoaderConfig {
    /// No data yet; an endless shuffled sequence for a single rank.
    fn default() -> Self {
        Self {
            datasets: Vec::new(),
            seed: 0,
            order: Order::Shuffled { buffer: 10_000 },
            hold_out: None,
            rank: 0,
            world: 1,
            epochs: None,
            bad_sessions: BadSessions::Substitute,
            workers: 2,
            prefetch: 8,
            limits: Limits::default(),
            transform: None,
        }
    }
}

impl DatasetConfig {
    /// The shards of one folder or file, with weight 1.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { source: DatasetSource::Shards(vec![path.into()]), weight: 1 }
    }

    /// What errors call it.
    pub(super) fn name(&self) -> String {
        match &self.source {
            DatasetSource::Shards(paths) => {
                let first = paths.first().map_or("no path".into(), |path| path.to_string_lossy());
                format!("data set {first}")
            }
            DatasetSource::Sprites { .. } => "data set sprites".to_owned(),
        }
    }
}

impl Transform {
    /// A transform from a function.
    pub fn new(function: impl Fn(Session) -> Result<Session> + Send + Sync + 'static) -> Self {
        Self(Arc::new(function))
    }

    /// [`Session::fit`] to a size whose sides are at least 1.
    pub fn fit(width: usize, height: usize) -> Self {
        assert!(width > 0 && height > 0, "fit to {width} x {height}");
        Self::new(move |session| Ok(session.fit(width, height)))
    }

    /// Applies it.
    pub fn apply(&self, session: Session) -> Result<Session> {
        (self.0)(session)
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Transform")
    }
}
