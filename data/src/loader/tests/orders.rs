use super::*;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_pass_gives_every_session_once_in_a_new_order() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 23, 4);
    let expected: Vec<String> = (0..23).map(|index| format!("a-{index:03}")).collect();
    for buffer in [0, 1, 2, 5, 22, 23, 1000] {
        let order = Order::Shuffled { buffer };
        let config = LoaderConfig { order, epochs: Some(3), ..config(scratch.path()) };
        let keys = all_keys(config);
        assert_eq!(keys.len(), 69);
        let passes: Vec<_> = keys.chunks(23).collect();
        for pass in &passes {
            assert_eq!(sorted(pass), expected, "buffer {buffer}");
            assert_ne!(*pass, expected, "buffer {buffer}");
        }
        assert!(passes[0] != passes[1] && passes[1] != passes[2] && passes[0] != passes[2]);
    }
    let in_order = LoaderConfig { order: Order::FileOrder, ..config(scratch.path()) };
    let read = take(&mut open(in_order), 46);
    assert_eq!(keys(&read), [&expected[..], &expected[..]].concat());
}

#[test]
fn the_seed_decides_the_order() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 23, 4);
    let with = |seed| all_keys(LoaderConfig { seed, epochs: Some(1), ..config(scratch.path()) });
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
    let orders: BTreeSet<_> = (0..50).map(with).collect();
    assert_eq!(orders.len(), 50);
}

/// Literal keys: a change of the order would break every checkpoint, and must raise the format.
#[test]
fn the_order_never_changes() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 7, 3);
    let keys = all_keys(LoaderConfig { epochs: Some(2), ..config(scratch.path()) });
    let numbers: Vec<&str> = keys.iter().map(|key| &key[4..]).collect();
    assert_eq!(numbers.join(""), "35014623024165");
}

#[test]
fn a_large_buffer_makes_every_place_likely() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 6, 2);
    let order = Order::Shuffled { buffer: 100 };
    let keys = all_keys(LoaderConfig { order, epochs: Some(600), ..config(scratch.path()) });
    let mut counts = BTreeMap::new();
    for pass in keys.chunks(6) {
        for (place, key) in pass.iter().enumerate() {
            *counts.entry((key.clone(), place)).or_insert(0u32) += 1;
        }
    }
    assert_eq!(counts.len(), 36);
    // 600 / 6 = 100 each; the standard deviation is 9.
    assert!(counts.values().all(|count| (55..145).contains(count)), "{counts:?}");
}

#[test]
fn ranks_share_one_sequence() {
    let scratch = Scratch::new();
    dataset(scratch.path(), "a", 25, 4);
    let single = all_keys(LoaderConfig { epochs: Some(3), ..config(scratch.path()) });
    for world in [2, 3, 5, 25] {
        let ranks: Vec<Vec<String>> = (0..world)
            .map(|rank| {
                let config = config(scratch.path());
                all_keys(LoaderConfig { rank, world, epochs: Some(3), workers: 1, ..config })
            })
            .collect();
        assert!(ranks.iter().all(|keys| keys.len() == 75 / world), "every rank has as many");
        let together: Vec<String> = (0..75 / world)
            .flat_map(|turn| ranks.iter().map(move |keys| keys[turn].clone()))
            .collect();
        assert_eq!(together, single[..75 / world * world], "{world} ranks");
    }
    // Ranks are disjoint within a pass and cover it.
    let pass = &single[..25];
    assert_eq!(pass.iter().collect::<BTreeSet<_>>().len(), 25);
    let config = LoaderConfig { rank: 0, world: 26, epochs: Some(1), ..config(scratch.path()) };
    assert!(message(Loader::open(config)).contains("25 sessions for 26 ranks"));
}

#[test]
fn mixtures_keep_their_weights() {
    let scratch = Scratch::new();
    let counts = [("a", 12, 30), ("b", 5, 10), ("c", 3, 20)];
    for (name, count, _) in counts {
        dataset(&scratch.join(name), name, count, 2);
    }
    let datasets: Vec<_> = counts
        .iter()
        .map(|&(name, _, weight)| DatasetConfig {
            weight,
            ..DatasetConfig::new(scratch.join(name))
        })
        .collect();
    let config = LoaderConfig { datasets, ..config(scratch.path()) };
    let mut loader = open(config.clone());
    assert_eq!(loader.sessions(), 20);
    // Weights 3 : 1 : 2. Five blocks read "b" to its end, four "a", two "c".
    assert_eq!(loader.epoch_sessions(), 30);
    let read = take(&mut loader, 120);
    let keys = keys(&read);
    for block in keys.chunks(6) {
        let of = |name: &str| block.iter().filter(|key| key.starts_with(name)).count();
        assert_eq!((of("a"), of("b"), of("c")), (3, 1, 2));
    }
    let blocks: BTreeSet<Vec<char>> = keys
        .chunks(6)
        .map(|block| block.iter().map(|key| key.as_bytes()[0] as char).collect())
        .collect();
    assert!(blocks.len() > 5, "blocks differ: {blocks:?}");
    // Each data set runs through passes of its own.
    for (name, count, _) in counts {
        let own: Vec<_> = keys.iter().filter(|key| key.starts_with(name)).collect();
        for pass in own.chunks_exact(count as usize) {
            assert_eq!(pass.iter().collect::<BTreeSet<_>>().len(), count as usize);
        }
    }
    assert_eq!(all_keys(LoaderConfig { epochs: Some(1), ..config }).len(), 30);
}

