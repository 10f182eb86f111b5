//! The synthetic world as a data set: no files, the same rules.

use super::*;
use crate::sprites::{Purpose, World};

fn sprites(sessions: u64, hold_out: Option<HoldOut>) -> LoaderConfig {
    let world = World { turns: 2, side: 16, ..World::new(5, Purpose::Train) };
    let source = DatasetSource::Sprites { world, sessions };
    LoaderConfig {
        datasets: vec![DatasetConfig { source, weight: 1 }],
        hold_out,
        ..config(Path::new(""))
    }
}

fn part(part: Part) -> Option<HoldOut> {
    Some(HoldOut { every: 50, by: HoldOutBy::Key, part })
}

#[test]
fn a_pass_over_few_sessions_gives_each_once() {
    let config = LoaderConfig { epochs: Some(2), ..sprites(13, None) };
    let keys = all_keys(config);
    let expected: Vec<String> = (0..13).map(|i| format!("sprites-train-5-{i:08}")).collect();
    assert_eq!(sorted(&keys[..13]), expected);
    assert_eq!(sorted(&keys[13..]), expected);
    assert_ne!(keys[..13], keys[13..]);
}

#[test]
fn endless_data_goes_on_from_any_place() {
    let config = sprites(1 << 32, part(Part::Train));
    let mut whole = open(config.clone());
    take(&mut whole, 301);
    let position = whole.position();
    let expected = take(&mut whole, 20);
    let workers = LoaderConfig { workers: 2, ..config };
    let mut resumed = Loader::resume(workers, &position).expect("the position fits");
    assert_eq!(take(&mut resumed, 20), expected);
    let other = LoaderConfig { seed: 8, ..sprites(1 << 32, part(Part::Train)) };
    assert!(message(Loader::resume(other, &position)).contains("seed"));
    let fewer = sprites(1 << 31, part(Part::Train));
    assert!(message(Loader::resume(fewer, &position)).contains("number of sessions"));
}

#[test]
fn held_out_sessions_are_others_and_shards_mix_in() {
    let train: Vec<String> =
        all_keys(LoaderConfig { epochs: Some(1), ..sprites(40, part(Part::Train)) });
    let held: Vec<String> =
        all_keys(LoaderConfig { epochs: Some(1), ..sprites(40, part(Part::HeldOut)) });
    assert_eq!((train.len(), held.len()), (40, 40));
    assert!(held.iter().all(|key| key.starts_with("sprites-held-") && !train.contains(key)));

    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 6, 3);
    let mut mixed = sprites(1000, None);
    mixed.datasets.push(DatasetConfig::new(scratch.path()));
    let mut loader = open(mixed);
    let read = take(&mut loader, 20);
    let made = keys(&read).iter().filter(|key| key.starts_with("sprites")).count();
    assert_eq!(made, 10, "both data sets have the same weight");
    assert!(message(Loader::open(sprites(0, None))).contains("1 to 4294967296"));
}
