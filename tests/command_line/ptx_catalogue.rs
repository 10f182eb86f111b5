//! `vincie ptx list`, `show` and `check`: the kernels inside the program.

use crate::program::{Run, Scratch};
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

/// An assembler that answers as `ptxas` does, for a kernel of `$REGISTERS` registers.
const ASSEMBLER: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "Cuda compilation tools, release ${RELEASE:-13.0}, V13.0.88"; exit; fi
for file; do :; done
entry=$(sed -n 's/^\.visible \.entry \([a-z0-9_]*\).*/\1/p' "$file")
echo "ptxas info    : Compiling entry function '$entry' for 'sm_80'"
echo "ptxas info    : Used $REGISTERS registers, used 0 barriers"
"#;

#[cfg(unix)]
#[test]
fn registers_are_held_to_the_table() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let assembler = scratch.file("ptxas", ASSEMBLER);
    std::fs::set_permissions(&assembler, std::fs::Permissions::from_mode(0o755))
        .expect("a file of ours");
    let check = |registers: &str, release: &str, more: &[&str]| {
        let mut command = scratch.command(["ptx", "check"].iter().chain(more));
        command.env("PTXAS", &assembler).env("REGISTERS", registers).env("RELEASE", release);
        Run::of(command.output().expect("the program starts"))
    };
    check("1", "13.0", &["--require-assembler"]).passed();
    let more = check("255", "13.0", &[]);
    assert_eq!(more.code, Some(1), "{more:?}");
    for word in ["clip_finish: 255 registers; the table has", "its contract has"] {
        assert!(more.out.contains(word), "{word:?} is not in {more:?}");
    }
    let other = check("1", "12.9", &[]);
    assert!(other.err.contains("skipped: table of resources"), "{other:?}");
    check("7", "13.0", &["--write-table", "table.txt"]).passed();
    let table = std::fs::read_to_string(scratch.path().join("table.txt")).expect("it is written");
    let line =
        table.lines().find(|line| line.starts_with("clip_finish ")).expect("a kernel's line");
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["clip_finish", "7", "7", "7", "0"]);
}
