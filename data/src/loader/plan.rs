//! Everything that decides which sessions there are: read once, before the first session.

use super::holdout::HoldOutBy;
use super::statistics::LoaderStatistics;
use super::{DatasetSource, LoaderConfig, Order, Part};
use crate::shard::{Reason, ShardEntry, ShardReader, list_shards};
use crate::sprites::{Purpose, World};
use crate::{Error, Limits, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Most sessions in a data set: with their number of entries, positions stay far from overflow.
const MAX_SESSIONS: u64 = 1 << 40;

/// Most different sessions of the synthetic world in a data set; an epoch keeps 4 bytes for each
/// 65,536 of them.
pub(super) const MAX_SPRITES: u64 = 1 << 32;

/// Largest weight of a data set.
const MAX_WEIGHT: u32 = 1000;

/// Most data sets in a mixture.
const MAX_DATASETS: usize = 1000;

/// The data, and what the order of sessions depends on.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) order: Order,
    pub(super) datasets: Vec<PlannedDataset>,
    pub(super) fingerprint: String,
    /// What was found bad while the shards were opened.
    pub(super) found: LoaderStatistics,
}

/// One data set.
#[derive(Debug)]
pub(super) struct PlannedDataset {
    /// Share of the mixture; the weights have no common divisor.
    pub(super) weight: u64,
    pub(super) source: PlannedSource,
}

/// Where the sessions of a data set come from.
#[derive(Debug)]
pub(super) enum PlannedSource {
    Shards {
        shards: Vec<PlannedShard>,
        /// Sessions in the shards before each one; one entry more than shards.
        starts: Vec<u64>,
    },
    /// Made on the fly. It counts as shards of [`SPRITES_PER_SHARD`] sessions, so that places fit.
    Sprites { world: World, sessions: u64 },
}

/// Sessions of the synthetic world that stand together like those of a shard.
pub(super) const SPRITES_PER_SHARD: u64 = 1 << 16;

/// Where the bytes of a session are, or how it is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'p> {
    Span(&'p PlannedShard, Span),
    Sprites(&'p World, u64),
}

/// One shard and the sessions of it that are read: 24 bytes a session.
#[derive(Debug)]
pub(super) struct PlannedShard {
    pub(super) path: PathBuf,
    pub(super) spans: Vec<Span>,
}

/// Where a session stands. Its key is read from the shard itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) size: u64,
    /// First eight bytes of its SHA-256, 0 when unknown.
    pub(super) check: u64,
}

/// A session of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) dataset: u32,
    pub(super) shard: u32,
    pub(super) entry: u32,
}

impl Plan {
    /// Opens every shard of every data set and keeps what the hold-out selects.
    pub(super) fn new(config: &LoaderConfig) -> Result<Self> {
        check_config(config)?;
        let divisor = config.datasets.iter().fold(0, |divisor, dataset| {
            greatest_common_divisor(divisor, u64::from(dataset.weight))
        });
        let mut hasher = Sha256::new();
        hasher.update(format!("{} {:?} {:?}\n", config.seed, config.order, config.hold_out));
        let mut found = LoaderStatistics::default();
        let mut datasets = Vec::with_capacity(config.datasets.len());
        for dataset in &config.datasets {
            let weight = u64::from(dataset.weight) / divisor;
            hasher.update(format!("weight {weight}\n"));
            let dataset_paths = match &dataset.source {
                DatasetSource::Shards(paths) => paths,
                DatasetSource::Sprites { world, sessions } => {
                    let source = sprites(*world, *sessions, config)?;
                    hasher.update(format!("{source:?}\n"));
                    datasets.push(PlannedDataset { weight, source });
                    continue;
                }
            };
            let mut paths = Vec::new();
            for path in dataset_paths {
                paths.extend(list_shards(path)?);
            }
            let opened: Vec<Result<Opened>> =
                paths.into_par_iter().map(|path| open(path, config)).collect();
            let (mut shards, mut starts) = (Vec::new(), vec![0]);
            let mut sessions = 0;
            for opened in opened {
                let opened = opened?;
                for (reason, error) in opened.bad {
                    found.skip(reason, &error);
                }
                opened.shard.hash_into(opened.length, &mut hasher);
                sessions += opened.shard.spans.len() as u64;
                shards.push(opened.shard);
                starts.push(sessions);
            }
            if sessions == 0 || sessions > MAX_SESSIONS {
                let first = found.skipped.values().next();
                let bad = first.map_or(String::new(), |bad| format!("; first: {}", bad.first));
                let kind = if sessions == 0 { Error::NoSessions } else { Error::Unsupported };
                return Err(kind(format!(
                    "{}: {sessions} sessions in {} shards after the hold-out; 1 to {MAX_SESSIONS} \
                     are needed{bad}",
                    dataset.name(),
                    shards.len()
                )));
            }
            datasets
                .push(PlannedDataset { weight, source: PlannedSource::Shards { shards, starts } });
        }
        let fingerprint =
            hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(Self { seed: config.seed, order: config.order, datasets, fingerprint, found })
    }

