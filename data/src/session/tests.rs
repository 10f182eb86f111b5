use super::fixtures::{Scratch, session};
use super::*;
use crate::decode::{encode_jpeg, encode_mask_png, encode_png};
use crate::shard::{ShardWriter, WriterConfig};
use crate::{Error, Limits};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn config() -> ImportConfig {
    let limits = Limits { side: 64, pixels: 64 * 64 * 20, frames: 20, encoded_bytes: 1 << 20 };
    ImportConfig { limits, size: None }
}

/// The message of an error, which is one line.
fn message<T: std::fmt::Debug>(result: crate::Result<T>) -> String {
    let text = result.expect_err("it is refused").to_string();
    assert!(!text.contains('\n'), "{text:?} is one line");
    text
}

#[test]
fn a_good_session_is_valid() {
    for frames in [2, 3, 20] {
        session("a-B_9", 1, frames, 5, 3).validate().expect("it keeps every rule");
    }
}

#[test]
fn every_rule_is_checked() {
    type Break = fn(&mut Session);
    let cases: [(&str, Break); 20] = [
        ("key \"\"", |s| s.key.clear()),
        ("key \"a.b\"", |s| s.key = "a.b".to_owned()),
        ("key \"a/b\"", |s| s.key = "a/b".to_owned()),
        ("key \"a\\nb\"", |s| s.key = "a\nb".to_owned()),
        ("of 81 bytes", |s| s.key = "k".repeat(81)),
        ("0 frames", |s| s.frames.clear()),
        ("1 frames", |s| s.frames.truncate(1)),
        ("21 frames", |s| s.frames = vec![s.frames[0].clone(); 21]),
        ("1 transitions for 3 frames", |s| s.transitions.truncate(1)),
        ("frame 1 is 3 x 5, frame 0 is 5 x 3", |s| {
            (s.frames[1].image.width, s.frames[1].image.height) = (3, 5);
        }),
        ("frame 2 of 5 x 3 has 44 bytes", |s| s.frames[2].image.rgb.truncate(44)),
        ("frame 0 of 0 x 3 has 45 bytes", |s| {
            s.frames.iter_mut().for_each(|frame| frame.image.width = 0);
        }),
        ("has 45 bytes", |s| {
            s.frames.iter_mut().for_each(|frame| {
                (frame.image.width, frame.image.height) = (usize::MAX, 2);
            });
        }),
        ("frame 1 is at NaN s", |s| s.frames[1].time = f64::NAN),
        ("frame 0 is at -1 s", |s| s.frames[0].time = -1.0),
        ("frame 2 is at 0 s after", |s| s.frames[2].time = 0.0),
        ("current_mask 0 is 4 x 3", |s| {
            s.transitions[0].current_mask = Some(Mask::filled(4, 3, 0))
        }),
        ("next_mask 1 holds the value 7", |s| {
            s.transitions[1].next_mask = Some(Mask::filled(5, 3, 7));
        }),
        ("instruction 1 has 16385 bytes", |s| s.transitions[1].instruction = "x".repeat(16385)),
        ("names the field \"mask\"", |s| s.transitions[0].provenance[0].field = "mask".to_owned()),
    ];
    for (expected, damage) in cases {
        let mut session = session("key", 1, 3, 5, 3);
        damage(&mut session);
        let message = message(session.validate());
        assert!(message.contains(expected), "{expected:?} is in {message:?}");
    }
}

#[test]
fn records_keep_every_field() {
    for frames in [2, 5, 20] {
        let mut session = session("key", 3, frames, 4, 4);
        for (index, frame) in session.frames.iter_mut().enumerate() {
            frame.time = [5e-324, 0.1, 1.0 / 3.0, 1e15 / 7.0][index.min(3)] + index as f64;
        }
        session.frames[0].time = 5e-324;
        let record = SessionRecord::of(&session);
        for json in [record.to_json(), record.to_pretty_json()] {
            let again = SessionRecord::parse(&json, "other").expect("it was just written");
            assert_eq!(again, record);
        }
        let masks = session
            .transitions
            .iter()
            .map(|t| [t.current_mask.clone(), t.next_mask.clone()])
            .collect();
        let images = session.frames.iter().map(|frame| frame.image.clone()).collect();
        assert_eq!(record.into_session(images, masks), session);
    }
}

