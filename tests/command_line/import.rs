//! `vincie import`.

use super::program::Scratch;
use std::path::Path;

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/parquet");
    folder.join(name).to_str().expect("the path is text").to_owned()
}

#[test]
fn rows_become_shards_and_what_is_left_out_is_counted() {
    let scratch = Scratch::new();
    let videos = golden("videos.parquet");
    let out = scratch.run(["import", videos.as_str(), "--out", "sessions", "--json"]).passed();
    let summary: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(summary["statistics"]["sessions"], 2, "{out}");
    assert_eq!(summary["skipped"], 5, "{out}");
    let table = scratch.run(["inspect", "sessions"]).passed();
    assert!(table.contains('2'), "{table}");
    let again = scratch.run(["import", "sessions", "--out", "again", "--limit", "1"]).passed();
    assert!(again.contains("1 sessions with 2 transitions"), "{again}");
}

#[test]
fn conversations_go_on_in_the_next_file() {
    let scratch = Scratch::new();
    let (first, second) = (golden("edits-0.parquet"), golden("edits-1.parquet"));
    let line = ["import", first.as_str(), second.as_str(), "--out", "edits", "--size", "16x16"];
    let out = scratch.run(line).passed();
    assert!(out.contains("2 sessions with 4 transitions"), "{out}");
}

#[test]
fn bad_sources_are_refused_and_leave_nothing() {
    let scratch = Scratch::new();
    let floats = golden("floats.parquet");
    scratch.file("cut.parquet", "PAR1 and no end");
    let only = scratch.path().join("no rows that can be used.jsonl");
    std::fs::write(&only, "{}\n").expect("a file can be written");
    for (source, words) in [
        (floats.as_str(), ["has the columns x"]),
        ("cut.parquet", ["does not begin and end with PAR1"]),
        ("none.parquet", ["none.parquet"]),
        ("no rows that can be used.jsonl", ["no sessions; 1 rows left out"]),
    ] {
        scratch.run_without_trace(&["import", source, "--out", "out"]).refused(1, &words);
    }
}
