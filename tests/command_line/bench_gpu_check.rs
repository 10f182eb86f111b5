//! `vincie bench gpu-check`: a device and the emulator beside each other.

use crate::program::{Run, Scratch};
use crate::ptx_device::{LIBRARY, stand_in, tracks};
use serde_json::Value;
use std::fs;

const HEAD: &str = ".version 8.0\n.target sm_80\n.address_size 64\n";

/// A case with one buffer of eight bytes.
fn case(scratch: &Scratch, name: &str, body: &str, expected: Option<u64>, more: &str) {
    let entry = format!("{HEAD}.visible .entry k(.param .u64 out)\n{{\n{body} ret;\n}}\n");
    scratch.file(&format!("own/{name}.ptx"), entry);
    let expect = if expected.is_some() { "expect = \"want\"\n" } else { "" };
    let launch = format!(
        "ptx = \"{name}.ptx\"\nentry = \"k\"\ngrid = [1, 1, 1]\nblock = [1, 1, 1]\n\
         data = \"{name}.safetensors\"\n{more}\n[[args]]\nbuffer = \"out\"\nuninit = true\n{expect}"
    );
    scratch.file(&format!("own/{name}.launch.toml"), launch);
    let header = r#"{"out":{"dtype":"U64","shape":[1],"data_offsets":[0,8]},"want":{"dtype":"U64","shape":[1],"data_offsets":[8,16]}}"#;
    let mut data = (header.len() as u64).to_le_bytes().to_vec();
    data.extend(header.bytes());
    data.extend([0xAB; 8]);
    data.extend(expected.unwrap_or(0).to_le_bytes());
    scratch.file(&format!("own/{name}.safetensors"), data);
}

fn record(scratch: &Scratch, folder: &str) -> Value {
    let path = scratch.path().join(folder).join("gpu-check.json");
    let text = fs::read_to_string(path).expect("the record is there");
    serde_json::from_str(&text).expect("the record is JSON")
}

/// Names with their results.
fn results(record: &Value) -> Vec<(String, String)> {
    let sections = record["sections"].as_array().expect("a record has sections");
    let rows = sections.iter().flat_map(|section| section["rows"].as_array());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.flatten().map(|row| (text(&row["name"]), text(&row["status"]))).collect()
}

/// How many cases the program holds without and with a planted flaw.
fn held() -> (usize, usize) {
    let folders = ["../ptx/corpus", "../ptx/microtests"].map(|folder| {
        std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
            .expect("a folder of the repository can be read")
    });
    let names: Vec<String> = folders
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into())
        .filter(|name: &String| name.ends_with(".launch.toml"))
        .collect();
    let flawed = names.iter().filter(|name| name.contains("-flaw.")).count();
    (names.len() - flawed, flawed)
}

#[test]
fn everything_in_the_program_agrees_on_an_emulated_device() {
    let scratch = Scratch::new();
    let run = ["bench", "gpu-check", "--out", "a/b", "--device", "emulated", "--trace", "t.json"];
    let out = scratch.run(run).passed();
    let last = out.lines().last().unwrap_or_default();
    let (good, flawed) = held();
    let counts = format!("{good} passed, {flawed} skipped");
    assert!(last.starts_with("ok  emulated:0") && last.contains(&counts), "{out}");
    let record = record(&scratch, "a/b");
    assert_eq!((&record["complete"], &record["passed"]), (&true.into(), &true.into()));
    for (name, status) in results(&record) {
        let expected = if name.ends_with("-flaw") { "skipped" } else { "passed" };
        assert_eq!(status, expected, "{name}");
    }
    let row = &record["sections"][0]["rows"][0];
    assert!(row["gpu_microseconds"].as_f64() > Some(0.0), "{row}");
    assert_eq!(row["tensors"][1]["differing"], 0, "{row}");
    let tracks = tracks(&scratch.path().join("t.json"));
    let kinds: Vec<&str> = tracks.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["case", "emulator", "host", "kernel"]);
    let again = ["bench", "gpu-check", "--out", "a/b", "--device", "emulated"];
    scratch.run(again).refused(1, &["a/b/gpu-check.json", "exists already"]);
}

#[test]
fn the_same_holds_behind_the_loader() {
    let Some(library) = stand_in("the_same_holds_behind_the_loader") else { return };
    let scratch = Scratch::new();
    let mut command = scratch.command(["bench", "gpu-check", "--out", "out", "--json"]);
    let output = command.env(LIBRARY, library).output().expect("the program can be started");
    let record = Run::of(output).json();
    assert_eq!((&record["passed"], &record["device"]["device"]), (&true.into(), &"cuda:0".into()));
    assert_eq!(results(&record).iter().filter(|(_, status)| status == "passed").count(), held().0);
}

