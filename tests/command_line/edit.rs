//! `vincie edit`: what a conversation leaves, and input that is refused.

use crate::fixtures;
use crate::program::Scratch;
use crate::train::with_sessions;
use std::fs;
use std::path::{Path, PathBuf};
use vincie_data::decode;
use vincie_data::{Image, Limits};

/// A folder with a trained model in `run` and two pictures.
fn with_model() -> Scratch {
    let scratch = with_sessions();
    scratch.run(["train", "--config", "train.toml", "--quiet"]).passed();
    for (name, colour) in [("red.png", [200, 30, 20]), ("blue.png", [20, 30, 200])] {
        decode::write_png(scratch.path().join(name), &Image::filled(70, 50, colour))
            .expect("a picture can be written");
    }
    scratch
}

/// Runs an edit of few steps; the folder it leaves.
fn edit(scratch: &Scratch, out: &str, arguments: &[&str]) -> PathBuf {
    let fixed = ["edit", "--model", "run", "--steps", "3", "--quiet", "--out", out];
    scratch.run(fixed.iter().chain(arguments)).passed();
    scratch.path().join(out)
}

fn size(path: &Path) -> (usize, usize) {
    let image =
        decode::read_image(path, &Limits::default()).expect("a written picture is readable");
    (image.width, image.height)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names
}

#[test]
fn every_turn_leaves_a_picture_and_the_chain_its_masks() {
    let scratch = with_model();
    let prompts = ["--prompt", "brighten the picture", "--prompt", "and now darken it"];
    let image = ["--image", "red.png"];
    let folder = edit(&scratch, "out", &[&image[..], &prompts].concat());
    assert_eq!(names(&folder), ["session.json", "strip.png", "turn-1.png", "turn-2.png"]);
    assert_eq!(size(&folder.join("turn-1.png")), (48, 32));
    let text = fs::read_to_string(folder.join("session.json")).expect("the record is there");
    let record: serde_json::Value = serde_json::from_str(&text).expect("the record is JSON");
    assert_eq!(record["turns"][1]["prompt"], "and now darken it");
    assert_eq!((&record["steps"], &record["model_steps"]), (&3.into(), &10.into()));

    let again = edit(&scratch, "again", &[&image[..], &prompts].concat());
    let bytes = |folder: &Path| fs::read(folder.join("turn-2.png")).expect("a turn is there");
    assert!(bytes(&folder) == bytes(&again), "the same seed gives the same picture");
    let seeded = edit(&scratch, "seeded", &[&image[..], &prompts, &["--seed", "2"]].concat());
    assert!(bytes(&folder) != bytes(&seeded), "the seed counts");
    let guided = edit(&scratch, "guided", &[&image[..], &prompts, &["--cfg", "4"]].concat());
    assert!(bytes(&folder) != bytes(&guided), "guidance counts");

    for (chain, mask) in [("cs", "current"), ("ns", "next")] {
        let folder = edit(&scratch, chain, &[&image[..], &prompts, &["--chain", chain]].concat());
        assert!(names(&folder).contains(&format!("turn-2.{mask}.png")), "{:?}", names(&folder));
        assert_eq!(names(&folder).len(), 6);
    }
    let both = edit(&scratch, "both", &[&image[..], &prompts, &["--chain", "cs,ns"]].concat());
    assert_eq!(names(&both).len(), 8);
    assert!(bytes(&folder) != bytes(&both), "predicted masks are context");
}

#[test]
fn concepts_are_composed_and_stories_start_from_text() {
    let scratch = with_model();
    let prompt = ["--prompt", "put them side by side"];
    let images = ["--image", "red.png", "--image", "blue.png"];
    let two = edit(&scratch, "two", &[&images[..], &prompt].concat());
    let one = edit(&scratch, "one", &[&images[..2], &prompt].concat());
    let bytes = |folder: &Path| fs::read(folder.join("turn-1.png")).expect("a turn is there");
    assert!(bytes(&one) != bytes(&two), "the second concept counts");
    let width = |folder: &Path| size(&folder.join("strip.png")).0;
    assert!(width(&two) > width(&one), "a strip shows every source");

    let story = ["--prompt", "a bud", "--prompt", "it opens", "--prompt", "it is a flower"];
    let story = edit(&scratch, "story", &story);
    assert_eq!(names(&story).len(), 5);
}

#[test]
fn what_cannot_be_edited_is_refused() {
    let scratch = with_model();
    let mut wide = fs::read(scratch.path().join("red.png")).expect("the picture is there");
    // The header's width, and its checksum, which decoders may check first.
    wide[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    scratch.file("wide.png", &wide);
    scratch.file("text.png", "no picture at all");
    scratch.file("empty.png", "");
    let prompt = ["--prompt", "darken", "--out", "out"];
    for (arguments, code, words) in [
        (&["--model", "nowhere", "--image", "red.png"][..], 1, &["nowhere"][..]),
        (&["--model", "sessions", "--image", "red.png"], 1, &["sessions"]),
        (&["--model", "run", "--image", "wide.png"], 1, &["wide.png"]),
        (&["--model", "run", "--image", "text.png"], 1, &["text.png"]),
        (&["--model", "run", "--image", "empty.png"], 1, &["empty.png"]),
        (&["--model", "run", "--image", "none.png"], 1, &["none.png"]),
        (&["--model", "run", "--cfg", "NaN"], 2, &["--cfg"]),
        (&["--model", "run", "--shift=-1"], 2, &["--shift", "0.01"]),
        (&["--model", "run", "--steps", "0"], 2, &["--steps"]),
        (&["--model", "run", "--chain", "xs"], 2, &["xs"]),
        (&["--model", "run", "--device", "cuda"], 1, &["cuda"]),
    ] {
        let line: Vec<&str> = ["edit"].iter().chain(arguments).chain(&prompt).copied().collect();
        scratch.run_without_trace(&line).refused(code, words);
    }
    scratch.file("out/mine.txt", "keep");
    let line = ["edit", "--model", "run", "--image", "red.png", "--prompt", "x", "--out", "out"];
    scratch.run_without_trace(&line).refused(1, &["out"]);
}

/// Weights that do not fit are one table; a value that is not finite is one line.
#[test]
fn weights_that_do_not_fit_are_told_in_one_table() {
    let scratch = with_model();
    let init = |name: &str, tensors: &[(&str, &[f32])]| {
        fixtures::tensors(&scratch.path().join(name), tensors);
        let change = format!("run.init={name}");
        scratch.run([
            "train",
            "--config",
            "train.toml",
            "--set",
            &change,
            "--set",
            "run.output=new",
        ])
    };
    let tensors: [(&str, &[f32]); 2] = [("emb_in.proj_in.bias", &[1.0, 2.0]), ("other", &[1.0])];
    let run = init("few.safetensors", &tensors);
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{run:?}");
    for words in ["1 of another shape", "1 unexpected", "other", "[1, 2]", "missing", "blocks.0"] {
        assert!(run.err.contains(words), "{words:?} is not in {}", run.err);
    }
    assert!(!scratch.path().join("new").exists(), "a refused run leaves no folder");
}
