use super::*;
use crate::Error;
use crate::shard::{Reason, ShardIndex};
use std::collections::BTreeSet;
use std::fs;

/// Twelve sessions in three shards, of which four are bad, each in another way. Gives the keys of
/// the good ones.
fn damaged(scratch: &Scratch) -> BTreeSet<String> {
    dataset(scratch.path(), "a", 12, 4);
    let shard = |index: usize| scratch.join(&format!("a-{index:06}.tar"));
    let edit = |index: usize, change: fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(shard(index)).expect("it was written");
        change(&mut bytes);
        fs::write(shard(index), bytes).expect("it writes");
    };
    // a-000: with hashes known, any change is damage.
    edit(0, |bytes| {
        let at = find(bytes, b"add a kite");
        bytes[at] = b'A';
    });
    // a-004 and a-007: without hashes, the content itself must be wrong.
    fs::remove_file(ShardIndex::path_of(&shard(1))).expect("it is there");
    edit(1, |bytes| {
        let at = find(bytes, b"{\"format\":");
        bytes[at] = b'[';
        let at = find_last(bytes, b"IDAT");
        bytes[at] = b'X';
    });
    // a-011: the shard is cut inside it.
    edit(2, |bytes| {
        let at = find_last(bytes, b"a-011.000.png");
        bytes.truncate(at + 600);
    });
    let bad = ["a-000", "a-004", "a-007", "a-011"];
    let keys = (0..12).map(|index| format!("a-{index:03}"));
    keys.filter(|key| !bad.contains(&key.as_str())).collect()
}

fn find(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).position(|window| window == text).expect("the text is there")
}

fn find_last(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).rposition(|window| window == text).expect("the text is there")
}

#[test]
fn bad_sessions_are_counted_and_replaced() {
    let scratch = Scratch::new();
    let good = damaged(&scratch);
    for workers in [0, 3] {
        let mut loader = open(LoaderConfig { workers, epochs: Some(2), ..config(scratch.path()) });
        // The cut session is not in the plan; the bad ones show when they are read.
        assert_eq!(loader.sessions(), 11);
        let read: Vec<String> =
            loader.by_ref().map(|session| session.expect("most are good").key).collect();
        assert_eq!(read.len(), 22, "every rank gets the same number");
        assert!(read.iter().all(|key| good.contains(key)), "{read:?}");
        assert_eq!(read.iter().collect::<BTreeSet<_>>().len(), good.len());
        let statistics = loader.statistics();
        assert_eq!(statistics.sessions, 22);
        let count = |reason| statistics.skipped.get(&reason).map_or(0, |skipped| skipped.count);
        assert_eq!(statistics.substitutes, 6, "three bad sessions in two passes");
        assert_eq!(count(Reason::Cut), 1, "found when the shards were opened");
        // Substitutes may be bad ones again.
        for reason in [Reason::Damaged, Reason::Record, Reason::Picture] {
            assert!((2..10).contains(&count(reason)), "{reason}: {}", count(reason));
        }
        assert_eq!(statistics.skipped.len(), 4);
        let first = &statistics.skipped[&Reason::Record].first;
        assert!(first.contains("session a-004: record is not readable"), "{first}");
        assert!(statistics.bytes > 0 && statistics.worked > std::time::Duration::ZERO);
    }
}

#[test]
fn statistics_do_not_depend_on_workers() {
    let scratch = Scratch::new();
    damaged(&scratch);
    let with = |workers| {
        let mut loader = open(LoaderConfig { workers, ..config(scratch.path()) });
        take(&mut loader, 50);
        let statistics = loader.statistics().clone();
        LoaderStatistics { waited: Default::default(), worked: Default::default(), ..statistics }
    };
    assert_eq!(with(0), with(3));
}

#[test]
fn bad_sessions_may_be_passed_over() {
    let scratch = Scratch::new();
    let good = damaged(&scratch);
    let bad_sessions = BadSessions::Skip;
    let config = LoaderConfig { bad_sessions, epochs: Some(1), ..config(scratch.path()) };
    let mut loader = open(config.clone());
    let read: Vec<String> =
        loader.by_ref().map(|session| session.expect("most are good").key).collect();
    assert_eq!(read.len(), good.len(), "none comes twice");
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), good);
    assert_eq!((loader.statistics().skipped_sessions(), loader.statistics().substitutes), (4, 0));
    assert_eq!(loader.position().drawn, 11, "bad ones count as drawn");

    // Resuming behind any session leaves the rest the same.
    let whole = take(&mut open(config.clone()), good.len());
    for count in 0..=good.len() {
        let mut loader = open(config.clone());
        take(&mut loader, count);
        let mut resumed = Loader::resume(config.clone(), &loader.position()).expect("same data");
        assert_eq!(take(&mut resumed, good.len()), whole[count..]);
    }
}