/// Rows of a section.
fn rows<'r>(record: &'r Value, section: &str) -> Vec<&'r Value> {
    let sections = record["sections"].as_array().expect("a record has sections");
    let of = |found: &&Value| found["name"] == section;
    let rows = sections.iter().filter(of).flat_map(|section| section["rows"].as_array());
    rows.flatten().collect()
}

#[test]
fn every_kernel_is_launched_and_held_to_a_reference() {
    let scratch = Scratch::new();
    let run = ["bench", "gpu-check", "--out", "out", "--device", "emulated", "--only", "kernels"];
    let out = scratch.run(run.into_iter().chain(["--all", "--seconds", "3600"])).passed();
    let record = record(&scratch, "out");
    let rows = rows(&record, "kernels");
    let catalogue = rows.last().expect("the section has rows");
    let kernels = vincie_ptx::catalogue::kernels().len();
    let left = vincie_tensor::cases::ONLY_LARGE.len();
    assert_eq!(
        (&catalogue["name"], &catalogue["launched"]),
        (&"catalogue".into(), &(kernels - left).into())
    );
    let compared: u64 = rows.iter().filter_map(|row| row["compared"].as_u64()).sum();
    assert!(rows.len() > 80 && compared > 1000, "{} rows, {compared} comparisons", rows.len());
    for row in rows {
        assert_eq!(row["status"], "passed", "{row}");
    }
    // What passed stands in the record.
    assert!(!out.contains("catalogue"), "{out}");
}

/// Everything that is timed has its row, none of which looks like a figure of a GPU.
fn assert_has_no_times(record: &Value) {
    let rows = rows(record, "bench");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    for part in
        ["copy", "product tn bf16", "attention backward block-causal", "adamw", "step", "edit"]
    {
        assert!(names.iter().any(|name| name.starts_with(part)), "{part} in {names:?}");
    }
    for row in rows.into_iter().filter(|row| row["status"] == "passed") {
        let has_none = row["ms"].is_null() && row["gpu_microseconds"].is_null();
        assert!(row["emulated"] == true && has_none && row["tflop_per_s"].is_null(), "{row}");
    }
}

#[test]
fn models_are_held_to_golden_numbers_and_times_are_not_made_up() {
    let scratch = Scratch::new();
    let run = ["bench", "gpu-check", "--out", "out", "--device", "emulated", "--all"];
    let only = ["--only", "parity", "--only", "bench", "--only", "profile"];
    let out = scratch.run(run.into_iter().chain(only)).passed();
    let record = record(&scratch, "out");
    let parity = rows(&record, "parity");
    assert!(parity.len() > 5, "{parity:?}");
    for row in &parity {
        assert_eq!(row["status"], "passed", "{row}");
    }
    assert!(parity.iter().any(|row| row["name"] == "training beside the host f32"));
    assert_has_no_times(&record);
    for row in rows(&record, "profile") {
        assert_eq!(row["status"], "skipped", "{row}");
    }
    let table = scratch.path().join("out/gpu-check.md");
    let table = fs::read_to_string(table).expect("there is a table");
    assert!(table.contains("No times") && table.contains("the device is emulated"), "{table}");
    assert!(out.contains("the device is emulated"), "{out}");
}

#[test]
fn behind_the_loader_an_emulated_device_is_known_too() {
    let Some(library) = stand_in("behind_the_loader_an_emulated_device_is_known_too") else {
        return;
    };
    let scratch = Scratch::new();
    let run = ["bench", "gpu-check", "--out", "out", "--all", "--only", "bench", "--json"];
    let mut command = scratch.command(run.into_iter().chain(["--peer-python", "no-such-python"]));
    let output = command.env(LIBRARY, library).output().expect("the program can be started");
    let record = Run::of(output).json();
    assert_has_no_times(&record);
    let peer = &rows(&record, "bench")[0]["reason"];
    assert!(peer.as_str().is_some_and(|reason| reason.contains("no-such-python")), "{peer}");
}

