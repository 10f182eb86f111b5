use super::*;
use crate::session::fixtures::Scratch;
use sha2::{Digest, Sha256};

#[test]
fn lossless_shards_keep_everything() {
    let scratch = Scratch::new();
    let written = sessions(9);
    let config = WriterConfig { max_sessions: 4, ..lossless("train") };
    let dataset = write(scratch.path(), config, &written);
    assert_eq!(dataset.statistics.sessions, 9);
    let shards = list_shards(scratch.path()).expect("the folder is whole");
    assert_eq!(shards.len(), 3);
    let mut read = Vec::new();
    for shard in &shards {
        let reader = ShardReader::open(shard, &limits()).expect("the shard opens");
        assert_eq!(reader.index_problem(), None);
        read.extend(reader.into_sessions().map(|session| session.expect("it is whole")));
    }
    assert_eq!(read, written);
    let mut reader = ShardReader::open(&shards[1], &limits()).expect("the shard opens");
    for index in [2, 0, 3, 0] {
        assert_eq!(reader.read(index).expect("it is whole"), written[4 + index]);
    }
    assert_eq!(reader.read_key("clip-006").expect("it is there"), written[6]);
    assert!(message(reader.read_key("clip-000")).contains("no session \"clip-000\""));
    assert_eq!(reader.ignored_members(), 0);
}

#[test]
fn jpeg_shards_keep_all_but_the_last_bits() {
    let scratch = Scratch::new();
    let written = sessions(3);
    write(scratch.path(), WriterConfig::default(), &written);
    let reader = ShardReader::open(scratch.join("shard-000000.tar"), &limits()).expect("it opens");
    let read: Vec<_> = reader.into_sessions().map(|s| s.expect("it is whole")).collect();
    assert_eq!(read.len(), 3);
    for (mut read, written) in read.into_iter().zip(written) {
        for (frame, wanted) in read.frames.iter_mut().zip(&written.frames) {
            let error: u32 = frame
                .image
                .rgb
                .iter()
                .zip(&wanted.image.rgb)
                .map(|(&a, &b)| u32::from(a.abs_diff(b)))
                .sum();
            assert!(error > 0, "JPEG loses something");
            let mean = f64::from(error) / frame.image.rgb.len() as f64;
            assert!(mean < 4.0, "frames differ by {mean} on average");
            frame.image = wanted.image.clone();
        }
        assert_eq!(read, written);
    }
}

#[test]
fn the_same_sessions_give_the_same_bytes() {
    let written = sessions(7);
    for frames in [FrameFormat::Png, FrameFormat::default()] {
        let config = WriterConfig { frames, max_sessions: 3, ..lossless("a") };
        let (first, second, third) = (Scratch::new(), Scratch::new(), Scratch::new());
        write(first.path(), config.clone(), &written);
        write(second.path(), config.clone(), &written);
        let mut writer = ShardWriter::create(third.path(), config).expect("the folder is new");
        let all = written.iter().cloned().map(Ok);
        writer.write_all(all, |error| panic!("{error}")).expect("the disk takes it");
        writer.finish().expect("it finishes");
        let bytes = files(first.path());
        assert_eq!(bytes.len(), 7, "three shards, three indexes, one summary");
        assert!(bytes == files(second.path()));
        assert!(bytes == files(third.path()), "encoding on all cores changes nothing");
    }
}