#[test]
fn it_ends_when_everything_is_bad() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 6, 3);
    let refuse = || Some(Transform::new(|_| Err(Error::Unsupported("not today".to_owned()))));
    for bad_sessions in [BadSessions::Substitute, BadSessions::Skip] {
        for (epochs, workers) in [(None, 0), (None, 3), (Some(1), 2)] {
            let transform = refuse();
            let config =
                LoaderConfig { bad_sessions, epochs, workers, transform, ..config(scratch.path()) };
            let mut loader = open(config);
            let error = loader.next().expect("it says why").expect_err("nothing is usable");
            let error = error.to_string();
            assert!(error.contains("no usable session is left") && error.contains("not today"));
            assert!(loader.next().is_none(), "the error is the last item");
            let skipped = &loader.statistics().skipped[&Reason::Transform];
            assert!(skipped.count >= 6, "all were tried");
        }
    }
}

#[test]
fn one_good_session_is_enough() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 100, 50);
    let transform = Transform::new(|session: Session| match session.key.as_str() {
        "a-077" => Ok(session),
        _ => Err(Error::Unsupported("another".to_owned())),
    });
    let transform = Some(transform);
    let config = LoaderConfig { transform, workers: 2, ..config(scratch.path()) };
    let read = take(&mut open(config.clone()), 20);
    assert!(read.iter().all(|session| session.key == "a-077"));
    let config = LoaderConfig { bad_sessions: BadSessions::Skip, ..config };
    assert_eq!(take(&mut open(config), 3).len(), 3);
}

#[test]
fn transforms_change_refuse_and_panic() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 8, 3);
    let transform = Transform::new(|mut session: Session| match session.key.as_str() {
        "a-001" => Err(Error::Unsupported("refused".to_owned())),
        "a-002" => panic!("on purpose"),
        "a-003" => {
            session.frames.clear();
            Ok(session)
        }
        _ => {
            session.source.decoder = "changed".to_owned();
            Ok(session)
        }
    });
    let transform = Some(transform);
    for workers in [0, 2] {
        let transform = transform.clone();
        let mut loader = open(LoaderConfig { workers, transform, ..config(scratch.path()) });
        let read = take(&mut loader, 16);
        let bad = ["a-001", "a-002", "a-003"];
        assert!(read.iter().all(|session| !bad.contains(&session.key.as_str())));
        assert!(read.iter().all(|session| session.source.decoder == "changed"));
        let skipped = &loader.statistics().skipped;
        assert!(skipped[&Reason::Transform].count >= 4);
        assert!(skipped[&Reason::Panic].first.contains("on purpose"));
    }
}

#[test]
fn a_shard_may_vanish_under_way() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 12, 4);
    let config = LoaderConfig { prefetch: 1, ..config(scratch.path()) };
    let mut loader = open(config);
    fs::remove_file(scratch.join("a-000001.tar")).expect("it is there");
    fs::write(scratch.join("a-000002.tar"), b"short").expect("it writes");
    let read = take(&mut loader, 24);
    let first = ["a-000", "a-001", "a-002", "a-003"];
    assert!(read.iter().all(|session| first.contains(&session.key.as_str())));
    let skipped = &loader.statistics().skipped;
    assert!(skipped[&Reason::Read].count >= 8 && skipped[&Reason::Cut].count >= 8);
}

#[test]
fn a_shard_that_is_none_is_counted() {
    let scratch = Scratch::new();
    dataset(&scratch.join("a"), "a", 4, 4);
    fs::write(scratch.join("a/b.tar"), vec![7; 5000]).expect("it writes");
    let mut loader = open(config(&scratch.join("a")));
    assert_eq!((loader.sessions(), take(&mut loader, 8).len()), (4, 8));
    assert_eq!(loader.statistics().skipped[&Reason::Damaged].count, 1);
    let nothing = config(&scratch.join("a/b.tar"));
    assert!(message(Loader::open(nothing)).contains("0 sessions in 1 shards after the hold-out"));
}
