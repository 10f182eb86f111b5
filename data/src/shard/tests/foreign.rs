use super::*;
use crate::Image;
use crate::decode::encode_png;
use crate::session::fixtures::Scratch;
use std::process::Command;

fn png(width: usize) -> Vec<u8> {
    encode_png(&Image::filled(width, 4, [9, 8, 7]))
}

/// A member's name and content.
type File<'a> = (&'a str, &'a [u8]);

const SHORT: &[u8] = br#"{"instructions": ["make it snow"]}"#;

#[test]
fn shards_of_other_tools_are_read() {
    let png = png(4);
    let bytes = archive(&[
        ("./readme.txt", b"hello"),
        ("./a.json", SHORT),
        ("./a.000.png", &png),
        ("./a.cls", b"7"),
        ("./a.001.png", &png),
        ("b.c.json", SHORT),
        ("folder/c.json", SHORT),
        ("d.001.png", &png),
        ("d.000.png", &png),
        ("d.json", SHORT),
    ]);
    let reader = ShardReader::from_reader("x.tar", Cursor::new(&bytes), &limits()).expect("reads");
    assert_eq!(reader.ignored_members(), 4);
    assert_eq!(reader.problems().len(), 0);
    let read: Vec<_> = reader.into_sessions().map(|s| s.expect("it is whole")).collect();
    let keys: Vec<_> = read.iter().map(|session| session.key.as_str()).collect();
    assert_eq!(keys, ["a", "d"]);
    assert_eq!(read[0].transitions[0].instruction, "make it snow");
}

