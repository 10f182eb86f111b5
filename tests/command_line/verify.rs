//! `vincie verify`.

use crate::fixtures::{golden, golden_output, manifest, tensors};
use crate::program::Scratch;
use std::path::{Path, PathBuf};

#[test]
fn right_numbers_pass() {
    let scratch = Scratch::new();
    golden(&scratch.path().join("golden"), golden_output());
    let out = scratch.run_without_trace(&["verify", "golden"]).passed();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "titles, one row a case, counts: {out}");
    assert!(lines[1].starts_with("layer ") && lines[1].ends_with(" ok"), "{out}");
    assert_eq!(lines[2], "1 passed, 0 failed, 0 unsupported");

    let out = scratch.run(["verify", "golden", "--case", "layer", "--tensors"]).passed();
    assert!(out.contains("out.y"), "{out}");
    let json = scratch.run(["verify", "golden", "--json"]).json();
    assert_eq!((&json["passed"], &json["cases"][0]["status"]), (&1.into(), &"ok".into()));
    assert_eq!(json["cases"][0]["tensors"][0]["name"], "out.y");
}

#[test]
fn wrong_numbers_fail() {
    let scratch = Scratch::new();
    for wrong in [golden_output() + 1e-3, f32::NAN] {
        golden(&scratch.path().join("golden"), wrong);
        let run = scratch.run_without_trace(&["verify", "golden"]);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.out.contains("FAIL"), "{run:?}");
        assert_eq!(run.out.lines().last(), Some("0 passed, 1 failed, 0 unsupported"));
        assert_eq!(run.err, "", "the counts are the last line of both streams");
    }
}

#[test]
fn a_case_that_cannot_be_computed_fails_and_the_others_go_on() {
    let scratch = Scratch::new();
    golden(&scratch.path().join("golden"), golden_output());
    let file = scratch.path().join("golden/io.safetensors");
    let whole = std::fs::read(&file).expect("is there");
    for length in [0, 4, 20, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).expect("can be written");
        let run = scratch.run_without_trace(&["verify", "golden"]);
        assert_eq!(run.code, Some(1), "cut at {length}: {run:?}");
        assert!(run.out.contains("FAIL") && run.out.contains("io.safetensors"), "{run:?}");
        assert_eq!(run.out.lines().last(), Some("0 passed, 1 failed, 0 unsupported"));
    }
    std::fs::remove_file(&file).expect("can be removed");
    assert_eq!(scratch.run(["verify", "golden"]).code, Some(1));
}

#[test]
fn kinds_without_a_checker_are_unsupported() {
    let scratch = Scratch::new();
    scratch.file("golden/manifest.json", manifest("x", "crystal_ball"));
    let out = scratch.run(["verify", "golden"]).passed();
    assert_eq!(out.lines().last(), Some("0 passed, 0 failed, 1 unsupported"));
}

#[test]
fn bad_folders_are_one_line() {
    let scratch = Scratch::new();
    golden(&scratch.path().join("golden"), golden_output());
    scratch.file("text/manifest.json", "not JSON");
    scratch.file("cut/manifest.json", &manifest("layer", "swiglu")[..40]);
    scratch.file("shape/manifest.json", "{\"cases\": [{\"name\": 7}]}");
    scratch.file("none/manifest.json", "{\"cases\": []}");
    scratch.file("bytes/manifest.json", [0xff, 0xfe, 0]);
    tensors(&scratch.path().join("file.safetensors"), &[("a", &[1.0])]);
    for (folder, words) in [
        ("missing", &["missing", "manifest.json"][..]),
        ("file.safetensors", &["file.safetensors"]),
        ("text", &["manifest.json", "line 1"]),
        ("cut", &["manifest.json"]),
        ("shape", &["manifest.json"]),
        ("none", &["no cases"]),
        ("bytes", &["manifest.json"]),
    ] {
        scratch.run_without_trace(&["verify", folder]).refused(1, words);
        scratch.run_without_trace(&["verify", folder, "--json"]).refused(1, words);
    }
    let unknown = ["verify", "golden", "--case", "lair"];
    scratch.run_without_trace(&unknown).refused(1, &["'lair'", "layer"]);
}

/// The numbers of the published implementation, forward and gradients.
#[test]
fn the_golden_numbers_of_the_repository_pass() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let golden = golden.to_string_lossy();
    let run = Scratch::new().run(["verify", &golden, "--json"]).json();
    assert_eq!((&run["failed"], &run["unsupported"]), (&0.into(), &0.into()), "{run}");
    let listed =
        std::fs::read_to_string(Path::new(&*golden).join("manifest.json")).expect("is there");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("is JSON");
    assert_eq!(run["passed"], listed["cases"].as_array().map_or(0, Vec::len));
    let tensors = |case: &serde_json::Value| case["tensors"].as_array().map_or(0, Vec::len);
    let compared: usize = run["cases"].as_array().into_iter().flatten().map(tensors).sum();
    assert!(compared > 150, "only {compared} tensors were compared");
    let run = Scratch::new().run(["verify", &golden, "--dtype", "bf16"]).passed();
    let count = listed["cases"].as_array().map_or(0, Vec::len);
    let counts = format!("{count} passed, 0 failed, 0 unsupported");
    assert_eq!(run.lines().last(), Some(counts.as_str()));
    let device = ["--case", "swiglu", "--dtype", "bf16", "--device", "emulated"];
    let run = Scratch::new().run(["verify", &golden].into_iter().chain(device)).passed();
    assert_eq!(run.lines().last(), Some("1 passed, 0 failed, 0 unsupported"));
}