#[test]
fn one_bad_case_does_not_lose_the_others() {
    let scratch = Scratch::new();
    let at = ".reg .b64 %p, %v;\n ld.param.u64 %p, [out];\n";
    let own_address = format!("{at} st.global.u64 [%p], %p;\n");
    let good = format!("{at} mov.u64 %v, 7;\n st.global.u64 [%p], %v;\n");
    case(&scratch, "a_good", &good, Some(7), "");
    // The tolerated write is a fault where nobody checks.
    let wild = format!("{at} mov.u64 %v, 64;\n st.global.u64 [%v], %p;\n st.global.u64 [%p], 7;\n");
    case(&scratch, "b_fault", &wild, Some(7), "tolerate = [\"oob-write\"]");
    case(&scratch, "c_good", &good, Some(7), "");
    // Buffers stand elsewhere on the second device, which its kernel tells.
    case(&scratch, "d_differs", &own_address, None, "");
    case(&scratch, "e_fails", &own_address, Some(1 << 42), "");
    case(&scratch, "f_newer", &good, Some(7), "");
    let path = scratch.path().join("own/f_newer.ptx");
    let text = fs::read_to_string(&path).expect("it was written").replace("sm_80", "sm_90a");
    fs::write(&path, text).expect("it can be written");
    scratch.file("own/g_broken.launch.toml", "ptx = 7");
    case(&scratch, "h_wrong", &good, Some(8), "");
    let run = ["bench", "gpu-check", "--out", "out", "--cases", "own", "--only", "own"];
    let run = scratch.run(run.into_iter().chain(["--device", "emulated:1"]));
    assert_eq!(run.code, Some(1), "{run:?}");
    let record = record(&scratch, "out");
    let results = results(&record);
    let results: Vec<(&str, &str)> =
        results.iter().map(|(name, status)| (name.as_str(), status.as_str())).collect();
    assert_eq!(
        results,
        [
            ("a_good", "passed"),
            ("b_fault", "fault"),
            ("c_good", "passed"),
            ("d_differs", "differs"),
            ("e_fails", "fails"),
            ("f_newer", "passed"),
            ("g_broken", "error"),
            ("h_wrong", "fails"),
        ],
        "{run:?}"
    );
    assert_eq!((&record["complete"], &record["passed"]), (&true.into(), &false.into()));
    let differing = &record["sections"][0]["rows"][3]["tensors"][0];
    assert_eq!((&differing["differing"], &differing["elements"]), (&1.into(), &1.into()));
    assert_eq!(differing["kept"][0]["emulator_bits"], "0x0000040000000000", "{differing}");
    let line = "d_differs: out[0]: gpu 8796093022208, emulator 4398046511104";
    assert!(run.out.contains(line), "{}", run.out);
}

#[test]
fn a_case_that_does_not_end_is_lost_alone() {
    let scratch = Scratch::new();
    let body = ".reg .b64 %p;\n .reg .b32 %i;\n .reg .pred %q;\n ld.param.u64 %p, [out];\n \
                mov.u32 %i, 0;\nAGAIN:\n add.u32 %i, %i, 1;\n setp.lt.u32 %q, %i, 500000;\n \
                @%q bra AGAIN;\n cvt.u64.u32 %p, %i;\n";
    case(&scratch, "long", body, None, "");
    let run = ["bench", "gpu-check", "--out", "out", "--device", "emulated", "--cases", "own"];
    let run = scratch.run(run.into_iter().chain(["--only", "own", "--timeout", "0.01"]));
    assert_eq!(run.code, Some(1), "{run:?}");
    let record = record(&scratch, "out");
    assert_eq!(results(&record), [("long".to_owned(), "lost".to_owned())]);
    assert!(run.out.contains("no answer within 0.01 s"), "{run:?}");
    let late = ["bench", "gpu-check", "--out", "late", "--device", "emulated", "--seconds", "0"];
    let late = scratch.run(late).passed();
    let all = format!("{} skipped", held().0 + held().1);
    assert!(late.contains(&all) && late.contains("0 s are spent"), "{late}");
}

#[test]
fn wrong_usage_is_told_before_anything_runs() {
    let scratch = Scratch::new();
    scratch.file("empty/readme", "");
    let check = |more: &[&str]| {
        let run = ["bench", "gpu-check", "--device", "emulated", "--out", "out"];
        scratch.run_without_trace(&[&run, more].concat())
    };
    check(&["--only", "kernel"]).refused(2, &["kernel", "microtests, corpus, kernels, parity"]);
    check(&["--cases", "empty"]).refused(2, &["empty", ".launch.toml"]);
    check(&["--cases", "none"]).refused(2, &["none"]);
    check(&["--timeout", "0"]).refused(2, &["0.01"]);
    scratch.run_without_trace(&["bench", "gpu-check"]).refused(2, &["--out"]);
    let cpu = ["bench", "gpu-check", "--out", "out", "--device", "cpu"];
    scratch.run_without_trace(&cpu).refused(2, &["emulated[:N]"]);
}
