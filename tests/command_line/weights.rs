//! Weights: converted, inspected, made anew, and what is refused.

use crate::fixtures::tensors;
use crate::program::Scratch;
use std::fs;

#[test]
fn weights_go_to_pytorch_and_back() {
    let scratch = Scratch::new();
    tensors(&scratch.path().join("a.safetensors"), &[("b", &[1.0, -2.5, 3.0]), ("a", &[0.5])]);
    scratch.run(["convert", "a.safetensors", "a.pth", "--quiet"]).passed();
    let out = scratch.run(["convert", "a.pth", "back.safetensors", "--quiet"]).passed();
    assert_eq!(out.trim(), "back.safetensors: 2 tensors, 16 bytes");
    scratch.run(["convert", "a.pth", "half.pth", "--dtype", "bf16"]).passed();
    scratch.run(["convert", "half.pth", "shards", "--dtype", "f32"]).passed();
    for file in ["back.safetensors", "half.pth", "shards/model.safetensors"] {
        let json = scratch.run(["inspect", file, "--json"]).json();
        let tensor = &json["tensors"][1];
        assert_eq!(
            (&tensor["name"], &tensor["min"], &tensor["max"]),
            (&"b".into(), &(-2.5).into(), &3.0.into()),
            "{file}"
        );
    }
    let json = scratch.run(["inspect", "half.pth", "--json", "--no-values"]).json();
    assert_eq!((&json["bytes"], &json["tensors"][1]["min"]), (&8.into(), &serde_json::Value::Null));
    let names = scratch.names();
    assert!(names.iter().all(|name| !name.contains("partial")), "{names:?}");
}

#[test]
fn bad_weights_are_one_line() {
    let scratch = Scratch::new();
    tensors(&scratch.path().join("a.safetensors"), &[("a", &[1e6])]);
    scratch.run(["convert", "a.safetensors", "a.pth"]).passed();
    let whole = fs::read(scratch.path().join("a.pth")).expect("was written");
    scratch.file("cut.pth", &whole[..whole.len() / 2]);
    scratch.run(["convert", "cut.pth", "x.pth"]).refused(1, &["cut.pth", "cut short"]);
    scratch.run(["inspect", "cut.pth"]).refused(1, &["cut.pth", "cut short"]);
    scratch.run(["convert", "none.pth", "x.pth"]).refused(1, &["none.pth"]);
    scratch.run(["convert", "a.pth", "x.zip"]).refused(1, &["x.zip", ".safetensors"]);
    scratch.run(["convert", "a.pth", "a.pth"]).refused(1, &["is what is being read"]);
    let lost = scratch.run(["convert", "a.pth", "x.pth", "--dtype", "f16"]);
    lost.refused(1, &["a holds 1000000, which F16 does not"]);
    scratch.run(["new-checkpoint", "--preset", "4b", "--out", "x"]).refused(2, &["4b"]);
    scratch.run(["doctor", "--model", "."]).refused(1, &["no released model"]);
    scratch.file("model/dit.pth", "PK");
    let seen = scratch.run_without_trace(&["doctor", "--model", "model"]);
    assert!(seen.out.contains("cut short") && seen.out.contains("llm14b: missing"), "{}", seen.out);
    let names = scratch.names();
    assert_eq!(names, ["a.pth", "a.safetensors", "cut.pth", "model", "model/dit.pth"]);
}
