//! `vincie inspect`.

use crate::fixtures::{tensors, video};
use crate::program::Scratch;
use std::fs;
use vincie_dit::train::metrics::StepMetrics;

/// A scratch folder with sessions in it.
fn with_sessions() -> Scratch {
    let scratch = Scratch::new();
    let video = scratch.file("square.y4m", video());
    scratch.run(["annotate", "square.y4m", "--out", "sessions", "--quiet"]).passed();
    fs::remove_file(video).expect("can be removed");
    scratch
}

#[test]
fn sessions_as_text_json_and_page() {
    let scratch = with_sessions();
    let text = scratch.run_without_trace(&["inspect", "sessions"]).passed();
    assert!(text.contains("square-") && text.contains("96 x 64"), "{text}");
    assert!(text.contains("builtin"), "says who made the fields: {text}");
    let json = scratch.run(["inspect", "sessions/shard-000000.tar", "--json"]).json();
    assert_eq!(json["kind"], "sessions");
    let frames = json["sessions"][0]["frames"].as_array().map_or(0, Vec::len);
    let steps = json["sessions"][0]["transitions"].as_array().map_or(0, Vec::len);
    assert!(steps > 0 && frames == steps + 1, "{json}");
    let none = scratch.run(["inspect", "sessions", "--limit", "0", "--json"]).json();
    assert_eq!(none["sessions"], serde_json::json!([]));
    assert_eq!(none["statistics"]["sessions"], json["statistics"]["sessions"]);

    scratch.run(["inspect", "sessions", "--html", "page.html", "--quiet"]).passed();
    let page = fs::read_to_string(scratch.path().join("page.html")).expect("there is a page");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("src=\"data:image/png;base64,"), "pictures are in the page");
    assert!(!page.contains("http"), "nothing is fetched from elsewhere");
}

#[test]
fn a_cut_shard_shows_what_is_whole_and_fails() {
    let scratch = with_sessions();
    let shard = fs::read(scratch.path().join("sessions/shard-000000.tar")).expect("is there");
    scratch.file("cut.tar", &shard[..shard.len() - 6000]);
    let run = scratch.run_without_trace(&["inspect", "cut.tar"]);
    run.failed(1, &["cut.tar"]);
    scratch.file("none.tar", &shard[..700]);
    scratch.run_without_trace(&["inspect", "none.tar"]).failed(1, &["none.tar"]);
    scratch.file("damaged/shard-000000.tar", {
        let mut damaged = shard.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 64].fill(0x5a);
        damaged
    });
    fs::copy(
        scratch.path().join("sessions/shard-000000.index.json"),
        scratch.path().join("damaged/shard-000000.index.json"),
    )
    .expect("can be copied");
    scratch.run_without_trace(&["inspect", "damaged"]).failed(1, &["hash"]);
}

#[test]
fn tensors_as_text_json_and_page() {
    let scratch = Scratch::new();
    let values = [1.0, f32::NAN, -3.0, f32::INFINITY];
    tensors(&scratch.path().join("a.safetensors"), &[("w", &values), ("<b>", &[0.5]), ("c", &[])]);
    let text = scratch.run_without_trace(&["inspect", "a.safetensors"]).passed();
    assert!(text.starts_with("3 tensors, 5 values, 2 of them not finite"), "{text}");
    let json = scratch.run(["inspect", "a.safetensors", "--json"]).json();
    let tensors = json["tensors"].as_array().expect("is a list");
    let w = tensors.iter().find(|tensor| tensor["name"] == "w").expect("is listed");
    assert_eq!((w["min"].as_f64(), w["max"].as_f64()), (Some(-3.0), Some(1.0)));
    assert_eq!((w["mean"].as_f64(), w["not_finite"].as_u64()), (Some(-1.0), Some(2)));
    scratch.run(["inspect", "a.safetensors", "--html", "a.html"]).passed();
    let page = fs::read_to_string(scratch.path().join("a.html")).expect("there is a page");
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "names are escaped");
}

#[test]
fn runs_show_metrics_checkpoints_and_configurations() {
    let scratch = Scratch::new();
    let step = |step: u64, loss: f64| {
        let metrics = StepMetrics {
            step,
            losses: [("NIP".to_owned(), loss)].into(),
            evaluation: [("NIP".to_owned(), loss + 1.0)].into(),
            ..StepMetrics::default()
        };
        serde_json::to_string(&metrics).expect("numbers are JSON")
    };
    // The last line is cut, as when a run is killed.
    let lines = format!("{}\n{}\n{{\"step\": 3, \"lo", step(1, 0.5), step(2, 0.25));
    scratch.file("run/metrics.jsonl", lines);
    scratch.file("run/config.toml", "preset = \"nano\"\n");
    let checkpoint = scratch.path().join("run/checkpoints/step-00000002");
    fs::create_dir_all(&checkpoint).expect("a folder can be made");
    tensors(&checkpoint.join("model.safetensors"), &[("w", &[1.0])]);
    let text = scratch.run_without_trace(&["inspect", "run"]).passed();
    for word in ["loss/NIP", "0.25000", "checkpoints/step-00000002", "config.toml"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    scratch.run(["inspect", "run", "--html", "run.html"]).passed();
    let page = fs::read_to_string(scratch.path().join("run.html")).expect("there is a page");
    assert!(page.contains("<svg") && page.contains("preset = &quot;nano&quot;"), "{page}");
    assert!(page.contains("held out"), "evaluations are in the plot: {page}");
    let json = scratch.run(["inspect", "run/checkpoints/step-00000002", "--json"]).json();
    assert_eq!(json["tensors"][0]["count"], 1);

    scratch.file("run/metrics.jsonl", "no JSON\n");
    scratch.run_without_trace(&["inspect", "run"]).refused(1, &["metrics.jsonl", "line 1"]);
}

#[test]
fn bad_paths_are_one_line() {
    let scratch = Scratch::new();
    tensors(&scratch.path().join("a.safetensors"), &[("w", &[1.0, 2.0])]);
    let whole = fs::read(scratch.path().join("a.safetensors")).expect("is there");
    for length in [0, 7, 9, 30, whole.len() - 1] {
        scratch.file("cut.safetensors", &whole[..length]);
        let run = scratch.run_without_trace(&["inspect", "cut.safetensors", "--html", "a.html"]);
        run.refused(1, &["cut.safetensors"]);
    }
    scratch.file("longer.safetensors", [&whole[..], b"x"].concat());
    scratch.file("text.md", "some text that is no data set");
    scratch.file("empty.bin", "");
    scratch.file("list.jsonl", "{\"key\": 7}\n");
    fs::create_dir(scratch.path().join("nothing")).expect("a folder can be made");
    for (path, words) in [
        ("missing", &["missing"][..]),
        ("nothing", &["nothing"]),
        ("text.md", &["text.md", ".tar"]),
        ("empty.bin", &["empty.bin"]),
        ("longer.safetensors", &["longer.safetensors"]),
        ("list.jsonl", &["list.jsonl"]),
    ] {
        scratch.run_without_trace(&["inspect", path]).failed(1, words);
    }
    let into_nowhere = ["inspect", "a.safetensors", "--html", "none/a.html"];
    scratch.run_without_trace(&into_nowhere).refused(1, &["none/a.html"]);
}
