//! The loader as a whole: what it delivers, in which order, and from where it goes on.

mod faults;
mod orders;
mod resume;
mod sprites;

use super::*;
use crate::session::{Session, fixtures, fixtures::Scratch};
use crate::shard::{Dataset, FrameFormat, ShardWriter, WriterConfig};
use std::path::Path;

/// A data set of small sessions `{name}-000`, `{name}-001`, ...
fn dataset(folder: &Path, name: &str, count: u32, per_shard: usize) -> Dataset {
    let config = WriterConfig {
        name: name.to_owned(),
        frames: FrameFormat::Png,
        max_sessions: per_shard,
        ..WriterConfig::default()
    };
    let mut writer = ShardWriter::create(folder, config).expect("the folder is new");
    for seed in 0..count {
        let key = format!("{name}-{seed:03}");
        let session = fixtures::session(&key, seed, 2 + seed as usize % 2, 4, 3);
        writer.write(&session).expect("the session is valid");
    }
    writer.finish().expect("the disk takes it")
}

/// Shuffled with a small buffer, decoding in the calling thread.
fn config(folder: &Path) -> LoaderConfig {
    LoaderConfig {
        datasets: vec![DatasetConfig::new(folder)],
        seed: 7,
        order: Order::Shuffled { buffer: 5 },
        workers: 0,
        prefetch: 4,
        ..LoaderConfig::default()
    }
}

fn open(config: LoaderConfig) -> Loader {
    Loader::open(config).expect("the data is good")
}

fn take(loader: &mut Loader, count: usize) -> Vec<Session> {
    loader.take(count).map(|session| session.expect("some session is usable")).collect()
}

fn keys(sessions: &[Session]) -> Vec<&str> {
    sessions.iter().map(|session| session.key.as_str()).collect()
}

/// The keys that a loader delivers until its end.
fn all_keys(config: LoaderConfig) -> Vec<String> {
    open(config).map(|session| session.expect("some session is usable").key).collect()
}

fn sorted<T: Ord + Clone>(items: &[T]) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort();
    items
}

fn message(result: Result<Loader>) -> String {
    let text = result.expect_err("it is refused").to_string();
    assert!(!text.contains('\n'), "{text:?} is one line");
    text
}
