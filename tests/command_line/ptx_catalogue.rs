//! `vincie ptx list`, `show` and `check`: the kernels inside the program.

use crate::program::Scratch;
use serde_json::Value;

#[test]
fn kernels_are_listed_shown_and_checked() {
    let scratch = Scratch::new();
    let json = scratch.run(["ptx", "list", "--json"]).json();
    let kernels = json["kernels"].as_array().expect("a list");
    assert!(kernels.len() > 10, "{} kernels", kernels.len());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kernel, op, arch) =
        (text(&kernels[0]["kernel"]), text(&kernels[0]["op"]), text(&kernels[0]["arch"]));
    let listed = scratch.run(["ptx", "list", &op]).passed();
    assert!(listed.contains(&kernel) && listed.starts_with("kernel"), "{listed}");
    assert!(listed.lines().count() <= kernels.len() + 1);
    let shown = scratch.run(["ptx", "show", &op, "--arch", &arch]).passed();
    assert!(shown.contains(&format!("entry {kernel}")), "{shown}");
    let ptx = scratch.run(["ptx", "show", &kernel, "--ptx"]).passed();
    scratch.file("kernel.ptx", &ptx);
    let checked = scratch.run_alone(["ptx", "check", "kernel.ptx"]).passed();
    assert!(checked.contains("kept") && checked.contains(" ok"), "{checked}");
    let all = scratch.run_alone(["ptx", "check", "--json"]);
    assert!(all.err.contains("skipped: assembly"), "{all:?}");
    let all = all.json();
    assert_eq!(all["passed"], true, "{all}");
    let files = all["files"].as_array().expect("a list");
    assert_eq!(files.len(), kernels.len());
    assert!(files.iter().all(|file| file["contract"] == "kept"), "{all}");
}

#[test]
fn names_that_are_none_are_refused_with_those_that_are() {
    let scratch = Scratch::new();
    scratch.run(["ptx", "list", "frobnicate"]).refused(2, &["'frobnicate'", "expected one of"]);
    scratch.run(["ptx", "show", "frobnicate"]).refused(2, &["'frobnicate'", "ops with kernels"]);
    scratch.run(["ptx", "show", "none.ptx"]).refused(2, &["none.ptx"]);
    let json = scratch.run(["ptx", "list", "--json"]).json();
    let op = json["kernels"][0]["op"].as_str().expect("kernels have an op").to_owned();
    scratch.run(["ptx", "show", &op, "--arch", "sm_10"]).refused(2, &["--arch", "sm_80"]);
    scratch.run(["ptx", "show", &op, "--ptx"]).refused(2, &["several kernels"]);
    scratch.run(["ptx", "check", "none.ptx"]).refused(2, &["none.ptx"]);
}
