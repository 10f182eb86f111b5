//! Flags, help, versions, closed output, `doctor`.

use crate::program::{Run, Scratch};
use std::io::pipe;
use std::process::Stdio;
use std::time::{Duration, Instant};

const COMMANDS: [&str; 7] =
    ["quickstart", "annotate", "train", "edit", "inspect", "verify", "doctor"];

#[test]
fn wrong_usage_is_one_line_and_exit_code_2() {
    let scratch = Scratch::new();
    for (arguments, words) in [
        (&["doctor", "--bogus"][..], &["--bogus"][..]),
        (&["docter"], &["docter", "doctor"]),
        (&["verify"], &["<DIR>"]),
        (&["annotate", "a.mp4"], &["--out"]),
        (&["annotate", "--out", "b"], &["<VIDEO>"]),
        (&["annotate", "a.mp4", "--out", "b", "--size", "0x4"], &["0x4"]),
        (&["annotate", "a.mp4", "--out", "b", "--interval", "0"], &["interval of 0 s"]),
        (&["annotate", "a.mp4", "--out", "b", "--count", "1"], &["1 frames", "2 to 20"]),
        (&["annotate", "a.mp4", "--out", "b", "--decoder", "x"], &["auto, builtin, ffmpeg"]),
        (&["doctor", "--threads", "0"], &["--threads"]),
        (&["verify", ".", "--device", "gpu"], &["'gpu'", "cuda:N"]),
        (&["inspect", ".", "--html", "shard-000000.tar"], &[".html"]),
    ] {
        scratch.run_without_trace(arguments).refused(2, words);
    }
}

#[test]
fn without_a_command_help_is_printed() {
    let run = Scratch::new().run::<&str>([]);
    assert_eq!((run.code, run.out.as_str()), (Some(2), ""));
    for command in COMMANDS {
        assert!(run.err.contains(command), "{}", run.err);
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let scratch = Scratch::new();
    for command in COMMANDS {
        let help = scratch.run([command, "--help"]).passed();
        assert!(help.contains("Example") && help.contains(&format!("vincie {command} ")), "{help}");
    }
    let version = scratch.run(["--version"]).passed();
    assert!(version.starts_with("vincie "), "{version}");
}

#[test]
fn a_device_that_cannot_be_served_is_one_line() {
    let wanted = [
        ("cuda", ["device cuda:0: no GPU driver", "--device emulated"]),
        ("cuda:7", ["device cuda:7: no GPU driver", "--device emulated"]),
        ("emulated:99", ["device emulated:99", "numbered from 0"]),
    ];
    for (device, words) in wanted {
        let scratch = Scratch::new();
        let mut command = scratch.command(["verify", ".", "--device", device]);
        let output = command.env("VINCIE_LIBCUDA", "no-such-library.so").output();
        Run::of(output.expect("the program can be started")).refused(1, &words);
    }
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let (reader, writer) = pipe().expect("a pipe can be made");
    drop(reader);
    let scratch = Scratch::new();
    let mut command = scratch.command(["doctor"]);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().expect("can be started");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let scratch = Scratch::new();
    let mut command = scratch.command(["doctor", "--json"]);
    command.stdout(full.expect("Linux has this device")).stderr(Stdio::piped());
    let output = command.output().expect("can be started");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = String::from_utf8_lossy(&output.stderr);
    assert!(line.starts_with("error: standard output: "), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn doctor_answers_in_text_and_json() {
    let scratch = Scratch::new();
    let text = scratch.run_alone(["doctor"]).passed();
    for word in ["processor", "simd", "memory", "ffmpeg: not usable", "gpu driver", "limits"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let json = scratch.run(["doctor", "--json"]).json();
    assert!(json["processor"]["threads"].as_u64().is_some_and(|threads| threads > 0), "{json}");
    assert_eq!(json["devices"][0], "cpu");
    assert_eq!(json["decoders"][0]["name"], "builtin");
}

#[test]
fn doctor_is_done_within_50_milliseconds() {
    let scratch = Scratch::new();
    // The quickest of some runs: other tests take the cores meanwhile.
    let time = |_| {
        let start = Instant::now();
        scratch.run(["doctor"]).passed();
        start.elapsed()
    };
    let quickest = (0..10).map(time).min().expect("there are ten");
    assert!(quickest < Duration::from_millis(50), "{quickest:?}");
}
