use super::*;

/// Continues at every place of three epochs, with other numbers of workers, and compares with
/// the trajectory that was never left.
#[test]
fn every_position_continues_the_sequence() {
    let scratch = Scratch::new();
    dataset(&scratch.join("a"), "a", 11, 3);
    dataset(&scratch.join("b"), "b", 5, 2);
    let two = vec![
        DatasetConfig { weight: 2, ..DatasetConfig::new(scratch.join("a")) },
        DatasetConfig::new(scratch.join("b")),
    ];
    let one = config(&scratch.join("a"));
    let configs = [
        LoaderConfig { epochs: Some(3), ..one.clone() },
        LoaderConfig { epochs: Some(3), order: Order::FileOrder, ..one.clone() },
        LoaderConfig { epochs: Some(3), order: Order::Shuffled { buffer: 100 }, ..one.clone() },
        LoaderConfig { epochs: Some(3), datasets: two, ..one },
    ];
    for config in configs {
        let mut loader = open(config.clone());
        let count = 3 * loader.epoch_sessions() as usize;
        let mut positions = vec![loader.position()];
        let mut whole = Vec::new();
        while let Some(session) = loader.next() {
            whole.push(session.expect("all are good"));
            positions.push(loader.position());
        }
        assert_eq!((whole.len(), positions.len()), (count, count + 1));
        for (at, position) in positions.iter().enumerate() {
            let json = serde_json::to_string(position).expect("a position is JSON");
            let position = serde_json::from_str(&json).expect("it was just written");
            for workers in [0, 1, 3] {
                let config = LoaderConfig { workers, ..config.clone() };
                let mut resumed = Loader::resume(config, &position).expect("nothing changed");
                assert_eq!(resumed.epoch(), at as u64 * 3 / count as u64);
                // Far ahead once, a little everywhere: the whole rest is the same sequence.
                let rest = if at % 7 == 0 { count } else { 4 }.min(count - at);
                assert_eq!(take(&mut resumed, rest), whole[at..at + rest], "position {at}");
                assert_eq!(resumed.position(), positions[at + rest]);
                assert_eq!(resumed.next().is_none(), at + rest == count);
            }
        }
    }
}

#[test]
fn workers_do_not_change_the_sequence() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 23, 4);
    let with = |workers, prefetch| {
        let transform = Transform::new(|session| {
            // Sessions take different times, so workers overtake each other.
            let number: u64 = session.key[2..].parse().expect("keys end in their number");
            std::thread::sleep(std::time::Duration::from_micros(number * 397 % 1000));
            Ok(session)
        });
        let transform = Some(transform);
        take(&mut open(LoaderConfig { workers, prefetch, transform, ..config(scratch.path()) }), 69)
    };
    let expected = with(0, 1);
    for (workers, prefetch) in [(1, 1), (1, 8), (3, 2), (3, 16), (8, 100)] {
        assert!(with(workers, prefetch) == expected, "{workers} workers, {prefetch} ahead");
    }
}

#[test]
fn ranks_have_one_position_and_their_number_may_change() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 10, 3);
    let single = keys(&take(&mut open(config(scratch.path())), 40))
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let rank = |rank, world| LoaderConfig { rank, world, ..config(scratch.path()) };
    let positions: Vec<_> = (0..3)
        .map(|index| {
            let mut loader = open(rank(index, 3));
            take(&mut loader, 4);
            loader.position()
        })
        .collect();
    assert!(positions.iter().all(|position| *position == positions[0]));
    assert_eq!(positions[0].drawn, 12);
    let ranks: Vec<_> = (0..2)
        .map(|index| {
            let mut loader = Loader::resume(rank(index, 2), &positions[0]).expect("same data");
            take(&mut loader, 7)
        })
        .collect();
    for turn in 0..7 {
        for (index, sessions) in ranks.iter().enumerate() {
            assert_eq!(sessions[turn].key, single[12 + 2 * turn + index]);
        }
    }
}

#[test]
fn another_sequence_is_not_resumed() {
    let scratch = Scratch::new();
    let folder = scratch.join("a");
    dataset(&folder, "a", 10, 3);
    let good = config(&folder);
    let position = {
        let mut loader = open(good.clone());
        take(&mut loader, 4);
        loader.position()
    };
    let hold_out = Some(HoldOut { every: 9, by: HoldOutBy::Key, part: Part::Train });
    let cases = [
        ("the seed was 7", LoaderConfig { seed: 8, ..good.clone() }),
        ("the number of sessions was 10", LoaderConfig { hold_out, ..good.clone() }),
        ("the hash of shards", LoaderConfig { order: Order::FileOrder, ..good.clone() }),
        (
            "the hash of shards",
            LoaderConfig { order: Order::Shuffled { buffer: 6 }, ..good.clone() },
        ),
    ];
    for (expected, config) in cases {
        let message = message(Loader::resume(config, &position));
        assert!(message.contains(expected), "{expected:?} is in {message:?}");
    }
    let odd = [
        LoaderPosition { format: 0, ..position.clone() },
        LoaderPosition { drawn: u64::MAX, ..position.clone() },
    ];
    for position in odd {
        message(Loader::resume(good.clone(), &position));
    }
    // A weight alone is no mixture, and data may move.
    let moved = scratch.join("moved");
    std::fs::rename(&folder, &moved).expect("it moves");
    let datasets = vec![DatasetConfig { weight: 5, ..DatasetConfig::new(&moved) }];
    let mut resumed = Loader::resume(LoaderConfig { datasets, ..good.clone() }, &position)
        .expect("the sequence is the same");
    take(&mut resumed, 1);
    // The same number of sessions, one of them another.
    let shard = moved.join("a-000003.tar");
    let length = std::fs::metadata(&shard).expect("it is there").len();
    std::fs::remove_dir_all(&moved).expect("it is there");
    dataset(&moved, "b", 10, 3);
    assert!(length > 0);
    let changed = LoaderConfig { datasets: vec![DatasetConfig::new(&moved)], ..good };
    assert!(message(Loader::resume(changed, &position)).contains("the hash of shards"));
}
