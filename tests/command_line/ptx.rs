//! `vincie ptx`: the corpus through the command line, and files that are refused.

use crate::program::Scratch;
use std::fs;
use std::path::PathBuf;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ptx/corpus")
}

#[test]
fn good_kernels_pass_and_flawed_ones_are_found_with_their_class() {
    let scratch = Scratch::new();
    let (mut good, mut flawed) = (0, 0);
    for entry in fs::read_dir(corpus()).expect("the corpus is there") {
        let path = entry.expect("an entry can be read").path();
        let name = path.to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".launch.toml") else { continue };
        let run = scratch.run(["ptx", "run", &name, "--json"]);
        let answer: serde_json::Value = serde_json::from_str(&run.out).expect("JSON comes out");
        if !stem.ends_with("-flaw") {
            assert_eq!((run.code, &answer["passed"]), (Some(0), &true.into()), "{name}: {answer}");
            assert!(answer["counters"]["warp_instructions"].as_u64() > Some(0), "{answer}");
            good += 1;
            continue;
        }
        let text = fs::read_to_string(&path).expect("a launch file can be read");
        let launch: toml::Table = text.parse().expect("a launch file is TOML");
        let word = |key: &str| launch.get(key).and_then(|value| value.as_str()).unwrap_or_default();
        let wanted: Vec<&str> =
            word("detect").split('|').chain([word("flaw")]).map(str::trim).collect();
        let findings = answer["findings"].as_array().cloned().unwrap_or_default();
        let is_wanted = |found: &serde_json::Value| {
            found["class"].as_str().is_some_and(|class| wanted.contains(&class))
        };
        assert_eq!((run.code, &answer["passed"]), (Some(1), &false.into()), "{name}: {answer}");
        assert!(findings.iter().any(is_wanted), "{name}: none of {wanted:?} in {answer}");
        flawed += 1;
    }
    assert_eq!((good, flawed), (11, 4));
}

#[test]
fn a_race_is_told_in_one_line_and_checks_can_be_left_out() {
    let scratch = Scratch::new();
    let file = corpus().join("c_block_reduce-flaw.launch.toml");
    let file = file.to_string_lossy();
    let run = scratch.run(["ptx", "run", &file]);
    let line = run.out.lines().find(|line| line.starts_with("shared-race")).expect("it is found");
    for word in ["block_sumsq", "line ", "cta [0,0,0]", "warp ", "lane ", "address 0x", "the other"]
    {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
    let bare = scratch.run(["ptx", "run", &file, "--no-race", "--no-init"]);
    assert!(!bare.out.contains("shared-race") && !bare.out.contains("uninit-shared"), "{bare:?}");
    for schedule in ["reversed", "shuffle:7"] {
        let good = corpus().join("t_gemm_bf16.launch.toml");
        let good = good.to_string_lossy();
        scratch.run(["ptx", "run", &good, "--schedule", schedule, "--late"]).passed();
    }
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("the README can be read");
    let shown = readme.split("\n$ vincie ptx run ").nth(1).expect("the README runs a kernel");
    let (line, rest) = shown.split_once('\n').expect("a command and what it prints");
    let (expected, _) = rest.split_once("```").expect("the block ends");
    let (file, options) = line.split_once(' ').expect("a file and options");
    let file = corpus().join("../..").join(file).to_string_lossy().into_owned();
    let run = Scratch::new().run(["ptx", "run", &file].into_iter().chain(options.split(' ')));
    assert!(expected.lines().count() >= 2 && run.out.starts_with(expected), "{}", run.out);
}

#[test]
fn what_cannot_be_run_is_wrong_usage_in_one_line() {
    let scratch = Scratch::new();
    let launch = "ptx = \"a.ptx\"\nentry = \"k\"\ngrid = [1, 1, 1]\nblock = [32, 1, 1]\n";
    let head = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k() {\n";
    let case = |name: &str, launch: &str, ptx: &str| {
        scratch.file("a.ptx", ptx);
        scratch.file(name, launch);
        scratch.run(["ptx", "run", name])
    };
    case("good.launch.toml", launch, &format!("{head} ret;\n}}\n")).passed();
    let unknown = format!("{head} .reg .u32 %r<3>;\n frobnicate.u32 %r1, %r2;\n ret;\n}}\n");
    case("unknown.launch.toml", launch, &unknown).refused(2, &["a.ptx:6", "frobnicate"]);
    case("text.launch.toml", launch, "no PTX at all").refused(2, &["a.ptx"]);
    let other = launch.replace("entry = \"k\"", "entry = \"other\"");
    case("entry.launch.toml", &other, &format!("{head} ret;\n}}\n")).refused(2, &["other"]);
    case("key.launch.toml", &format!("{launch}colour = 1\n"), head).refused(2, &["colour"]);
    case("cut.launch.toml", "ptx = \"a", head).refused(2, &["cut.launch.toml"]);
    scratch.run(["ptx", "run", "none.launch.toml"]).refused(2, &["none.launch.toml"]);
    scratch.run(["ptx", "run", "good.launch.toml", "--schedule", "best"]).refused(2, &["shuffle"]);
    scratch.run(["ptx", "show", "none.ptx"]).refused(2, &["none.ptx"]);
    let shown = scratch.run(["ptx", "show", "a.ptx"]);
    assert_eq!(shown.code, Some(2), "{shown:?}");
}

#[test]
fn contracts_and_instructions_are_checked_without_an_assembler() {
    let scratch = Scratch::new();
    let head = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry scale(.param .u64 x, \
                .param .f32 f)\n{\n ret;\n}\n";
    let contract = |params: &str| {
        format!(
            "// scale: x f.\n// params  {params}\n// grid    (1, 1, 1)   block 32   smem 0\n{head}"
        )
    };
    scratch.file("kept.ptx", contract("x: ptr f32 [n] | f: f32"));
    scratch.file("broken.ptx", contract("x: ptr f32 [n] | f: f64"));
    let kept = scratch.run_alone(["ptx", "check", "kept.ptx"]);
    assert!(kept.err.contains("skipped: assembly"), "{kept:?}");
    assert!(kept.passed().contains("kept"));
    let broken = scratch.run_alone(["ptx", "check", "broken.ptx", "--json"]);
    assert_eq!(broken.code, Some(1), "{broken:?}");
    assert!(broken.out.contains("parameter f has 4 bytes, the header says 8"), "{broken:?}");
}
