//! `vincie annotate`.

use crate::fixtures::video;
use crate::program::Scratch;
use std::fs;
use std::path::PathBuf;

/// A scratch folder with a sound video in it.
fn with_video() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("square.y4m", video());
    scratch
}

#[test]
fn a_video_becomes_sessions() {
    let scratch = with_video();
    let out = scratch.run(["annotate", "square.y4m", "--out", "sessions", "--sheets"]).passed();
    assert!(out.contains("square.y4m") && out.contains(" ok"), "{out}");
    let names = scratch.names();
    for name in ["sessions/dataset.json", "sessions/shard-000000.tar", "square.y4m"] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    let is_sheet = |n: &&String| n.starts_with("sessions/sheets/") && n.ends_with(".png");
    assert!(names.iter().find(is_sheet).is_some(), "{names:?}");
    assert!(
        !names.iter().any(|name| name.contains("partial") || name.contains("lock")),
        "{names:?}"
    );

    let found = scratch.run(["inspect", "sessions", "--json"]).json();
    let sessions = found["sessions"].as_array().expect("is a list");
    assert!(!sessions.is_empty(), "{found}");
    let shares = sessions[0]["mask_shares"].as_array().expect("is a list");
    // The square covers 576 of 6144 pixels.
    let is_square = |share: &serde_json::Value| {
        share.as_f64().is_some_and(|share| (0.05..0.15).contains(&share))
    };
    assert!(shares.iter().any(|shares| is_square(&shares[1])), "no mask of the square: {found}");
}

#[test]
fn the_same_video_gives_the_same_bytes_on_any_number_of_threads() {
    let scratch = with_video();
    let annotate = |out: &str, threads: &str| {
        let json = scratch
            .run([
                "annotate",
                "square.y4m",
                "--out",
                out,
                "--threads",
                threads,
                "--seed",
                "7",
                "--json",
            ])
            .json();
        assert!(json["statistics"]["sessions"].as_u64().is_some_and(|count| count > 0), "{json}");
        fs::read(scratch.path().join(out).join("shard-000000.tar")).expect("there is a shard")
    };
    assert!(annotate("one", "1") == annotate("three", "3"));
}

#[test]
fn frames_get_the_size_asked_for() {
    let scratch = with_video();
    let run = ["annotate", "square.y4m", "--out", "small", "--size", "32x32", "--count", "4"];
    let out = scratch.run(run).passed();
    assert!(out.contains("1 sessions"), "only the way of sampling that was named: {out}");
    let found = scratch.run(["inspect", "small", "--json"]).json();
    assert_eq!(found["statistics"]["width"], serde_json::json!([32, 32]));
}

#[test]
fn bad_videos_are_one_line_and_leave_nothing() {
    let scratch = with_video();
    let clip = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../data/clips/flower_bloom.avi");
    let clip = fs::read(clip).expect("the clip stands in the repository");
    scratch.file("cut.avi", &clip[..clip.len() / 2]);
    scratch.file("header.avi", &clip[..100]);
    scratch.file("empty.mp4", "");
    scratch.file("text.mp4", "This is a text. ".repeat(1000));
    scratch.file("still.y4m", {
        // One picture, thirty times: nothing changes.
        let video = video();
        let (header, frame) =
            (video.iter().position(|&b| b == b'\n').expect("a line") + 1, 6 + 3 * 96 * 64);
        [&video[..header], &video[header..header + frame].repeat(30)].concat()
    });
    scratch.file("folder/readme.txt", "no pictures");
    let whole = video();
    scratch.file("cut.y4m", &whole[..whole.len() - 1000]);
    for (name, words) in [
        ("missing.mp4", &["missing.mp4"][..]),
        ("empty.mp4", &["empty.mp4"]),
        ("text.mp4", &["text.mp4"]),
        ("cut.avi", &["cut.avi"]),
        ("header.avi", &["header.avi"]),
        ("cut.y4m", &["cut.y4m"]),
        ("folder", &["folder"]),
        ("still.y4m", &["no sessions"]),
    ] {
        let arguments = ["annotate", name, "--out", "out"];
        scratch.run_without_trace(&[&arguments[..], &["--quiet"]].concat()).refused(1, words);
        scratch.run_alone(arguments).refused(1, words);
    }
}

