//! `vincie train`: what a run leaves, going on after a kill, and input that is refused.

use crate::program::Scratch;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Files of a checkpoint that follow from the steps alone; `state.json` tells the time, too.
const EXACT: [&str; 3] = ["model.safetensors", "ema.safetensors", "optimizer.safetensors"];

/// Ten steps of a model small enough for a test, with a checkpoint after each.
const CONFIG: &str = r#"
[model]
dim = 32
layers = 2
separate_layers = 1
heads = 2
head_dim = 16
rotary_dim = 16
text_in = 32
patch = 8

[data]
shards = ["sessions"]
size = [32, 48]
holdout = 0.0

[optimizer]
warmup = 2
decay = "constant"

[run]
output = "run"
steps = 10
batch = 2
accumulate = 2
checkpoint_every = 1
evaluate_every = 0
"#;

/// A folder with sessions of a real clip and a configuration.
pub(crate) fn with_sessions() -> Scratch {
    let scratch = Scratch::new();
    let clip = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../data/clips/flower_bloom.avi");
    let clip = clip.to_string_lossy();
    scratch.run(["annotate", &clip, "--out", "sessions", "--quiet"]).passed();
    scratch.file("train.toml", CONFIG);
    scratch
}

/// The exact files of the checkpoint at step 10 of a run.
fn last_checkpoint(scratch: &Scratch, run: &str) -> Vec<Vec<u8>> {
    let folder = scratch.path().join(run).join("checkpoints/step-00000010");
    let read = |name| fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{run}: {name}: {e}"));
    EXACT.map(read).into()
}

/// The steps that a run's metrics hold.
fn steps(scratch: &Scratch, run: &str) -> Vec<u64> {
    let text = fs::read_to_string(scratch.path().join(run).join("metrics.jsonl"));
    let step = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        value["step"].as_u64().expect("a line has a step")
    };
    text.expect("a run has metrics").lines().map(step).collect()
}

#[test]
fn any_number_of_threads_and_recomputation_give_the_same_bits() {
    let scratch = with_sessions();
    let run = |name: &str, threads: &str, recompute: &str| {
        let output = format!("run.output={name}");
        let recompute = format!("run.recompute_blocks={recompute}");
        let line = ["train", "--config", "train.toml", "--threads", threads, "--quiet"];
        let changes = ["--set", &output, "--set", &recompute];
        scratch.run(line.into_iter().chain(changes)).passed();
        last_checkpoint(&scratch, name)
    };
    let one = run("one", "1", "false");
    assert!(one == run("two", "2", "false"), "two threads give other bits than one");
    assert!(one == run("three", "3", "true"), "recomputed blocks give other bits");
}

/// Weights are stored in bf16, their masters and averages are not, and nothing is lost between two
/// halves of a run.
#[test]
fn a_bf16_run_goes_on_bit_for_bit_and_edits() {
    let scratch = with_sessions();
    let line = ["train", "--config", "train.toml", "--dtype", "bf16", "--quiet"];
    scratch.run(line).passed();
    let straight = last_checkpoint(&scratch, "run");
    let (model, averages) = (straight[0].len(), straight[1].len());
    assert!(2 * model < averages + averages / 10, "{model} bytes beside {averages}");
    let half = ["--set", "run.output=half", "--set", "run.steps=5"];
    scratch.run(line.into_iter().chain(half)).passed();
    scratch.run(["train", "--resume", "half", "--steps", "10", "--quiet"]).passed();
    assert!(last_checkpoint(&scratch, "half") == straight, "5 + 5 steps are not 10");
    let resumed = ["train", "--resume", "half", "--dtype", "f32"];
    scratch.run_without_trace(&resumed).refused(2, &["--dtype", "--resume"]);
    let edit = ["edit", "--model", "run", "--prompt", "a flower", "--steps", "2", "--out", "story"];
    scratch.run(edit.into_iter().chain(["--dtype", "bf16", "--quiet"])).passed();
}