    /// Sessions in all data sets.
    pub(super) fn sessions(&self) -> u64 {
        self.datasets.iter().map(PlannedDataset::sessions).sum()
    }

    /// Sessions in a block of the mixture.
    pub(super) fn block(&self) -> u64 {
        self.datasets.iter().map(|dataset| dataset.weight).sum()
    }

    /// Sessions in an epoch: as many whole blocks as it takes until every data set was read to
    /// its end at least once. With one data set that is its number of sessions.
    pub(super) fn epoch(&self) -> u64 {
        let blocks =
            self.datasets.iter().map(|dataset| dataset.sessions().div_ceil(dataset.weight)).max();
        blocks.unwrap_or(0) * self.block()
    }

    /// Where a session is found.
    pub(super) fn find(&self, place: Place) -> Found<'_> {
        match &self.datasets[place.dataset as usize].source {
            PlannedSource::Shards { shards, .. } => {
                let shard = &shards[place.shard as usize];
                Found::Span(shard, shard.spans[place.entry as usize])
            }
            PlannedSource::Sprites { world, .. } => {
                let number = u64::from(place.shard) * SPRITES_PER_SHARD + u64::from(place.entry);
                Found::Sprites(world, number)
            }
        }
    }
}

impl PlannedDataset {
    /// Sessions of one pass.
    pub(super) fn sessions(&self) -> u64 {
        match &self.source {
            PlannedSource::Shards { starts, .. } => starts.last().copied().unwrap_or(0),
            PlannedSource::Sprites { sessions, .. } => *sessions,
        }
    }

    /// Number of shards.
    pub(super) fn shards(&self) -> usize {
        match &self.source {
            PlannedSource::Shards { shards, .. } => shards.len(),
            PlannedSource::Sprites { sessions, .. } => {
                sessions.div_ceil(SPRITES_PER_SHARD) as usize
            }
        }
    }

    /// Sessions in shard `shard`.
    pub(super) fn sessions_in(&self, shard: usize) -> usize {
        match &self.source {
            PlannedSource::Shards { shards, .. } => shards[shard].spans.len(),
            PlannedSource::Sprites { sessions, .. } => {
                let before = shard as u64 * SPRITES_PER_SHARD;
                (sessions - before).min(SPRITES_PER_SHARD) as usize
            }
        }
    }

    /// Session `ordinal` in file order.
    pub(super) fn place(&self, dataset: usize, ordinal: u64) -> Place {
        let (shard, entry) = match &self.source {
            PlannedSource::Shards { starts, .. } => {
                let shard = starts.partition_point(|&start| start <= ordinal) - 1;
                (shard as u64, ordinal - starts[shard])
            }
            PlannedSource::Sprites { .. } => {
                (ordinal / SPRITES_PER_SHARD, ordinal % SPRITES_PER_SHARD)
            }
        };
        Place { dataset: dataset as u32, shard: shard as u32, entry: entry as u32 }
    }
}

