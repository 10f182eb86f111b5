//! `vincie ptx run --device`: launch files through the driver's calls, on an emulated device, on a
//! library that stands in for a GPU's, and without any.

use crate::program::{Run, Scratch};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The variable that names the driver's library.
pub(crate) const LIBRARY: &str = "VINCIE_LIBCUDA";

/// A library that answers as a GPU's driver does, where the examples are built.
pub(crate) fn stand_in(test: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_BIN_EXE_vincie"));
    let path = folder.with_file_name("examples/libemulated_driver.so");
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {test}: no {}", path.display());
    None
}

fn corpus(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ptx/corpus");
    folder.join(format!("{name}.launch.toml")).to_string_lossy().into_owned()
}

/// Tracks of a trace by the kind of what they hold.
pub(crate) fn tracks(path: &std::path::Path) -> Vec<(String, u64)> {
    let text = fs::read_to_string(path).expect("the trace is there");
    let trace: Value = serde_json::from_str(&text).expect("a trace is JSON");
    let events = trace["traceEvents"].as_array().expect("a trace has events");
    let spans = events.iter().filter(|event| event["ph"] == "X");
    let mut tracks: Vec<(String, u64)> = spans
        .map(|span| {
            assert!(
                span["ts"].as_f64() >= Some(0.0) && span["dur"].as_f64() >= Some(0.0),
                "{span}"
            );
            let category = span["cat"].as_str().expect("spans have a category");
            (category.to_owned(), span["pid"].as_u64().expect("spans have a process"))
        })
        .collect();
    tracks.sort();
    tracks.dedup();
    let named = events.iter().filter(|event| event["name"] == "process_name").count();
    assert!(named >= 2, "{text}");
    tracks
}

fn on_gpu(scratch: &Scratch, library: &PathBuf, arguments: &[&str]) -> Run {
    let mut command = scratch.command(["ptx", "run"]);
    let output = command.args(arguments).env(LIBRARY, library).output();
    Run::of(output.expect("the program can be started"))
}

#[test]
fn an_emulated_device_takes_the_way_of_a_gpu_too() {
    let scratch = Scratch::new();
    let file = corpus("t_gemm_bf16");
    let run = ["ptx", "run", &file, "--trace", "t.json", "--outputs", "o.safetensors", "--json"];
    let answer = scratch.run(run).json();
    assert_eq!((&answer["passed"], &answer["matches"]), (&true.into(), &true.into()), "{answer}");
    assert_eq!(answer["findings"], Value::Array(Vec::new()), "{answer}");
    assert_eq!(answer["driver"]["device"], "emulated:0", "{answer}");
    assert!(answer["driver"]["microseconds"].as_f64() > Some(0.0), "{answer}");
    let tracks = tracks(&scratch.path().join("t.json"));
    assert_eq!(tracks, [("host".to_owned(), 0), ("kernel".to_owned(), 1)]);
    let outputs = fs::read(scratch.path().join("o.safetensors")).expect("it was written");
    assert!(String::from_utf8_lossy(&outputs).contains("\"dtype\":\"BF16\""), "{answer}");
    assert_eq!(scratch.names(), ["o.safetensors", "t.json"]);
    let bare = scratch.run(["ptx", "run", &file, "--json"]).json();
    assert_eq!(bare["driver"], Value::Null);
    let nowhere = ["ptx", "run", &file, "--trace", "none/t.json"];
    scratch.run(nowhere).refused(1, &["none/t.json"]);
}

#[test]
fn a_gpu_runs_launch_files_and_tells_what_is_wrong() {
    let Some(library) = stand_in("a_gpu_runs_launch_files_and_tells_what_is_wrong") else { return };
    let scratch = Scratch::new();
    for name in ["h_wgmma_tma_sm90a", "c_bulk_ring_sm90", "t_attn_causal"] {
        let run = [&corpus(name), "--device", "cuda", "--json", "--trace", "t.json"];
        let run = on_gpu(&scratch, &library, &run.map(AsRef::as_ref));
        // The machine behind the stand-in has all checks on and tolerates nothing.
        let answer = run.json();
        assert_eq!(answer["passed"], true, "{name}: {answer}");
        assert_eq!((&answer["counters"], &answer["findings"]), (&Value::Null, &Value::Null));
        assert_eq!(answer["driver"]["device"], "cuda:0");
        assert_eq!(tracks(&scratch.path().join("t.json")).len(), 2);
    }
    let beyond = on_gpu(&scratch, &library, &[&corpus("c_oob_write-flaw"), "--device", "cuda"]);
    assert_eq!(beyond.code, Some(1), "{beyond:?}");
    assert!(beyond.out.contains("oob-write: out: the bytes behind"), "{beyond:?}");
    let raced = on_gpu(&scratch, &library, &[&corpus("c_block_reduce-flaw"), "--device", "cuda"]);
    assert_eq!(raced.code, Some(1), "{raced:?}");
    assert!(raced.out.contains("fault: ") && raced.out.contains("block_sumsq grid"), "{raced:?}");
    let ninth = on_gpu(&scratch, &library, &[&corpus("t_softmax"), "--device", "cuda:9"]);
    ninth.refused(1, &["cuda:9", "there are 8"]);
}