/// A run is killed again and again, most often inside a save, since it saves after every step, and
/// goes on each time; another stops at step 5 of its own accord.
#[test]
fn a_killed_run_goes_on_bit_for_bit() {
    let scratch = with_sessions();
    scratch.run(["train", "--config", "train.toml", "--quiet"]).passed();
    let straight = last_checkpoint(&scratch, "run");
    assert_eq!(steps(&scratch, "run"), (1..=10).collect::<Vec<_>>());

    let half = ["--set", "run.output=half", "--set", "run.steps=5"];
    let line = ["train", "--config", "train.toml", "--quiet"];
    scratch.run(line.into_iter().chain(half)).passed();
    assert_eq!(steps(&scratch, "half"), (1..=5).collect::<Vec<_>>());
    scratch.run(["train", "--resume", "half", "--steps", "10", "--quiet"]).passed();
    assert!(last_checkpoint(&scratch, "half") == straight, "5 + 5 steps are not 10");

    let mut kills = 0;
    for delay in [0u64, 7, 20, 45] {
        let name = format!("killed-{delay}");
        let output = format!("run.output={name}");
        let first = ["train", "--config", "train.toml", "--set", &output, "--quiet"];
        let mut command = scratch.command(first);
        for attempt in 0.. {
            assert!(attempt < 100, "{name} does not get on");
            let mut run = command.spawn().expect("the program can be started");
            // The first try has to leave a checkpoint behind; later ones are killed anywhere.
            let pointer = scratch.path().join(&name).join("checkpoints/latest");
            while !pointer.exists() && run.try_wait().expect("can be asked").is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            // Later ones get further, however busy the machine is.
            thread::sleep(Duration::from_millis(delay + attempt * attempt));
            let has_ended = run.try_wait().expect("can be asked").is_some();
            run.kill().expect("can be killed");
            let status = run.wait().expect("has ended");
            if has_ended {
                assert!(status.success(), "{name} failed by itself: {status}");
                break;
            }
            kills += 1;
            command = scratch.command(["train", "--resume", &name, "--quiet"]);
        }
        assert!(last_checkpoint(&scratch, &name) == straight, "{name} has other bits");
        assert_eq!(steps(&scratch, &name), (1..=10).collect::<Vec<_>>(), "{name}");
    }
    assert!(kills >= 4, "only {kills} kills");
}

#[test]
fn a_finished_run_goes_on_with_more_steps_and_an_existing_one_is_not_overwritten() {
    let scratch = with_sessions();
    scratch.run(["train", "--config", "train.toml", "--quiet"]).passed();
    let again = scratch.run_without_trace(&["train", "--config", "train.toml"]);
    again.refused(1, &["run", "--resume"]);
    let more = scratch.run(["train", "--resume", "run", "--steps", "12", "--quiet"]).passed();
    assert!(more.starts_with("12 steps"), "{more}");
    assert_eq!(steps(&scratch, "run"), (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_configuration_that_is_wrong_is_one_line() {
    let scratch = with_sessions();
    for (change, words) in [
        ("optimizer.rat=1", &["`rat`", "[optimizer]", "`rate`"][..]),
        ("run.steps=ten", &["run.steps", "ten"]),
        ("run.steps=-1", &["run.steps", "-1"]),
        ("model.dim=[1]", &["model.dim"]),
        ("data.size=[30, 48]", &["30", "8"]),
        ("data.shards=[\"nowhere\"]", &["nowhere"]),
        ("model.preset=huge", &["huge", "nano"]),
        ("model.heads=0", &["heads", "0"]),
        ("nonsense", &["nonsense"]),
    ] {
        let run = scratch.run_without_trace(&["train", "--config", "train.toml", "--set", change]);
        let code = run.code.unwrap_or_default();
        assert!(code == 1 || code == 2, "{change}: {run:?}");
        run.refused(code, words);
    }
    scratch.file("broken.toml", "[run\nsteps = 1");
    scratch.run_without_trace(&["train", "--config", "broken.toml"]).refused(1, &["broken.toml"]);
}

/// A shard that ends in the middle loses the sessions behind the cut, and those only.
#[test]
fn damaged_sessions_are_skipped_and_counted() {
    let scratch = with_sessions();
    let shard = fs::read_dir(scratch.path().join("sessions"))
        .expect("the sessions are there")
        .map(|entry| entry.expect("an entry can be read").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "tar"))
        .expect("there is a shard");
    let mut bytes = fs::read(&shard).expect("a shard can be read");
    // The first bytes of the first picture's data: it is no JPEG any more.
    let jpeg = bytes.windows(3).position(|w| w == [0xff, 0xd8, 0xff]).expect("a frame is a JPEG");
    bytes[jpeg..jpeg + 64].fill(0);
    fs::write(&shard, bytes).expect("a shard can be written");
    let run = scratch.run(["train", "--config", "train.toml"]);
    assert!(run.err.contains("damaged sessions were skipped"), "{run:?}");
    run.passed();
    assert_eq!(steps(&scratch, "run"), (1..=10).collect::<Vec<_>>());
}

#[test]
fn what_is_not_finite_is_named() {
    let scratch = with_sessions();
    let run = scratch.run([
        "train",
        "--config",
        "train.toml",
        "--quiet",
        "--set",
        "optimizer.rate=1000",
        "--set",
        "optimizer.warmup=0",
        "--set",
        "run.steps=200",
        "--check-finite",
    ]);
    run.refused(1, &["result 0 is", "at index [", "inputs of the op"]);
    assert!(scratch.path().join("run/checkpoints").exists());
}
