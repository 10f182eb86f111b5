//! Saves that are stopped at every point, saves that fail, and what is kept.

use super::*;
use std::cell::Cell;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tells a copy of this test's process which folder to work in.
const CHILD: &str = "VINCIE_TEST_RUN";

/// What is on disk before the save of step 2 that is stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Nothing,
    One,
    /// Step 2 is there as well, but someone has pointed `latest` back to step 1.
    Ahead,
}

fn prepare(scratch: &Scratch, before: Before) -> RunDirectory {
    let run = open(scratch);
    if before != Before::Nothing {
        Toy::at(5, 1).save(&run, &Disk::PLAIN).expect("the disk has room");
    }
    if before == Before::Ahead {
        Toy::at(5, 2).save(&run, &Disk::PLAIN).expect("the disk has room");
        fs::write(run.checkpoints().join("latest"), "step-00000001").expect("it is writable");
    }
    run
}

/// Half a file where a file was about to be written.
fn tear(path: &Path) {
    let is_partial = |part: &std::ffi::OsStr| part.to_string_lossy().ends_with(".partial");
    let is_inside = path.parent().and_then(Path::file_name).is_some_and(is_partial);
    let is_pointer = path.file_name().is_some_and(|name| name == "latest.partial");
    if is_inside || is_pointer {
        fs::write(path, "st").expect("the folder is writable");
    }
}

/// The latest checkpoint's step; its tensors are those of that step.
fn latest_step(run: &Path) -> u64 {
    let latest = Checkpoint::latest(run).expect("what is named is whole");
    latest.map_or(0, |checkpoint| {
        let step = checkpoint.progress().step;
        assert_eq!(Toy::resumed(5, &checkpoint).bits(), Toy::at(5, step).bits());
        step
    })
}

#[test]
fn a_save_may_be_killed_before_any_of_its_operations() {
    for (before, old, operations) in
        [(Before::Nothing, 0, 15), (Before::One, 1, 15), (Before::Ahead, 1, 18)]
    {
        let mut stop = 0;
        loop {
            let scratch = Scratch::new("killed");
            let run = prepare(&scratch, before);
            let count = Cell::new(0);
            let killed = |path: &Path| {
                let at = count.replace(count.get() + 1);
                if at == stop {
                    tear(path);
                }
                if at < stop { Ok(()) } else { Err(io::Error::other("killed")) }
            };
            let is_done = Toy::at(5, 2).save(&run, &Disk::watched(&killed)).is_ok();
            drop(run);
            let seen = latest_step(scratch.path());
            assert!(seen == old || seen == 2, "{before:?}, {stop}: step {seen}");
            assert!(!is_done || seen == 2);
            // The next start cleans up, goes on from there, and saves the same step.
            let run = open(&scratch);
            let names = listing(scratch.path());
            assert!(names.iter().all(|name| !name.ends_with(".partial")), "{stop}: {names:?}");
            let resume = Checkpoint::resume(&run).expect("what is named is whole");
            assert!(resume.passed_over.is_empty());
            assert_eq!(resume.checkpoint.map_or(0, |c| c.progress().step), seen);
            Toy::at(5, 2).save(&run, &Disk::PLAIN).expect("the disk has room");
            assert_eq!(latest_step(scratch.path()), 2);
            if is_done {
                break;
            }
            stop += 1;
        }
        assert_eq!(stop, operations, "{before:?}: every operation was stopped at");
    }
}