#[test]
fn without_a_driver_every_command_says_so_in_one_line() {
    let scratch = Scratch::new();
    let file = corpus("t_softmax");
    for arguments in [
        &["ptx", "run", &file, "--device", "cuda"][..],
        &["bench", "gpu-check", "--out", "results"],
        &["doctor", "--device", "cuda"],
        &["doctor", "--device", "cuda", "--json"],
    ] {
        let mut command = scratch.command(arguments);
        let output = command.env(LIBRARY, "no-such-driver.so").output();
        let run = Run::of(output.expect("the program can be started"));
        run.refused(1, &["no GPU driver: no-such-driver.so", LIBRARY, "--device emulated"]);
    }
    assert_eq!(scratch.names(), Vec::<String>::new());
}

#[test]
fn launches_that_do_not_fit_are_refused_in_one_line() {
    let scratch = Scratch::new();
    let ptx = ".version 8.0\n.target sm_80\n.address_size 64\n\
               .visible .entry k(.param .u64 x) {\n .shared .b32 s[4];\n ret;\n}\n";
    scratch.file("k.ptx", ptx);
    let tensors = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[3],"data_offsets":[8,20]}}"#;
    let mut data = (tensors.len() as u64).to_le_bytes().to_vec();
    data.extend(tensors.bytes().chain([0; 20]));
    scratch.file("k.safetensors", &data);
    let good = "ptx = \"k.ptx\"\nentry = \"k\"\ngrid = [1, 1, 1]\nblock = [32, 1, 1]\n\
                data = \"k.safetensors\"\n[[args]]\nbuffer = \"x\"\n";
    scratch.file("good.launch.toml", good);
    scratch.run(["ptx", "run", "good.launch.toml", "--driver"]).passed();
    for (from, to, words) in [
        ("grid = [1, 1, 1]", "grid = [0, 1, 1]", &["grid"][..]),
        ("grid = [1, 1, 1]", "grid = [1, 70000, 1]", &["grid"]),
        ("grid = [1, 1, 1]", "grid = [2147483647, 65535, 65535]", &["CTAs", "emulated"]),
        ("grid = [1, 1, 1]", "grid = [2147483647, 1, 1]", &["2147483647 CTAs"]),
        ("grid = [1, 1, 1]", "grid = [-1, 1, 1]", &["-1"]),
        ("grid = [1, 1, 1]", "grid = [1, 1]", &["2"]),
        ("block = [32, 1, 1]", "block = [2048, 1, 1]", &["2048"]),
        ("block = [32, 1, 1]", "block = [0, 1, 1]", &["block"]),
        ("block = [32, 1, 1]", "block = [32, 1, 1]\ncluster = [2, 1, 1]", &["cluster"]),
        ("block = [32, 1, 1]", "block = [32, 1, 1]\ndynamic_shared = 999999999", &["shared"]),
        ("buffer = \"x\"", "buffer = \"y\"", &["y"]),
        ("buffer = \"x\"", "u32 = 1\n[[args]]\nu32 = 2", &["2 arguments"]),
        ("buffer = \"x\"", "colour = \"x\"", &["colour"]),
        ("buffer = \"x\"", "buffer = \"x\"\nexpect = \"w\"", &["12 bytes", "only 8"]),
        ("buffer = \"x\"", "buffer = \"x\"\nexpect = \"v\"", &["tensor v"]),
        ("buffer = \"x\"", "uninit = true", &["argument 1"]),
        ("data = \"k.safetensors\"", "data = \"none.safetensors\"", &["none.safetensors"]),
        ("data = \"k.safetensors\"", "data = \"k.ptx\"", &["tensor x", "no safetensors file"]),
        ("ptx = \"k.ptx\"", "ptx = \"none.ptx\"", &["none.ptx"]),
        ("entry = \"k\"", "entry = \"j\"", &["j"]),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        scratch.file("bad.launch.toml", &text);
        scratch.run(["ptx", "run", "bad.launch.toml"]).refused(2, words);
    }
    scratch.run(["ptx", "run", "good.launch.toml", "--device", "cpu"]).refused(2, &["cuda[:N]"]);
    scratch.run(["ptx", "run", "good.launch.toml", "--device", "tpu"]).refused(2, &["'tpu'"]);
    let many = ["ptx", "run", "good.launch.toml", "--device", "emulated:99", "--driver"];
    scratch.run(many).refused(1, &["emulated:99", "there are 8"]);
    scratch
        .run(["ptx", "run", "good.launch.toml", "--peaks", "h300"])
        .refused(2, &["h200", "l40s"]);
    scratch.run(["ptx", "run", "."]).refused(2, &["."]);
}
