//! `vincie doctor --device`, and where a GPU's driver is looked for.

use crate::program::{Run, Scratch};
use crate::ptx_device::{LIBRARY, stand_in};

#[test]
fn a_device_that_is_asked_answers() {
    let scratch = Scratch::new();
    let out = scratch.run(["doctor", "--device", "emulated:3"]).passed();
    assert!(out.starts_with("emulated:3 emulated sm_90, capability 9.0, 132 multi"), "{out}");
    let json = scratch.run(["doctor", "--device", "emulated", "--json"]).json();
    assert_eq!((&json["device"], &json["capability"][0]), (&"emulated:0".into(), &9.into()));
    scratch.run(["doctor", "--device", "emulated:64"]).refused(1, &["emulated:64", "there are 8"]);
    scratch.run(["doctor", "--device", "cpu"]).refused(2, &["cuda[:N]"]);
}

#[test]
fn a_driver_that_is_found_is_started_only_where_asked() {
    let test = "a_driver_that_is_found_is_started_only_where_asked";
    let Some(library) = stand_in(test) else { return };
    let scratch = Scratch::new();
    let run = |arguments: &[&str]| {
        let output = scratch.command(arguments).env(LIBRARY, &library).output();
        Run::of(output.expect("the program can be started"))
    };
    let asked = run(&["doctor", "--device", "cuda"]).passed();
    let mut lines = asked.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("GPU driver ") && first.ends_with("8 devices"), "{asked}");
    assert!(lines.next().unwrap_or_default().starts_with("cuda:0 emulated sm_90"), "{asked}");
    let json = run(&["doctor", "--device", "cuda:7", "--json"]).json();
    assert_eq!((&json["device"], &json["devices"]), (&"cuda:7".into(), &8.into()));
    // Any file will do where nothing is started.
    scratch.file("text.so", "no library");
    let plain = scratch.command(["doctor", "--json"]).env(LIBRARY, "./text.so").output();
    let plain = Run::of(plain.expect("the program can be started")).json();
    assert_eq!(plain["driver"]["library"], "./text.so");
    assert_eq!(plain["devices"], serde_json::json!(["cpu", "emulated", "cuda"]));
    let started =
        scratch.command(["doctor", "--device", "cuda"]).env(LIBRARY, "./text.so").output();
    let started = Run::of(started.expect("the program can be started"));
    started.refused(1, &["no GPU driver: ./text.so"]);
}

#[test]
fn where_a_driver_was_looked_for_is_told() {
    let scratch = Scratch::new();
    let output = scratch.command(["doctor"]).env(LIBRARY, "./none.so").output();
    let text = Run::of(output.expect("the program can be started")).passed();
    let line = "libcuda.so.1 and libcuda.so not found; looked in VINCIE_LIBCUDA=./none.so";
    assert!(text.contains(line), "{text}");
}
