//! Models on an emulated device: what memory they take, and that they train, edit and are measured there.

use crate::program::Scratch;
use crate::train::with_sessions;
use std::fs;

/// Heads of a width that the device's attention has, and as little work as there can be.
const CHANGES: [&str; 14] = [
    "--set",
    "model.heads=1",
    "--set",
    "model.head_dim=32",
    "--set",
    "model.rotary_dim=30",
    "--set",
    "run.steps=1",
    "--set",
    "run.batch=1",
    "--set",
    "run.accumulate=1",
    "--set",
    "optimizer.warmup=0",
];

/// The loss of a run's only step.
fn loss(scratch: &Scratch, run: &str) -> f64 {
    let text = fs::read_to_string(scratch.path().join(run).join("metrics.jsonl"));
    let text = text.expect("a run has metrics");
    let row: serde_json::Value =
        serde_json::from_str(text.lines().next().unwrap_or_default()).expect("a line is JSON");
    row["loss"].as_f64().expect("a step has a loss")
}

#[test]
fn a_model_is_planned_trained_and_used_on_a_device() {
    let scratch = with_sessions();
    let train = |more: &[&str]| {
        let fixed = ["train", "--config", "train.toml", "--quiet"];
        scratch.run(fixed.iter().chain(&CHANGES).chain(more)).passed()
    };
    let plan = train(&["--device", "emulated", "--plan"]);
    for row in ["parameters", "gradients", "first moments", "second moments", "batch", "total"] {
        assert!(plan.lines().any(|line| line.starts_with(row)), "{row}: {plan}");
    }
    assert!(plan.contains("free on emulated:0"), "{plan}");
    assert!(!scratch.path().join("run").exists(), "a plan leaves nothing");
    let on_host = train(&["--plan"]);
    assert!(on_host.contains("activations, gradients"), "{on_host}");

    train(&["--set", "run.output=host"]);
    train(&["--device", "emulated"]);
    let (host, device) = (loss(&scratch, "host"), loss(&scratch, "run"));
    assert!((host - device).abs() <= 2e-4 * host, "host {host}, device {device}");

    let picture = vincie_data::Image::filled(48, 32, [200, 30, 20]);
    vincie_data::decode::write_png(scratch.path().join("red.png"), &picture)
        .expect("a picture can be written");
    let edit = ["edit", "--model", "run", "--steps", "1", "--quiet", "--out", "out"];
    let turn = ["--image", "red.png", "--prompt", "brighten the picture", "--device", "emulated"];
    scratch.run(edit.iter().chain(&turn)).passed();
    assert!(scratch.path().join("out/turn-1.png").exists());
}

#[test]
fn the_memory_of_a_measured_step_is_known_without_taking_it() {
    let scratch = Scratch::new();
    let plan = |dtype: &str| {
        let line = ["bench", "step", "--layers", "1", "--plan", "--device", "emulated", "--json"];
        scratch.run(line.iter().chain(&["--dtype", dtype])).json()
    };
    let bytes = |plan: &serde_json::Value, what: &str| {
        let rows = plan["rows"].as_array().expect("a plan has rows");
        let row = rows.iter().find(|row| row["what"] == what);
        row.map(|row| row["bytes"].as_u64().expect("a number of bytes"))
    };
    let (exact, rounded) = (plan("f32"), plan("bf16"));
    assert_eq!(exact["device"], "emulated:0");
    assert_eq!(bytes(&exact, "master weights"), None);
    assert_eq!(bytes(&exact, "gradients"), bytes(&rounded, "gradients"));
    assert!(bytes(&rounded, "parameters") < bytes(&exact, "parameters"));
    assert!(bytes(&rounded, "activations") < bytes(&exact, "activations"));
    assert!(bytes(&rounded, "master weights") > bytes(&rounded, "parameters"));
}
