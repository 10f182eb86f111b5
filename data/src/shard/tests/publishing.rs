use super::*;
use crate::session::fixtures::Scratch;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Every file under a final name is whole.
fn assert_whole(folder: &Path) -> usize {
    let mut shards = 0;
    for (name, bytes) in files(folder) {
        if name.starts_with('.') {
            assert!(publish::is_temporary(&name), "{name} is hidden but not temporary");
        } else if name.ends_with(".tar") {
            assert!(read_bytes(&bytes).iter().all(Result::is_ok), "{name} is whole");
            shards += 1;
        } else if name.ends_with(".index.json") {
            ShardIndex::parse(&bytes).expect("an index is whole");
        }
    }
    shards
}

#[test]
fn nothing_partial_has_a_final_name() {
    let scratch = Scratch::new();
    let config = WriterConfig { max_sessions: 2, ..lossless("p") };
    let mut writer = ShardWriter::create(scratch.path(), config).expect("the folder is new");
    for (index, session) in sessions(5).iter().enumerate() {
        writer.write(session).expect("the session is valid");
        assert_eq!(assert_whole(scratch.path()), index / 2, "before session {}", index + 1);
    }
    drop(writer);
    let expected = ["p-000000.index.json", "p-000000.tar", "p-000001.index.json", "p-000001.tar"];
    assert_eq!(names(scratch.path()), expected, "a dropped writer leaves whole shards only");
}

/// The test runs itself in a second process, which writes until it is killed.
#[test]
fn a_killed_writer_leaves_whole_shards() {
    const FOLDER: &str = "VINCIE_TEST_KILLED_WRITER";
    let config = || WriterConfig { max_sessions: 5, ..lossless("k") };
    if let Some(folder) = std::env::var_os(FOLDER) {
        let mut writer = ShardWriter::create(folder, config()).expect("the folder is new");
        for seed in 0.. {
            let session = fixtures::session(&format!("s-{seed}"), seed, 3, 32, 32);
            writer.write(&session).expect("the session is valid");
        }
    }
    let scratch = Scratch::new();
    let program = std::env::current_exe().expect("a test knows its program");
    let mut child = Command::new(program)
        .args(["--exact", "shard::tests::publishing::a_killed_writer_leaves_whole_shards"])
        .env(FOLDER, scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs again");
    let begin = Instant::now();
    while !scratch.join("k-000002.tar").exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "the writer gets ahead");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("the process is ours");
    child.wait().expect("the process ends");
    let shards = assert_whole(scratch.path());
    assert!(shards >= 3);
    assert!(!scratch.join("dataset.json").exists());

    // The lock went with the process; adding goes on behind the shards that are whole.
    let config = WriterConfig { existing: ExistingShards::Add, ..config() };
    let dataset = write(scratch.path(), config, &sessions(1));
    assert_eq!(dataset.statistics.sessions, 5 * shards as u64 + 1);
    assert!(names(scratch.path()).iter().all(|name| !name.starts_with('.')), "no leftovers");
    let last = scratch.join(&format!("k-{shards:06}.tar"));
    let reader = ShardReader::open(last, &limits()).expect("it opens");
    assert_eq!(reader.entries()[0].key, "clip-000");
}

