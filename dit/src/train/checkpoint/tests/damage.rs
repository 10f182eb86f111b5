//! Files that are not what they were are named, and an older checkpoint takes over.

use super::*;

/// A run with checkpoints of steps 1 and 2.
fn two(name: &str) -> (Scratch, RunDirectory, PathBuf) {
    let scratch = Scratch::new(name);
    let run = open(&scratch);
    Toy::at(5, 1).save(&run, &Disk::PLAIN).expect("the disk has room");
    let path = Toy::at(5, 2).save(&run, &Disk::PLAIN).expect("the disk has room");
    (scratch, run, path)
}

#[test]
fn every_kind_of_damage_is_named() {
    let (_scratch, _run, path) = two("damage");
    for name in [MODEL, EMA, OPTIMIZER, CONFIG, "vocabulary.txt"] {
        let file = path.join(name);
        let whole = fs::read(&file).expect("it was written");
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x10;
        let longer = [&whole[..], b"x"].concat();
        for (bytes, what) in [
            (&flipped[..], "damaged: CRC-32C is "),
            (&whole[..whole.len() - 1], "bytes long; it was "),
            (&longer[..], "bytes long; it was "),
            (&[][..], "damaged: 0 bytes long; it was "),
        ] {
            fs::write(&file, bytes).expect("the folder is writable");
            let error = Checkpoint::load(&path).expect_err("it is damaged").to_string();
            assert!(error.starts_with(&format!("{}: ", file.display())), "{error}");
            assert!(error.contains(what) && error.lines().count() == 1, "{error}");
        }
        fs::remove_file(&file).expect("it is there");
        let error = Checkpoint::load(&path).expect_err("it is gone").to_string();
        assert!(error.starts_with(&format!("{}: No such file", file.display())), "{error}");
        fs::write(&file, &whole).expect("the folder is writable");
        assert!(Checkpoint::load(&path).is_ok());
    }
}

#[test]
fn no_byte_of_the_state_can_change_unseen() {
    let (_scratch, _run, path) = two("state");
    let file = path.join(state::FILE);
    let whole = fs::read(&file).expect("it was written");
    let state = State::read(&path).expect("it is whole");
    let mut seen = 0;
    for at in 0..whole.len() {
        for bit in [0, 3, 5] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            match State::parse(&bytes) {
                // White space may differ.
                Ok(read) => assert_eq!(read, state, "byte {at}, bit {bit}"),
                Err(error) => {
                    assert!(error.starts_with("damaged: ") || error.starts_with("has format "));
                    assert_eq!(error.lines().count(), 1, "{error}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > whole.len(), "{seen} of {} changes were seen", 3 * whole.len());
    for (text, message) in [
        (r#"{"format":2,"shiny":true}"#, "has format 2; this build reads format 1"),
        (r#"{"format":1}"#, "damaged: missing field `version` at line 1 column 12"),
        ("", "damaged: EOF while parsing a value at line 1 column 0"),
    ] {
        fs::write(&file, text).expect("the folder is writable");
        let error = State::read(&path).expect_err("it is no state").to_string();
        assert_eq!(error, format!("{}: {message}", file.display()));
    }
}

#[test]
fn an_older_checkpoint_takes_over() {
    let (scratch, run, path) = two("fall-back");
    let mut bytes = fs::read(path.join(EMA)).expect("it was written");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(path.join(EMA), &bytes).expect("the folder is writable");
    assert!(Checkpoint::latest(scratch.path()).is_err(), "the latest itself is damaged");
    let resume = Checkpoint::resume(&run).expect("the older one is whole");
    assert_eq!(resume.passed_over.len(), 1);
    assert!(resume.passed_over[0].to_string().contains("step-00000002/ema.safetensors: damaged"));
    let mut toy = Toy::resumed(5, &resume.checkpoint.expect("step 1 is whole"));
    assert_eq!(toy.step, 1);
    // `latest` names the older one now, and the damaged one is replaced when its step comes again.
    let latest = Checkpoint::latest(scratch.path()).expect("it is whole").expect("there is one");
    assert_eq!(latest.progress().step, 1);
    toy.step();
    toy.save(&run, &Disk::PLAIN).expect("the disk has room");
    let latest = Checkpoint::latest(scratch.path()).expect("it is whole").expect("there is one");
    assert_eq!(Toy::resumed(5, &latest).bits(), Toy::at(5, 2).bits());
    assert_eq!(listing(scratch.path()), ["latest", "step-00000001", "step-00000002"]);
}

#[test]
fn when_all_are_damaged_nothing_starts_anew_by_itself() {
    let (scratch, run, path) = two("all");
    let bytes = fs::metadata(path.join(MODEL)).expect("it was written").len();
    for step in ["step-00000001", "step-00000002"] {
        fs::write(run.checkpoints().join(step).join(MODEL), "?").expect("the folder is writable");
    }
    let error = Checkpoint::resume(&run).expect_err("nothing is whole").to_string();
    assert_eq!(
        error,
        format!(
            "{}: none of 2 checkpoints is whole; the newest: {}/model.safetensors: damaged: 1 \
            bytes long; it was {bytes} when the checkpoint was made",
            scratch.path().join("checkpoints").display(),
            path.display(),
        )
    );
}

#[test]
fn a_pointer_that_leads_nowhere_is_passed_over() {
    let (scratch, _run, _) = two("pointer");
    let pointer = scratch.path().join("checkpoints/latest");
    let step = || {
        let latest = Checkpoint::latest(scratch.path()).expect("both are whole");
        latest.expect("there are two").progress().step
    };
    assert_eq!(fs::read_to_string(&pointer).expect("it was written"), "step-00000002\n");
    fs::write(&pointer, "step-00000001\n").expect("the folder is writable");
    assert_eq!(step(), 1);
    for text in [&b"step-00000009\n"[..], b"", b"../../etc", b"step-1", b"\xff\xfe", &[b'x'; 5000]]
    {
        fs::write(&pointer, text).expect("the folder is writable");
        assert_eq!(step(), 2, "{text:?}");
    }
    fs::remove_file(&pointer).expect("it is there");
    assert_eq!(step(), 2);
}