/// Another reader of tar agrees on names, metadata and positions.
#[test]
fn the_index_fits_what_the_tar_crate_reads() {
    let scratch = Scratch::new();
    let written = sessions(4);
    write(scratch.path(), lossless("t"), &written);
    let bytes = fs::read(scratch.join("t-000000.tar")).expect("it was written");
    let index = ShardIndex::read(&scratch.join("t-000000.tar"), bytes.len() as u64)
        .expect("it fits")
        .expect("it is there");
    let mut archive = tar::Archive::new(Cursor::new(&bytes));
    let mut seen: Vec<(String, u64, Vec<String>)> = Vec::new();
    for entry in archive.entries().expect("it is an archive") {
        let entry = entry.expect("it is whole");
        let header = entry.header();
        assert_eq!(header.mtime().expect("a number"), 0);
        assert_eq!(header.uid().expect("a number"), 0);
        assert_eq!(header.gid().expect("a number"), 0);
        assert_eq!(header.mode().expect("a number"), 0o644);
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let (key, rest) = name.split_once('.').expect("a key and a part");
        if seen.last().is_none_or(|(last, ..)| last != key) {
            seen.push((key.to_owned(), entry.raw_header_position(), Vec::new()));
        }
        seen.last_mut().expect("it was pushed").2.push(rest.to_owned());
    }
    assert_eq!(seen.len(), index.sessions.len());
    for (entry, (key, offset, _)) in index.sessions.iter().zip(&seen) {
        assert_eq!((&entry.key, entry.offset), (key, *offset));
        let span = &bytes[entry.offset as usize..(entry.offset + entry.size) as usize];
        let digest: String = Sha256::digest(span).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(entry.sha256.as_ref(), Some(&digest));
    }
    let last = index.sessions.last().expect("there are four");
    assert_eq!(last.offset + last.size + 1024, bytes.len() as u64);
    assert_eq!(
        seen[1].2,
        ["json", "000.png", "000.cur.png", "001.png", "001.next.png", "002.png"],
        "the record comes first, masks behind their frame"
    );
}

#[test]
fn statistics_count_what_was_written() {
    let scratch = Scratch::new();
    let written = sessions(5);
    let dataset =
        write(scratch.path(), WriterConfig { max_sessions: 2, ..lossless("s") }, &written);
    let count = |has: fn(&crate::session::Transition) -> bool| {
        written.iter().flat_map(|s| &s.transitions).filter(|t| has(t)).count() as u64
    };
    let statistics = &dataset.statistics;
    assert_eq!(statistics.sessions, 5);
    assert_eq!(statistics.frames, 2 + 3 + 4 + 5 + 2);
    assert_eq!(statistics.transitions, 11);
    assert_eq!(statistics.instructions, count(|t| !t.instruction.is_empty()));
    assert_eq!(statistics.current_masks, count(|t| t.current_mask.is_some()));
    assert_eq!(statistics.next_masks, count(|t| t.next_mask.is_some()));
    assert_eq!(statistics.sessions_by_frames.get(&2), Some(&2));
    assert_eq!((statistics.width, statistics.height), (Some([6, 6]), Some([5, 5])));
    assert_eq!(dataset.shards.iter().map(|shard| shard.sessions).sum::<u64>(), 5);
    let bytes: u64 = dataset.shards.iter().map(|shard| shard.bytes).sum();
    assert_eq!(bytes, statistics.bytes + 3 * 1024);
    assert_eq!(Dataset::read(scratch.path()).expect("it was written"), Some(dataset));
}

#[test]
fn shards_close_at_their_limits() {
    let scratch = Scratch::new();
    let written = sessions(8);
    let sizes: Vec<u64> = written
        .iter()
        .map(|session| PackedSession::new(session, FrameFormat::Png).expect("valid").size())
        .collect();
    // Two of the largest fit, three of the smallest do not.
    let max_bytes = 2 * sizes.iter().max().expect("there are eight");
    let dataset = write(scratch.path(), WriterConfig { max_bytes, ..lossless("b") }, &written);
    assert!(dataset.shards.len() > 2);
    assert!(dataset.shards.iter().all(|shard| shard.bytes <= max_bytes + 1024));
    let tiny = Scratch::new();
    let dataset = write(tiny.path(), WriterConfig { max_bytes: 1, ..lossless("b") }, &written);
    assert_eq!(dataset.shards.len(), 8, "a session above the limit has a shard of its own");
}

#[test]
fn a_data_set_may_be_empty() {
    let scratch = Scratch::new();
    let dataset = write(scratch.path(), lossless("e"), &[]);
    assert_eq!((dataset.statistics.sessions, dataset.shards.len()), (0, 0));
    assert_eq!(names(scratch.path()), ["dataset.json"]);
    assert_eq!(list_shards(scratch.path()).expect("it is a folder").len(), 0);
}