#[test]
fn held_out_sessions_are_never_trained_on() {
    let scratch = Scratch::new();
    dataset(&scratch.join("a"), "a", 60, 16);
    let part = |datasets: &[DatasetConfig], part, by| {
        let hold_out = Some(HoldOut { every: 4, by, part });
        let datasets = datasets.to_vec();
        let keys = all_keys(LoaderConfig {
            datasets,
            hold_out,
            epochs: Some(1),
            ..config(scratch.path())
        });
        keys.into_iter().collect::<BTreeSet<String>>()
    };
    let mut datasets = vec![DatasetConfig::new(scratch.join("a"))];
    for by in [HoldOutBy::Key, HoldOutBy::Source] {
        let train = part(&datasets, Part::Train, by);
        let held_out = part(&datasets, Part::HeldOut, by);
        assert!(train.is_disjoint(&held_out));
        assert_eq!(train.len() + held_out.len(), 60);
        assert!((5..30).contains(&held_out.len()), "{by:?}: {} of 60", held_out.len());
    }
    // The fixture has seven sources; each stands on one side.
    let source = |key: &String| key[2..].parse::<u32>().expect("keys end in their number") % 7;
    let sources = |keys: &BTreeSet<String>| keys.iter().map(source).collect::<BTreeSet<_>>();
    let train = part(&datasets, Part::Train, HoldOutBy::Source);
    let held_out = part(&datasets, Part::HeldOut, HoldOutBy::Source);
    assert!(sources(&train).is_disjoint(&sources(&held_out)));

    // More data moves nothing.
    let before = part(&datasets, Part::HeldOut, HoldOutBy::Key);
    dataset(&scratch.join("b"), "b", 40, 16);
    datasets[0].source = DatasetSource::Shards(vec![scratch.join("a"), scratch.join("b")]);
    let after = part(&datasets, Part::HeldOut, HoldOutBy::Key);
    assert_eq!(before, after.into_iter().filter(|key| key.starts_with('a')).collect());

    std::fs::remove_file(scratch.join("b/b-000000.index.json")).expect("it is there");
    let hold_out = Some(HoldOut { every: 4, by: HoldOutBy::Source, part: Part::Train });
    let config = LoaderConfig { datasets, hold_out, ..config(scratch.path()) };
    assert!(message(Loader::open(config)).contains("needs an index that fits the shard"));
}

#[test]
fn impossible_configs_are_refused() {
    let scratch = Scratch::new();
    dataset(&scratch.join("a"), "a", 3, 2);
    std::fs::create_dir(scratch.join("empty")).expect("it is new");
    let good = config(&scratch.join("a"));
    let set = |weight| vec![DatasetConfig { weight, ..DatasetConfig::new(scratch.join("a")) }];
    let split = |every| Some(HoldOut { every, by: HoldOutBy::Key, part: Part::Train });
    let cases = [
        ("0 data sets", LoaderConfig { datasets: Vec::new(), ..good.clone() }),
        ("has weight 0", LoaderConfig { datasets: set(0), ..good.clone() }),
        ("has weight 1001", LoaderConfig { datasets: set(1001), ..good.clone() }),
        ("rank 2 of 2", LoaderConfig { rank: 2, world: 2, ..good.clone() }),
        ("rank 0 of 0", LoaderConfig { world: 0, ..good.clone() }),
        ("one of at least 2", LoaderConfig { hold_out: split(1), ..good.clone() }),
        ("prefetch of 0", LoaderConfig { prefetch: 0, ..good.clone() }),
        ("2000 workers", LoaderConfig { workers: 2000, ..good.clone() }),
        ("every rank needs one", LoaderConfig { epochs: Some(0), ..good.clone() }),
        ("0 sessions in 0 shards", config(&scratch.join("empty"))),
        ("none: ", config(&scratch.join("none"))),
    ];
    for (expected, config) in cases {
        let message = message(Loader::open(config));
        assert!(message.contains(expected), "{expected:?} is in {message:?}");
    }
}