impl PlannedShard {
    /// Names count without folders, so data may be moved between two runs.
    fn hash_into(&self, length: u64, hasher: &mut Sha256) {
        let name = self.path.file_name().unwrap_or_default();
        hasher.update(name.as_encoded_bytes());
        hasher.update(format!("\n{length} {}\n", self.spans.len()));
        for span in &self.spans {
            for number in [span.offset, span.size, span.check] {
                hasher.update(number.to_le_bytes());
            }
        }
    }
}

/// The synthetic world with the sessions of one side of the hold-out.
fn sprites(mut world: World, sessions: u64, config: &LoaderConfig) -> Result<PlannedSource> {
    world.check()?;
    if !(1..=MAX_SPRITES).contains(&sessions) {
        let what = format!("loader: {sessions} sprites sessions; it is 1 to {MAX_SPRITES}");
        return Err(Error::Unsupported(what));
    }
    if let Some(hold_out) = &config.hold_out {
        world.purpose = match hold_out.part {
            Part::Train => Purpose::Train,
            Part::HeldOut => Purpose::HeldOut,
        };
    }
    Ok(PlannedSource::Sprites { world, sessions })
}

/// A shard that was looked at.
struct Opened {
    shard: PlannedShard,
    length: u64,
    bad: Vec<(Reason, String)>,
}

fn open(path: PathBuf, config: &LoaderConfig) -> Result<Opened> {
    let limits: &Limits = &config.limits;
    let reader = ShardReader::open(&path, limits)?;
    let mut bad: Vec<_> =
        reader.problems().into_iter().map(|error| (Reason::Damaged, error.to_string())).collect();
    if reader.is_cut()
        && let Some(last) = bad.last_mut()
    {
        last.0 = Reason::Cut;
    }
    let mut spans = Vec::new();
    for entry in reader.entries() {
        if is_selected(entry, config, &path)? {
            spans.push(Span {
                offset: entry.offset,
                size: entry.size,
                check: entry.sha256.as_deref().map_or(0, check_of),
            });
        }
    }
    spans.shrink_to_fit();
    Ok(Opened { length: reader.length(), shard: PlannedShard { path, spans }, bad })
}

fn is_selected(entry: &ShardEntry, config: &LoaderConfig, path: &PathBuf) -> Result<bool> {
    let Some(hold_out) = &config.hold_out else { return Ok(true) };
    match (hold_out.by, &entry.source) {
        (HoldOutBy::Key, _) => Ok(hold_out.contains(&entry.key)),
        (HoldOutBy::Source, Some(source)) => Ok(hold_out.contains(source)),
        (HoldOutBy::Source, None) => Err(Error::format(
            path,
            "hold-out by source needs an index that fits the shard; index it first",
        )),
    }
}

/// The first eight bytes of a hash in hexadecimal, 0 for what is none.
fn check_of(sha256: &str) -> u64 {
    sha256.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// The same of bytes.
pub(super) fn check_of_bytes(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn check_config(config: &LoaderConfig) -> Result<()> {
    let refuse = |what: String| Err(Error::Unsupported(format!("loader: {what}")));
    if config.datasets.is_empty() || config.datasets.len() > MAX_DATASETS {
        return refuse(format!(
            "{} data sets; it takes 1 to {MAX_DATASETS}",
            config.datasets.len()
        ));
    }
    if let Some(dataset) =
        config.datasets.iter().find(|dataset| !(1..=MAX_WEIGHT).contains(&dataset.weight))
    {
        return refuse(format!(
            "{} has weight {}; weights are 1 to {MAX_WEIGHT}",
            dataset.name(),
            dataset.weight
        ));
    }
    if config.world == 0 || config.rank >= config.world {
        return refuse(format!(
            "rank {} of {}; ranks count from 0 and are below their number",
            config.rank, config.world
        ));
    }
    if config.hold_out.is_some_and(|hold_out| hold_out.every < 2) {
        return refuse("hold-out of every session; it is one of at least 2".to_owned());
    }
    if config.prefetch == 0 {
        return refuse("prefetch of 0 sessions; it is at least 1".to_owned());
    }
    Ok(())
}