#[test]
fn a_folder_with_shards_is_refused_unless_added_to() {
    let scratch = Scratch::new();
    let written = sessions(6);
    write(scratch.path(), lossless("a"), &written[..3]);
    let before = files(scratch.path());
    let refused = message(ShardWriter::create(scratch.path(), lossless("a")).map(|_| ()));
    assert!(refused.contains("holds a data set of 1 shards"), "{refused}");
    assert!(files(scratch.path()) == before);

    // The first shard lost its index: it is made again.
    fs::remove_file(scratch.join("a-000000.index.json")).expect("it is there");
    let add = WriterConfig { existing: ExistingShards::Add, ..lossless("a") };
    let mut writer = ShardWriter::create(scratch.path(), add.clone()).expect("adding is allowed");
    let error = message(writer.write(&written[1]));
    assert!(error.contains("session clip-001 is in the data set already"), "{error}");
    for session in &written[3..] {
        writer.write(session).expect("a refused key does no harm");
    }
    let error = message(writer.write(&written[4]));
    assert!(error.contains("clip-004 is in the data set already"), "{error}");
    let dataset = writer.finish().expect("it finishes");
    assert_eq!(dataset.statistics.sessions, 6);
    assert_eq!(
        names(scratch.path()),
        [
            "a-000000.index.json",
            "a-000000.tar",
            "a-000001.index.json",
            "a-000001.tar",
            "dataset.json"
        ]
    );
    for file in ["a-000000.index.json", "a-000000.tar"] {
        let old = before.iter().find(|(name, _)| name == file).expect("it was there");
        assert!(fs::read(scratch.join(file)).expect("it is there") == old.1, "{file} is the same");
    }
    let other = WriterConfig { name: "b".to_owned(), ..add };
    assert_eq!(write(scratch.path(), other, &[]).statistics.sessions, 6);
}

#[test]
fn a_second_writer_is_refused() {
    let scratch = Scratch::new();
    let writer = ShardWriter::create(scratch.path(), lossless("a")).expect("the folder is new");
    let error = message(ShardWriter::create(scratch.path(), lossless("b")).map(|_| ()));
    assert!(error.contains("another writer is at work"), "{error}");
    drop(writer);
    ShardWriter::create(scratch.path(), lossless("b")).expect("the lock is free again");
}

#[test]
fn bad_sessions_are_left_out_and_reported() {
    let scratch = Scratch::new();
    let written = sessions(40);
    let mut mixed: Vec<Result<Session>> = written.iter().cloned().map(Ok).collect();
    let mut invalid = written[0].clone();
    invalid.frames[1].image.rgb.pop();
    mixed.insert(20, Ok(invalid));
    mixed.insert(10, Err(crate::Error::Unsupported("no such session".to_owned())));
    mixed.push(Ok(written[7].clone()));
    let mut deep = written[0].clone();
    deep.key = "deep".to_owned();
    deep.transitions[0].facts =
        (0..200).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner]));
    mixed.push(Ok(deep));
    let mut writer = ShardWriter::create(scratch.path(), lossless("w")).expect("it is new");
    let mut bad = Vec::new();
    writer.write_all(mixed, |error| bad.push(error.to_string())).expect("the disk takes it");
    writer.finish().expect("it finishes");
    let expected =
        ["no such session", "frame 1 of 6 x 5", "clip-007 is in the data set", "recursion limit"];
    assert_eq!(bad.len(), expected.len(), "{bad:?}");
    assert!(bad.iter().zip(expected).all(|(bad, expected)| bad.contains(expected)), "{bad:?}");
    let reader = ShardReader::open(scratch.join("w-000000.tar"), &limits()).expect("it opens");
    let read: Vec<_> = reader.into_sessions().map(|s| s.expect("it is whole")).collect();
    assert_eq!(read, written);
}

#[test]
fn a_missing_shard_is_noticed() {
    let scratch = Scratch::new();
    write(scratch.path(), WriterConfig { max_sessions: 1, ..lossless("m") }, &sessions(3));
    fs::remove_file(scratch.join("m-000001.tar")).expect("it is there");
    let error = message(list_shards(scratch.path()));
    assert!(error.contains("dataset.json lists m-000001.tar"), "{error}");
}

#[test]
fn impossible_configs_are_refused() {
    let scratch = Scratch::new();
    let cases = [
        ("key \"a/b\"", WriterConfig { name: "a/b".to_owned(), ..lossless("x") }),
        ("0 sessions", WriterConfig { max_sessions: 0, ..lossless("x") }),
        ("0 bytes", WriterConfig { max_bytes: 0, ..lossless("x") }),
        (
            "JPEG quality 101",
            WriterConfig { frames: FrameFormat::Jpeg { quality: 101 }, ..lossless("x") },
        ),
    ];
    for (expected, config) in cases {
        let error = message(ShardWriter::create(scratch.path(), config).map(|_| ()));
        assert!(error.contains(expected), "{expected:?} is in {error:?}");
    }
    assert!(names(scratch.path()).is_empty());
}
