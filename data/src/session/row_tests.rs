//! Rows of published data sets, from Parquet files that pyarrow wrote.

use super::fixtures::Scratch;
use super::{ImportConfig, Session, open_sessions};
use std::fs;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/parquet").join(name)
}

fn sessions(path: &Path) -> Vec<Result<Session, String>> {
    let sessions = open_sessions(path, &ImportConfig::default()).expect("the file is known");
    sessions.map(|session| session.map_err(|error| error.to_string())).collect()
}

/// First pixel of every frame.
fn colours(session: &Session) -> Vec<[u8; 3]> {
    session.frames.iter().map(|f| [f.image.rgb[0], f.image.rgb[1], f.image.rgb[2]]).collect()
}

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const GREY: [u8; 3] = [90, 90, 90];

#[test]
fn edits_of_a_conversation_lie_in_several_files() {
    let scratch = Scratch::new();
    for name in ["edits-0.parquet", "edits-1.parquet"] {
        fs::copy(golden(name), scratch.join(name)).unwrap();
    }
    let all: Vec<Session> = sessions(scratch.path()).into_iter().map(Result::unwrap).collect();
    let [short, long] = all.as_slice() else { panic!("{} sessions", all.len()) };
    assert_eq!((short.key.as_str(), colours(short)), ("9", vec![BLUE, RED]));
    assert!(short.transitions[0].current_mask.is_none());
    assert_eq!((long.key.as_str(), colours(long)), ("17", vec![RED, GREEN, BLUE, GREY]));
    let instructions: Vec<&str> = long.transitions.iter().map(|t| t.instruction.as_str()).collect();
    assert_eq!(instructions, ["make it green", "make it blue", "make it grey"]);
    // What is transparent may be edited.
    let masks: Vec<Option<u8>> =
        long.transitions.iter().map(|t| t.current_mask.as_ref().map(|mask| mask.data[0])).collect();
    assert_eq!(masks, [Some(255), None, Some(255)]);
}

#[test]
fn a_conversation_without_its_beginning_is_used_from_where_it_begins() {
    let all = sessions(&golden("edits-1.parquet"));
    let [Ok(only)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((only.key.as_str(), colours(only)), ("17-from3", vec![BLUE, GREY]));
}

#[test]
fn rows_of_videos_become_sessions_or_say_why_not() {
    let all = sessions(&golden("videos.parquet"));
    let expected = [
        Ok("videos-00000001"),
        Err("row 2: has no ann_v0"),
        Err("row 3: ann_v0 is not a list in JSON"),
        Err("row 4: has 1 pictures; its annotations are of 2"),
        Ok("videos-00000005"),
        Err("row 6: picture 1 is not there"),
        Err("row 7: has 0 pictures; its annotations are of 2"),
    ];
    assert_eq!(all.len(), expected.len());
    for (session, expected) in all.iter().zip(expected) {
        match (session, expected) {
            (Ok(session), Ok(key)) => assert_eq!(session.key, key),
            (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    let first = all[0].as_ref().unwrap();
    assert_eq!(colours(first), [RED, GREEN, BLUE]);
    assert_eq!(first.transitions[1].instruction, "turn blue");
    assert_eq!(first.transitions[1].facts, serde_json::json!({"camera": "still"}));
}

#[test]
fn pictures_may_be_structures() {
    let all = sessions(&golden("videos-nested.parquet"));
    assert_eq!(colours(all[0].as_ref().unwrap()), [RED, GREEN, BLUE]);
    assert!(all[1].is_err());
}

#[test]
fn other_tables_are_refused_with_their_columns() {
    let error = open_sessions(golden("floats.parquet"), &ImportConfig::default()).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("has the columns x; known are"), "{text}");
}