#[test]
fn short_records_are_read() {
    let record = SessionRecord::parse(br#"{"instructions": ["a", ""], "x": 1}"#, "key")
        .expect("only instructions are required");
    assert_eq!((record.key.as_str(), record.frames.len()), ("key", 3));
    assert_eq!(record.transitions[0].provenance, [Provenance::imported("instruction")]);
    assert!(record.transitions[1].provenance.is_empty());
    let json = br#"{"instructions": ["a"], "key": "k", "times": [0.5, 2], "source": "b.mp4"}"#;
    let record = SessionRecord::parse(json, "key").expect("all fields");
    assert_eq!((record.key.as_str(), record.frames[1].time), ("k", 2.0));
    assert_eq!((record.source.name.as_str(), record.source.sampling.as_str()), ("b.mp4", "import"));
}

#[test]
fn bad_records_are_refused() {
    let deep = format!(
        r#"{{"format": 1, "key": "k", "frames": [{{"time": 0}}, {{"time": 0}}],
            "transitions": [{{"instruction": "", "facts": {}{}}}]}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let long = format!(r#"{{"instructions": ["{}"]}}"#, "a".repeat(MAX_RECORD_BYTES));
    let many = json!({"instructions": vec!["a"; 20]}).to_string();
    let cases = [
        ("", "not readable"),
        ("[]", "not readable"),
        ("{}", "missing field `instructions`"),
        (r#"{"format": 2}"#, "format 2; this build reads format 1"),
        (r#"{"format": 1}"#, "missing field"),
        (r#"{"format": 99999999999}"#, "not readable"),
        (r#"{"instructions": []}"#, "1 frames and 0 transitions"),
        (r#"{"instructions": ["a"], "times": [1]}"#, "1 frames and 1 transitions"),
        (r#"{"instructions": ["a"], "key": "a.b"}"#, "key \"a.b\""),
        (&deep, "recursion limit"),
        (&long, "the limit is 1048576"),
        (&many, "21 frames and 20 transitions"),
    ];
    for (json, expected) in cases {
        let message = SessionRecord::parse(json.as_bytes(), "key").expect_err("it is refused");
        assert!(message.contains(expected), "{expected:?} is in {message:?}");
    }
}

#[test]
fn folders_keep_a_session() {
    let scratch = Scratch::new();
    let mut session = session("my-session", 5, 4, 9, 7);
    for transition in &mut session.transitions {
        for field in ["current_mask", "next_mask"] {
            transition.provenance.push(Provenance::imported(field));
        }
    }
    let folder = scratch.join("any name");
    write_folder(&session, &folder).expect("the folder is new");
    assert_eq!(read_folder(&folder, &config()).expect("it was just written"), session);
    assert!(message(write_folder(&session, &folder)).contains("exists already"));
    let names: Vec<_> = fs::read_dir(scratch.path()).expect("it is there").collect();
    assert_eq!(names.len(), 1, "nothing temporary is left");
    fs::remove_file(folder.join("masks/000.cur.png")).expect("it has that mask");
    assert!(message(read_folder(&folder, &config())).contains("mask of transition 0"));
}

#[test]
fn hand_made_folders_are_read() {
    let scratch = Scratch::new();
    let folder = scratch.join("park");
    fs::create_dir(&folder).expect("it is new");
    let session = session("x", 5, 3, 9, 7);
    // Numbers are compared as numbers: 2 comes before 10.
    for (index, name) in ["shot_2.png", "shot_10.jpg", "shot_11.PNG"].iter().enumerate() {
        let image = &session.frames[index].image;
        let bytes = match name.ends_with("jpg") {
            true => encode_jpeg(image, 95).expect("it is small"),
            false => encode_png(image),
        };
        fs::write(folder.join(name), bytes).expect("it writes");
    }
    let mask = session.transitions[0].current_mask.clone().expect("the fixture has one");
    let png = encode_mask_png(&mask);
    fs::write(folder.join("shot_10.next.png"), &png).expect("it writes");
    fs::write(folder.join("notes.md"), "not ours").expect("it writes");
    fs::write(folder.join("instructions.txt"), "add a kite\r\n\n").expect("it writes");
    let read = read_folder(&folder, &config()).expect("the layout is right");
    assert_eq!(read.key, "park");
    assert_eq!(read.frames[0].image, session.frames[0].image);
    assert_eq!(read.frames[2].image, session.frames[2].image);
    assert_eq!(read.transitions[0].instruction, "add a kite");
    assert_eq!(read.transitions[1].instruction, "");
    assert_eq!(read.transitions[1].next_mask.as_ref(), Some(&mask));
    assert_eq!(read.transitions[1].provenance, [Provenance::imported("next_mask")]);

    fs::write(folder.join("shot_3.cur.png"), &png).expect("it writes");
    assert!(message(read_folder(&folder, &config())).contains("no transition starts at frame 3"));
    fs::rename(folder.join("shot_3.cur.png"), folder.join("last.png")).expect("it renames");
    assert!(message(read_folder(&folder, &config())).contains("without a number"));
    fs::rename(folder.join("last.png"), folder.join("copy_2.png")).expect("it renames");
    assert!(message(read_folder(&folder, &config())).contains("number 2 is also"));
    fs::remove_file(folder.join("copy_2.png")).expect("it is there");
    fs::write(folder.join("instructions.txt"), "one\ntwo\nthree").expect("it writes");
    assert!(message(read_folder(&folder, &config())).contains("3 numbered pictures for 3"));
    fs::remove_file(folder.join("instructions.txt")).expect("it is there");
    assert!(message(read_folder(&folder, &config())).contains("neither session.json nor"));
}

#[test]
fn lists_go_on_behind_bad_lines() {
    let scratch = Scratch::new();
    let session = session("x", 5, 3, 9, 7);
    for (index, frame) in session.frames.iter().enumerate() {
        let bytes = encode_png(&frame.image);
        fs::write(scratch.join(&format!("{index}.png")), bytes).expect("it writes");
    }
    let mask = encode_mask_png(&Mask::filled(9, 7, 255));
    fs::write(scratch.join("m.png"), mask).expect("it writes");
    fs::write(scratch.join("small.png"), encode_png(&Image::filled(3, 3, [0; 3])))
        .expect("it writes");
    let lines = [
        r#"{"frames": ["0.png", "1.png"], "instructions": ["one"]}"#.to_owned(),
        String::new(),
        "not json".to_owned(),
        format!(r#"{{"key": "{}"}}"#, "x".repeat(2 * MAX_RECORD_BYTES)),
        r#"{"frames": ["0.png"], "instructions": ["one"]}"#.to_owned(),
        r#"{"frames": ["0.png", "gone.png"], "instructions": ["one"]}"#.to_owned(),
        r#"{"frames": ["0.png", "small.png"], "instructions": ["one"]}"#.to_owned(),
        r#"{"frames": ["0.png", "1.png"], "instructions": ["one"], "typo": 1}"#.to_owned(),
        r#"{"frames": ["0.png", "1.png"], "instructions": ["one"], "times": [1]}"#.to_owned(),
        r#"{"frames": ["0.png", "1.png"], "instructions": ["a"], "next_masks": []}"#.to_owned(),
        r#"{"frames": ["0.png", "1.png"], "instructions": ["a"], "next_masks": [null, null]}"#
            .to_owned(),
        r#"{"key": "last", "frames": ["0.png", "1.png", "2.png"], "instructions": ["a", "b"],
            "current_masks": ["m.png", null], "next_masks": [null, "m.png"],
            "times": [0, 0.5, 1], "source": "park.mp4"}"#
            .replace('\n', " "),
    ];
    fs::write(scratch.join("list.jsonl"), lines.join("\n")).expect("it writes");
    let sessions: Vec<_> =
        open_sessions(scratch.join("list.jsonl"), &config()).expect("the list opens").collect();
    assert_eq!(sessions.len(), 11, "every line but the empty one counts");
    let good: Vec<_> = sessions.iter().flatten().collect();
    let keys: Vec<_> = good.iter().map(|session| session.key.as_str()).collect();
    assert_eq!(keys, ["list-000001", "list-000010", "last"]);
    let last = good[2];
    assert_eq!(last.frames[2].image, session.frames[2].image);
    assert_eq!(last.transitions[0].current_mask, Some(Mask::filled(9, 7, 255)));
    assert_eq!(last.transitions[1].current_mask, None);
    assert_eq!((last.frames[1].time, last.source.name.as_str()), (0.5, "park.mp4"));
    let bad: Vec<_> = sessions.into_iter().filter(Result::is_err).map(message).collect();
    let expected = [
        "line 3: expected",
        "line 4 is longer",
        "line 5: 1 frames for 1 instructions",
        "gone.png: ",
        "frame 1 is 3 x 3",
        "unknown field `typo`",
        "1 frames and 1 transitions",
        "line 11: 2 next_masks for 1",
    ];
    assert_eq!(bad.len(), expected.len());
    for (message, expected) in bad.iter().zip(expected) {
        assert!(message.contains(expected), "{expected:?} is in {message:?}");
    }
}

#[test]
fn any_source_of_sessions_is_recognised() {
    let scratch = Scratch::new();
    let keys = |path: &Path| -> Vec<String> {
        let sessions = open_sessions(path, &config()).expect("the source is known");
        sessions.map(|session| session.expect("all are good").key).collect()
    };
    let folders = scratch.join("folders");
    for key in ["b", "a"] {
        fs::create_dir_all(&folders).expect("it can be made");
        write_folder(&session(key, 1, 2, 4, 4), folders.join(key)).expect("it is new");
    }
    fs::create_dir(folders.join("empty")).expect("it is new");
    assert_eq!(keys(&folders), ["a", "b"]);
    assert_eq!(keys(&folders.join("b")), ["b"]);
    let shards = scratch.join("shards");
    let one_each = WriterConfig { max_sessions: 1, ..WriterConfig::default() };
    let mut writer = ShardWriter::create(&shards, one_each).expect("the folder is new");
    for key in ["z", "y"] {
        writer.write(&session(key, 1, 2, 4, 4)).expect("it is valid");
    }
    writer.finish().expect("it finishes");
    assert_eq!(keys(&shards), ["z", "y"]);
    assert_eq!(keys(&shards.join("shard-000001.tar")), ["y"]);
    let error = |path: &Path| message(open_sessions(path, &config()).map(|_| ()));
    assert!(
        error(&folders.join("empty")).contains("no shards (*.tar), no *.parquet and no folders")
    );
    assert!(matches!(open_sessions(scratch.join("none"), &config()), Err(Error::Io { .. })));
    fs::write(scratch.join("a.txt"), "").expect("it writes");
    assert!(error(&scratch.join("a.txt")).contains("not a folder, .tar, .jsonl or .parquet"));
}

#[test]
fn sessions_are_brought_to_a_size() {
    let scratch = Scratch::new();
    let sizes = [(8, 4), (4, 8), (6, 6)];
    for (index, (width, height)) in sizes.into_iter().enumerate() {
        let image = Image::filled(width, height, [10 * index as u8, 0, 0]);
        fs::write(scratch.join(&format!("{index}.png")), encode_png(&image)).expect("it writes");
    }
    let mask = encode_mask_png(&Mask::filled(3, 3, 255));
    fs::write(scratch.join("1.cur.png"), mask).expect("it writes");
    fs::write(scratch.join("session.json"), r#"{"instructions": ["a", "b"], "key": "k"}"#)
        .expect("it writes");
    let refused = message(read_folder(scratch.path(), &config()));
    assert!(refused.contains("frame 1 is 4 x 8, frame 0 is 8 x 4"), "{refused}");
    let config = ImportConfig { size: Some([5, 3]), ..config() };
    let session = read_folder(scratch.path(), &config).expect("sizes are made equal");
    assert_eq!(session.size(), (5, 3));
    assert_eq!(session.frames[2].image, Image::filled(5, 3, [20, 0, 0]));
    assert_eq!(session.transitions[1].current_mask, Some(Mask::filled(5, 3, 255)));

    // The same happens to sessions from shards.
    let shards = scratch.join("shards");
    let mut writer = ShardWriter::create(&shards, WriterConfig::default()).expect("it is new");
    writer.write(&session.fit(7, 7)).expect("it is valid");
    writer.finish().expect("it finishes");
    let sessions: Vec<_> = open_sessions(&shards, &config).expect("it opens").collect();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].as_ref().expect("it is whole").size(), (5, 3));
    let none = ImportConfig { size: Some([5, 0]), ..config };
    assert!(message(open_sessions(&shards, &none).map(|_| ())).contains("picture is 5 x 0"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever becomes of a record's bytes, it is refused or it is a record that survives.
    #[test]
    fn damaged_records_are_refused_or_whole(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6)
    ) {
        let mut json = SessionRecord::of(&session("key", 1, 3, 2, 2)).to_json();
        for (at, byte, kind) in edits {
            let at = at.index(json.len());
            match kind {
                0 => json[at] = byte,
                1 => json.insert(at, byte),
                _ => { json.remove(at); }
            }
        }
        if let Ok(record) = SessionRecord::parse(&json, "key") {
            prop_assert_eq!(SessionRecord::parse(&record.to_json(), "key"), Ok(record));
        }
    }

    #[test]
    fn any_json_is_refused_or_whole(frames in 0..25usize, transitions in 0..25usize, depth in 0..4usize) {
        let facts = (0..depth).fold(Value::Null, |inner, _| json!([inner, {"x": 1}]));
        let json = json!({
            "format": 1, "key": "k",
            "frames": vec![json!({"time": 0}); frames],
            "transitions": vec![json!({"instruction": "i", "facts": facts}); transitions],
        });
        let is_valid = (2..=20).contains(&frames) && transitions + 1 == frames;
        prop_assert_eq!(SessionRecord::parse(json.to_string().as_bytes(), "k").is_ok(), is_valid);
    }
}

#[test]
fn a_window_keeps_frames_and_transitions_together() {
    let whole = session("whole", 1, 6, 5, 3);
    for (start, count) in [(0, 6), (0, 2), (2, 3), (4, 2)] {
        let window = whole.clone().window(start, count);
        window.validate().expect("a window is a session");
        assert_eq!(window.frames, whole.frames[start..start + count]);
        assert_eq!(window.transitions, whole.transitions[start..start + count - 1]);
    }
}

#[test]
fn rows_of_edits_become_conversations() {
    let scratch = Scratch::new();
    let frames = session("a", 1, 5, 8, 6).frames;
    for (index, frame) in frames.iter().enumerate() {
        fs::write(scratch.join(&format!("{index}.png")), encode_png(&frame.image))
            .expect("has room");
    }
    let mask =
        Mask { width: 8, height: 6, data: (0..48).map(|i| if i < 9 { 255 } else { 0 }).collect() };
    fs::write(scratch.join("mask.png"), encode_mask_png(&mask)).expect("has room");
    let row = |id: &str, turn: u32, from: u32, mask: Value| {
        json!({
            "img_id": id, "turn_index": turn, "source_img": format!("{from}.png"), "mask_img": mask,
            "instruction": format!("edit {turn}"), "target_img": format!("{}.png", from + 1), "split": "dev",
        })
        .to_string()
    };
    let rows = [
        row("b.7", 2, 1, Value::Null),
        row("b.7", 1, 0, json!("mask.png")),
        "{\"img_id\": 7}".to_owned(),
        row("a", 3, 2, Value::Null),
        row("a", 1, 0, Value::Null),
        row("a", 1, 3, Value::Null),
        row("c", 1, 9, Value::Null),
    ];
    let path = scratch.join("edits.jsonl");
    fs::write(&path, format!("\n{}\n", rows.join("\n"))).expect("has room");
    let (good, bad): (Vec<_>, Vec<_>) =
        open_sessions(&path, &config()).expect("it is a list").partition(Result::is_ok);
    let bad: Vec<String> = bad.into_iter().map(message).collect();
    assert_eq!(bad.len(), 3, "{bad:?}");
    assert!(
        bad[0].contains("line 4") && bad[1].contains("turn 1 of \"a\" is there twice"),
        "{bad:?}"
    );
    assert!(bad[2].contains("9.png"), "{bad:?}");
    let good: Vec<Session> = good.into_iter().flatten().collect();
    let keys: Vec<(&str, usize)> = good.iter().map(|s| (s.key.as_str(), s.frames.len())).collect();
    assert_eq!(keys, [("a", 2), ("a-from3", 2), ("b_7", 3)]);
    let last = &good[2];
    assert_eq!(last.transitions[0].current_mask.as_ref(), Some(&mask));
    assert_eq!(
        (last.transitions[1].instruction.as_str(), &last.transitions[1].current_mask),
        ("edit 2", &None)
    );
    assert_eq!(last.frames[2].image, frames[2].image);
    assert_eq!(last.transitions[0].provenance.len(), 2, "mask and instruction are imported");
}