#[test]
fn a_failed_operation_is_an_error_and_training_goes_on() {
    for before in [Before::Nothing, Before::One, Before::Ahead] {
        let mut failing = 0;
        loop {
            let scratch = Scratch::new("full");
            let run = prepare(&scratch, before);
            let count = Cell::new(0);
            let full = |path: &Path| {
                if count.replace(count.get() + 1) != failing {
                    return Ok(());
                }
                tear(path);
                Err(io::ErrorKind::StorageFull.into())
            };
            let saved = Toy::at(5, 2).save(&run, &Disk::watched(&full));
            let seen = latest_step(scratch.path());
            let Err(error) = saved else { break };
            let error = error.to_string();
            assert!(error.ends_with(": no storage space"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(seen == 2 || seen == u64::from(before != Before::Nothing), "step {seen}");
            let leftover =
                listing(scratch.path()).into_iter().find(|n| n == "step-00000002.partial");
            assert_eq!(leftover, None, "{failing}");
            Toy::at(5, 2).save(&run, &Disk::PLAIN).expect("there is room again");
            assert_eq!(latest_step(scratch.path()), 2);
            failing += 1;
        }
        assert!(failing >= 15, "{failing} operations");
    }
}

/// A copy of this process that runs only the test `name`, in `folder`.
fn child(name: &str, folder: &Path, shell: Option<&str>) -> Option<Command> {
    let executable = std::env::current_exe().expect("this program has a file");
    let mut command = match shell {
        None => Command::new(&executable),
        Some(script) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("{script}; exec \"$0\" \"$@\"")).arg(&executable);
            command
        }
    };
    let path = format!("{}::{name}", module_path!().split_once("::").map_or("", |(_, path)| path));
    command.args(["--exact", &path, "--nocapture"]).env(CHILD, folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Command::new("sh").args(["-c", "exit 0"]).status().is_ok().then_some(command)
}

/// Wide enough for weights above the limit of 8 blocks, at most 8 KiB.
const WIDE: usize = 4000;

#[test]
fn a_file_the_system_refuses_is_an_error_and_the_earlier_checkpoint_stays() {
    const NAME: &str = "a_file_the_system_refuses_is_an_error_and_the_earlier_checkpoint_stays";
    if let Some(folder) = std::env::var_os(CHILD) {
        let run = RunDirectory::open(PathBuf::from(folder)).expect("nobody else holds it");
        let error = Toy::at(WIDE, 2).save(&run, &Disk::PLAIN).expect_err("it is refused");
        let error = error.to_string();
        assert!(
            error.contains("model.safetensors: not written: ") && error.lines().count() == 1,
            "{error}"
        );
        assert_eq!(listing(run.root()), ["latest", "step-00000001"]);
        return;
    }
    let scratch = Scratch::new("refused");
    Toy::at(WIDE, 1).save(&open(&scratch), &Disk::PLAIN).expect("the disk has room");
    let Some(mut limited) = child(NAME, scratch.path(), Some("trap '' XFSZ; ulimit -f 8")) else {
        println!("skipped: {NAME}: no sh");
        return;
    };
    let status = limited.status().expect("sh is there");
    assert!(status.success(), "{status}");
    let checkpoint = Checkpoint::latest(scratch.path()).expect("it is whole").expect("step 1");
    assert_eq!(Toy::resumed(WIDE, &checkpoint).bits(), Toy::at(WIDE, 1).bits());
}

#[test]
fn a_process_may_be_killed_at_any_time() {
    const NAME: &str = "a_process_may_be_killed_at_any_time";
    if let Some(folder) = std::env::var_os(CHILD) {
        let run = RunDirectory::open(PathBuf::from(folder)).expect("nobody else holds it");
        let resume = Checkpoint::resume(&run).expect("what is named is whole");
        let mut toy = resume.checkpoint.map_or_else(|| Toy::new(5), |c| Toy::resumed(5, &c));
        loop {
            toy.step();
            toy.save(&run, &Disk::PLAIN).expect("the disk has room");
            let retention = Retention { last: 2, every: 50, best: None };
            Checkpoint::prune(&run, retention).expect("old ones can be removed");
        }
    }
    let scratch = Scratch::new("sigkill");
    let pointer = scratch.path().join("checkpoints/latest");
    let mut before = 0;
    for round in 0..8 {
        let Some(mut command) = child(NAME, scratch.path(), None) else {
            println!("skipped: {NAME}: no sh");
            return;
        };
        let mut running = command.spawn().expect("this program can be started again");
        let start = Instant::now();
        let old = fs::read(&pointer).ok();
        while fs::read(&pointer).ok() == old && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(1700 * round));
        running.kill().expect("it runs");
        running.wait().expect("it was killed");
        let step = latest_step(scratch.path());
        assert!(step > before, "round {round} got from step {before} to {step}");
        before = step;
    }
}

#[test]
fn keeps_the_newest_every_so_many_and_the_best() {
    let scratch = Scratch::new("prune");
    let run = open(&scratch);
    let mut toy = Toy::new(5);
    for _ in 0..9 {
        toy.step();
        toy.save(&run, &Disk::PLAIN).expect("the disk has room");
    }
    let prune = |last, every, best| {
        let retention = Retention { last, every, best };
        Checkpoint::prune(&run, retention).expect("old ones can be removed")
    };
    assert_eq!(prune(20, 0, None), Vec::<u64>::new());
    assert_eq!(prune(4, 3, Some(2)), [1, 4, 5]);
    assert_eq!(prune(4, 3, Some(2)), Vec::<u64>::new());
    let steps = |expected: &[u64]| {
        assert_eq!(folders::steps(&run.checkpoints()).expect("it can be listed"), expected)
    };
    steps(&[2, 3, 6, 7, 8, 9]);
    // The run is taken back: what lies ahead stays, and so does what `latest` names.
    fs::write(run.checkpoints().join("latest"), "step-00000007\n").expect("it is writable");
    assert_eq!(prune(2, 0, None), [2, 3]);
    steps(&[6, 7, 8, 9]);
    assert_eq!(latest_step(scratch.path()), 7);
}

#[test]
fn a_step_is_saved_once() {
    let scratch = Scratch::new("once");
    let run = open(&scratch);
    let toy = Toy::at(5, 1);
    let path = toy.save(&run, &Disk::PLAIN).expect("the disk has room");
    let refuse = |_: &Path| Err(io::Error::other("nothing is written"));
    assert_eq!(toy.save(&run, &Disk::watched(&refuse)).expect("it is there"), path);
}

#[test]
fn what_cannot_be_saved_is_said_before_anything_is_written() {
    let scratch = Scratch::new("names");
    let run = open(&scratch);
    let toy = Toy::at(5, 1);
    let save = |extra: &[(&str, &[u8])], progress: &Progress| {
        let snapshot = Snapshot {
            progress,
            config: &config(),
            parameters: &toy.parameters,
            ema: None,
            optimizer: &toy.optimizer,
            extra,
        };
        Checkpoint::save(&run, &snapshot).expect_err("it cannot be saved").to_string()
    };
    for name in ["", ".", "..", "a/b", "/a", "a/", MODEL, EMA, OPTIMIZER, CONFIG, "state.json"] {
        let error = save(&[(name, b"")], &toy.progress());
        assert_eq!(
            error,
            format!(
                "checkpoint: no further file can be called {name:?}; expected a file name that is \
                none of model.safetensors, ema.safetensors, optimizer.safetensors, config.toml, \
                state.json"
            )
        );
    }
    assert!(save(&[("a", b""), ("a", b"")], &toy.progress()).contains("can be called \"a\""));
    let diverged =
        Progress { best: Some(BestEvaluation { step: 1, loss: f64::NAN }), ..toy.progress() };
    assert_eq!(
        save(&[], &diverged),
        "checkpoint: 0.1 seconds of training and a best loss of NaN; both must be finite"
    );
    assert_eq!(listing(scratch.path()), Vec::<String>::new());
}