#[test]
fn a_bad_video_does_not_stop_the_others() {
    let scratch = with_video();
    scratch.file("text.mp4", "This is a text.");
    let run = scratch.run(["annotate", "text.mp4", "square.y4m", "--out", "out"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.contains("FAIL") && run.out.contains("ok"), "{run:?}");
    let lines: Vec<&str> = run.err.lines().collect();
    assert!(lines[0].starts_with("warning: ") && lines[0].contains("text.mp4"), "{run:?}");
    let last = lines[lines.len() - 1];
    assert!(last.starts_with("error: 1 of 2 videos failed") && last.contains("out"), "{run:?}");
    scratch.run(["inspect", "out"]).passed();

    let run = scratch.run(["annotate", "text.mp4", "text.mp4", "--out", "none"]);
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{run:?}");
    assert!(!scratch.path().join("none").exists());
}

#[test]
fn what_exists_is_not_touched() {
    let scratch = with_video();
    scratch.file("taken/note.txt", "mine");
    fs::create_dir(scratch.path().join("empty")).expect("a folder can be made");
    for out in ["taken", "empty", "square.y4m", "taken/note.txt"] {
        let run = scratch.run_without_trace(&["annotate", "square.y4m", "--out", out]);
        run.refused(1, &[out, "exists already"]);
    }
    scratch.run_without_trace(&["annotate", "square.y4m", "--out", "square.y4m/x"]).failed(1, &[]);
    scratch.run_without_trace(&["annotate", "square.y4m", "--out", ".."]).failed(1, &[".."]);
}

#[test]
fn what_a_killed_run_left_is_no_obstacle() {
    let scratch = with_video();
    scratch.file(".out.partial/.shard-000000.tar.partial", "cut");
    scratch.file(".out.partial/.lock", "");
    scratch.run(["annotate", "square.y4m", "--out", "out"]).passed();
    assert!(!scratch.names().iter().any(|name| name.contains("partial")));
}

#[test]
fn a_run_that_is_killed_leaves_nothing_under_the_name() {
    let scratch = with_video();
    let clip = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../data/clips/parking_cars.avi");
    let clip = clip.to_string_lossy();
    let mut command = scratch.command(["annotate", &clip, "--out", "out", "--quiet"]);
    let mut run = command.spawn().expect("the program can be started");
    let partial = scratch.path().join(".out.partial");
    while !partial.exists() {
        assert!(run.try_wait().expect("can be asked").is_none(), "it ended before it was killed");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    run.kill().expect("can be killed");
    // The next run may start while the killed one is still ending.
    scratch.run(["annotate", "square.y4m", "--out", "out"]).passed();
    run.wait().expect("has ended");
    let shown = scratch.run(["inspect", "out", "--json"]).json();
    let sources: Vec<_> = shown["sessions"].as_array().into_iter().flatten().collect();
    assert!(sources.iter().all(|session| session["source"]["name"] == "square.y4m"), "{shown}");
    assert!(!scratch.names().iter().any(|name| name.contains("partial")));
}

#[test]
fn videos_of_one_name_do_not_share_keys() {
    let scratch = with_video();
    scratch.file("other/square.y4m", video());
    let both = ["annotate", "square.y4m", "other/square.y4m", "--out", "out", "--json"];
    let json = scratch.run(both).json();
    let of_first = json["videos"][0]["annotate"]["sessions"].as_u64().expect("is a number");
    assert_eq!(json["statistics"]["sessions"].as_u64(), Some(2 * of_first), "{json}");
}