/// Archives of the `tar` program in all its formats are read, and it reads ours.
#[test]
fn the_tar_program_agrees() {
    let scratch = Scratch::new();
    let folder = scratch.join("files");
    fs::create_dir(&folder).expect("it is new");
    for (name, content) in [("a.json", SHORT), ("a.000.png", &png(4)), ("a.001.png", &png(4))] {
        fs::write(folder.join(name), content).expect("it writes");
    }
    for format in ["v7", "ustar", "gnu", "pax"] {
        let archive = scratch.join(&format!("{format}.tar"));
        let status = Command::new("tar")
            .arg(format!("--format={format}"))
            .arg("--create")
            .arg("--file")
            .args([&archive, Path::new("-C"), &folder, Path::new(".")])
            .status();
        let Ok(status) = status else {
            println!("skipped: the_tar_program_agrees: tar is missing");
            return;
        };
        assert!(status.success(), "{format}");
        let reader = ShardReader::open(&archive, &limits()).expect("it opens");
        assert_eq!(reader.ignored_members(), 1, "{format}: the folder itself");
        let read: Vec<_> = reader.into_sessions().map(|s| s.expect("it is whole")).collect();
        assert_eq!(read.len(), 1, "{format}");
        assert_eq!(read[0].frames.len(), 2);
    }
    write(&scratch.join("ours"), lossless("ours"), &sessions(1));
    let ours = scratch.join("ours/ours-000000.tar");
    let list = Command::new("tar").arg("--list").arg("--file").arg(ours).output();
    let list = String::from_utf8(list.expect("it ran above").stdout).expect("names are text");
    let expected =
        ["clip-000.json", "clip-000.000.png", "clip-000.000.cur.png", "clip-000.001.png"];
    assert_eq!(list.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn tricks_are_refused() {
    let good = png(4);
    let wide = png(5);
    let long = vec![b' '; crate::session::MAX_RECORD_BYTES + 1];
    // A header that asks for 60000 x 60000 pixels, with its checksum right.
    let mut bomb = good.clone();
    bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let crc = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    let large = encode_png(&Image::filled(64, 64, [0; 3]));
    let many = serde_json::json!({"instructions": vec!["x"; 19]}).to_string();
    let many = many.as_bytes();
    let sized = br#"{"format": 1, "key": "a", "size": [64, 64],
        "frames": [{"time": 0}, {"time": 0}], "transitions": [{"instruction": ""}]}"#;
    let other = br#"{"instructions": ["x"], "key": "b"}"#;
    let mask = br#"{"format": 1, "key": "a", "frames": [{"time": 0}, {"time": 0}],
        "transitions": [{"instruction": "", "next_mask": true}]}"#;
    let frames: [File; 2] = [("a.000.png", &good), ("a.001.png", &good)];
    let two = |first: (&'static str, &'static [u8])| [&[first], frames.as_slice()].concat();
    let cases: [(&str, Vec<File>); 20] = [
        ("\"/a.json\" leads out", vec![("/a.json", SHORT)]),
        ("\"../a.json\" leads out", vec![("../a.json", SHORT)]),
        ("\"x/../../a.json\" leads out", vec![("x/../../a.json", SHORT)]),
        ("\"C:\\\\a.json\" leads out", vec![("C:\\a.json", SHORT)]),
        ("Record comes twice", vec![("a.json", SHORT), ("a.json", SHORT)]),
        ("Frame(0) comes twice", vec![("a.json", SHORT), frames[0], frames[0]]),
        ("Frame(0) comes twice", vec![("a.json", SHORT), frames[0], ("a.000.jpg", &good)]),
        ("no record a.json", frames.to_vec()),
        ("record is not readable", two(("a.json", b"{\"instructions\": 1}"))),
        ("record of 1048577 bytes", vec![("a.json", &long), frames[0], frames[1]]),
        ("its record is of session \"b\"", two(("a.json", other))),
        ("Frame(1) is missing", vec![("a.json", SHORT), frames[0]]),
        ("NextMask(0) is missing", two(("a.json", mask))),
        ("Frame(2) is beyond", vec![("a.json", SHORT), frames[0], frames[1], ("a.002.png", &good)]),
        (
            "CurrentMask(1) is beyond",
            vec![("a.json", SHORT), frames[0], frames[1], ("a.001.cur.png", &good)],
        ),
        ("memory.tar/a.001: ", vec![("a.json", SHORT), frames[0], ("a.001.png", b"no picture")]),
        (
            "a.000: picture is 60000 x 60000",
            vec![("a.json", SHORT), ("a.000.png", &bomb), frames[1]],
        ),
        ("a.001: picture is 5 x 4", vec![("a.json", SHORT), frames[0], ("a.001.png", &wide)]),
        ("the record says [64, 64]", two(("a.json", sized))),
        (
            "a.000.next.png: picture is 5 x 4",
            vec![("a.json", SHORT), frames[0], frames[1], ("a.000.next.png", &wide)],
        ),
    ];
    for (expected, files) in &cases {
        let read = read_bytes(&archive(files));
        assert_eq!(read.len(), 1, "{expected}: {read:?}");
        let error = message(read.into_iter().next().expect("there is one"));
        assert!(error.contains(expected), "{expected:?} is in {error:?}");
    }
    // Twenty frames that are fine one by one and too much together.
    let names: Vec<String> = (0..20).map(|index| format!("a.{index:03}.png")).collect();
    let mut files: Vec<File> = vec![("a.json", many)];
    files.extend(names.iter().map(|name| (name.as_str(), large.as_slice())));
    let few = Limits { pixels: 64 * 64 * 20 - 1, ..limits() };
    let reader =
        ShardReader::from_reader("x.tar", Cursor::new(archive(&files)), &few).expect("reads");
    let error = message(reader.into_sessions().next().expect("there is one"));
    assert!(error.contains("20 frames of 64 x 64; the limit is 81919 pixels"), "{error}");
    assert!(read_bytes(&archive(&files))[0].is_ok());
}

#[test]
fn keys_that_come_again_are_refused() {
    let png = png(4);
    let a: [File; 3] = [("a.json", SHORT), ("a.000.png", &png), ("a.001.png", &png)];
    let b: [File; 3] = [("b.json", SHORT), ("b.000.png", &png), ("b.001.png", &png)];
    let read = read_bytes(&archive(&[a, b, a].concat()));
    assert_eq!(read.len(), 3);
    assert!(read[0].is_ok() && read[1].is_ok());
    let error = message(read.into_iter().nth(2).expect("there are three"));
    assert!(error.contains("session a comes again at byte"), "{error}");
}

#[test]
fn refusals_are_not_hoarded() {
    let names: Vec<String> = (0..150).map(|index| format!("/{index}.json")).collect();
    let files: Vec<File> = names.iter().map(|name| (name.as_str(), SHORT)).collect();
    let read = read_bytes(&archive(&files));
    assert_eq!(read.len(), 101);
    let last = message(read.into_iter().next_back().expect("there are some"));
    assert!(last.contains("50 more"), "{last}");
}

/// CRC-32 of PNG chunks, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}
