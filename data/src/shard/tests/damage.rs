use super::*;
use crate::session::fixtures::Scratch;
use proptest::prelude::*;
use std::path::PathBuf;

/// One shard and its sessions, with and without its index.
fn shard(scratch: &Scratch, count: u32) -> (PathBuf, Vec<u8>, Vec<Session>) {
    let written = sessions(count);
    write(scratch.path(), lossless("d"), &written);
    let path = scratch.join("d-000000.tar");
    let bytes = fs::read(&path).expect("it was written");
    (path, bytes, written)
}

#[test]
fn a_cut_shard_gives_what_is_whole_and_one_error() {
    let scratch = Scratch::new();
    let (path, bytes, written) = shard(&scratch, 4);
    let ends: Vec<u64> = ShardReader::open(&path, &limits())
        .expect("it opens")
        .entries()
        .iter()
        .map(|entry| entry.offset + entry.size)
        .collect();
    let cuts = (0..bytes.len()).step_by(37).chain(ends.iter().map(|&end| end as usize));
    let mut seen = 0;
    for cut in cuts {
        let read = read_bytes(&bytes[..cut]);
        let whole = ends.iter().filter(|&&end| end <= cut as u64).count();
        // One zero block is enough of an end marker.
        let is_closed = cut >= bytes.len() - 512;
        assert_eq!(read.len(), whole + usize::from(!is_closed), "cut at {cut}");
        for (read, written) in read.iter().zip(&written[..whole]) {
            assert_eq!(read.as_ref().expect("it is whole"), written);
        }
        if !is_closed {
            let error = message(read.into_iter().next_back().expect("there is an error"));
            assert!(error.contains(&format!("cut at byte {cut}")), "{error}");
            assert!(error.contains(&format!("{whole} sessions before it are whole")), "{error}");
        }
        seen += 1;
    }
    assert!(seen > 100, "{seen} cuts");
    // The index of the whole shard does not hide the cut.
    fs::write(&path, &bytes[..ends[1] as usize + 700]).expect("it writes");
    let reader = ShardReader::open(&path, &limits()).expect("it opens");
    assert!(reader.index_problem().is_some_and(|what| what.contains("the shard has")));
    assert_eq!(reader.problems().len(), 1);
    assert_eq!(reader.entries().len(), 2);
    assert!(message(index_shard(&path, &limits())).contains("cut at byte"));
}

#[test]
fn an_index_that_does_not_fit_is_not_used() {
    let scratch = Scratch::new();
    let (path, bytes, written) = shard(&scratch, 3);
    let good = ShardIndex::read(&path, bytes.len() as u64).expect("it fits").expect("it is there");
    let sidecar = ShardIndex::path_of(&path);
    let changed = |change: fn(&mut ShardIndex)| {
        let mut index = good.clone();
        change(&mut index);
        serde_json::to_vec(&index).expect("it is JSON")
    };
    let cases: [(&str, Vec<u8>); 12] = [
        ("not readable", Vec::new()),
        ("not readable", b"{\"format\": 1}".to_vec()),
        ("format 2", changed(|index| index.format = 2)),
        ("of a shard of 7 bytes", changed(|index| index.bytes = 7)),
        ("which cannot be", changed(|index| index.sessions[1].offset = 0)),
        ("which cannot be", changed(|index| index.sessions[1].offset += 1)),
        ("which cannot be", changed(|index| index.sessions[2].size = 1 << 40)),
        ("which cannot be", changed(|index| index.sessions[2].offset = u64::MAX - 511)),
        ("which cannot be", changed(|index| index.sessions[0].size = 0)),
        ("which cannot be", changed(|index| index.sessions.swap(0, 1))),
        ("twice", changed(|index| index.sessions[2].key = index.sessions[0].key.clone())),
        ("key \"../x\"", changed(|index| index.sessions[0].key = "../x".to_owned())),
    ];
    for (expected, json) in cases {
        fs::write(&sidecar, json).expect("it writes");
        let reader = ShardReader::open(&path, &limits()).expect("the shard itself is good");
        let problem = reader.index_problem().expect("the index does not fit").to_owned();
        assert!(problem.contains(expected) && !problem.contains('\n'), "{expected}: {problem}");
        let read: Vec<_> = reader.into_sessions().map(|s| s.expect("it is whole")).collect();
        assert_eq!(read, written, "the headers are read instead");
    }
    fs::remove_file(&sidecar).expect("it is there");
    let reader = ShardReader::open(&path, &limits()).expect("it opens");
    assert_eq!(reader.index_problem(), Some("there is no index"));
    let indexed = index_shard(&path, &limits()).expect("the shard is whole");
    assert_eq!(indexed.index, good, "an index made later is the one that was written");
    assert!(indexed.skipped.is_empty());
    assert_eq!(ShardReader::open(&path, &limits()).expect("it opens").index_problem(), None);
}

/// An index of the right length beside another shard is noticed at each session.
#[test]
fn a_changed_byte_is_noticed_by_its_hash() {
    let scratch = Scratch::new();
    let (path, mut bytes, written) = shard(&scratch, 3);
    let entry = ShardReader::open(&path, &limits()).expect("it opens").entries()[1].clone();
    // A letter of the instruction: nothing else would notice.
    let span = entry.offset as usize..(entry.offset + entry.size) as usize;
    let text = b"add a kite";
    let at = bytes[span].windows(text.len()).position(|window| window == text);
    bytes[entry.offset as usize + at.expect("the record has the instruction")] = b'A';
    fs::write(&path, &bytes).expect("it writes");
    let reader = ShardReader::open(&path, &limits()).expect("it opens");
    assert_eq!(reader.index_problem(), None);
    let read: Vec<_> = reader.into_sessions().collect();
    assert_eq!(read.len(), 3);
    assert_eq!(read[0].as_ref().ok(), Some(&written[0]));
    assert_eq!(read[2].as_ref().ok(), Some(&written[2]));
    let error = message(read.into_iter().nth(1).expect("there are three"));
    assert!(error.contains("session clip-001: its bytes hash to"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever becomes of the bytes, what comes out is valid sessions and errors of one line.
    #[test]
    fn damaged_shards_never_panic(
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..5u8),
            1..8,
        )
    ) {
        let packed = sessions(3).into_iter().map(|session| {
            PackedSession::new(&session, FrameFormat::Png).expect("it is valid").bytes
        });
        let mut bytes: Vec<u8> = packed.flatten().chain([0; 1024]).collect();
        for (at, from, byte, kind) in edits {
            let (at, from) = (at.index(bytes.len()), from.index(bytes.len()));
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                // Whole blocks change places, so that checksums still hold.
                3 => {
                    let (at, from) = (at / 512 * 512, from / 512 * 512);
                    let block: Vec<u8> = bytes[from..bytes.len().min(from + 512)].to_vec();
                    let end = bytes.len().min(at + 512);
                    bytes.splice(at..end, block);
                }
                _ => {
                    let (start, end) = (at.min(from) / 512 * 512, at.max(from) / 512 * 512);
                    bytes.drain(start..end);
                }
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        for session in read_bytes(&bytes) {
            match session {
                Ok(session) => session.validate().expect("only valid sessions come out"),
                Err(error) => prop_assert!(!error.to_string().contains('\n')),
            }
        }
    }

    #[test]
    fn any_bytes_are_no_shard(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read_bytes(&bytes).iter().all(Result::is_err));
        if let Ok(index) = ShardIndex::parse(&bytes) {
            prop_assert!(index.check(0).is_err());
        }
    }
}
