//! What is refused and with which words, what the keys mean, and that nothing is lost on the way.

use super::*;
use std::fs;

/// The least that is accepted.
const LEAST: &str = "[data]\nshards = [\"a.tar\"]\n";

pub(super) fn parse(text: &str, changes: &[&str]) -> Result<TrainConfig> {
    let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
    TrainConfig::parse("train.toml", text, &changes)
}

fn error(text: &str, changes: &[&str]) -> String {
    let message = parse(text, changes).expect_err(text).to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

pub(super) fn defaults() -> TrainConfig {
    let data = DataSection { shards: vec!["a.tar".into()], ..DataSection::default() };
    TrainConfig { data, ..TrainConfig::default() }
}

#[test]
fn everything_but_the_shards_has_a_default() {
    assert_eq!(parse(LEAST, &[]).expect("the least is enough"), defaults());
    assert_eq!(LEAST.parse::<TrainConfig>().expect("the least is enough"), defaults());
    assert_eq!(
        error("", &[]),
        "train.toml: data.shards is empty; name at least one shard or folder, or set data.sprites"
    );
    assert_eq!(defaults().validate().map_err(|e| e.to_string()), Ok(()));
}

#[test]
fn bad_inputs_are_told_what_would_be_right() {
    for (text, message) in [
        // Keys and sections.
        (
            "[optimizer]\nrate = 1e-3\nlearing_rate = 1e-4",
            "train.toml:3: unknown key `learing_rate` in [optimizer]; did you mean `rate`?",
        ),
        (
            "[run]\nrate = 1e-3",
            "train.toml:2: unknown key `rate` in [run]; it belongs in [optimizer]",
        ),
        (
            "[diffusion]\nlr = 1",
            "train.toml:2: unknown key `lr` in [diffusion]; known are location, scale, shift, \
            balanced_loss",
        ),
        ("[optimiser]", "train.toml:1: unknown section [optimiser]; did you mean [optimizer]?"),
        (
            "\n[cheese]",
            "train.toml:2: unknown section [cheese]; the sections are model, data, tasks, \
            diffusion, optimizer, run",
        ),
        ("rate = 1", "train.toml:1: key `rate` is in no section; it belongs in [optimizer]"),
        ("optimizer = 3", "train.toml:1: optimizer is 3; expected a section [optimizer]"),
        ("[[run]]\nsteps = 1", "train.toml:1: run is [{ steps = 1 }]; expected a section [run]"),
        (
            "run.steps.more = 1",
            "train.toml:1: run.steps is a table; expected a whole number of 0 or more",
        ),
        (
            "[model]\nmodel = 1",
            "train.toml:2: unknown key `model` in [model]; known are preset, attention, \
            prediction, turn_tokens, copy_gate, pooled_text, previous_condition, dim, layers, \
            separate_layers, heads, head_dim, visual_in, visual_out, patch, text_in, \
            text_projection, rotary_dim, visual_offset, feed_forward, expand, qkv_bias, \
            output_norm, turn_rows, image_projection_names",
        ),
        // Types.
        (
            "[optimizer]\nrate = \"fast\"",
            "train.toml:2: optimizer.rate is \"fast\"; expected a number",
        ),
        (
            "[run]\n\nsteps = 10.0",
            "train.toml:3: run.steps is 10.0; expected a whole number of 0 or more",
        ),
        (
            "[run]\nsteps = -5",
            "train.toml:2: run.steps is -5; expected a whole number of 0 or more",
        ),
        (
            "[run]\nrecompute_blocks = 1",
            "train.toml:2: run.recompute_blocks is 1; expected true or false",
        ),
        ("[run]\noutput = 7", "train.toml:2: run.output is 7; expected a text in quotes"),
        (
            "[data]\nshards = \"a.tar\"",
            "train.toml:2: data.shards is \"a.tar\"; expected a list of texts in quotes",
        ),
        (
            "[data]\nsize = [32]",
            "train.toml:2: data.size is [32]; expected a list of 2 whole numbers",
        ),
        (
            "[data]\nsize = [32, -1]",
            "train.toml:2: data.size is [32, -1]; expected a list of 2 whole numbers",
        ),
        (
            "[optimizer]\nbetas = 0.9",
            "train.toml:2: optimizer.betas is 0.9; expected a list of 2 numbers",
        ),
        (
            "[optimizer]\ndecay = \"cosin\"",
            "train.toml:2: optimizer.decay is \"cosin\"; expected constant, linear or cosine",
        ),
        (
            "[model]\nattention = \"causal\"",
            "train.toml:2: model.attention is \"causal\"; expected full or block-causal",
        ),
        (
            "[model]\nprediction = true",
            "train.toml:2: model.prediction is true; expected velocity or data",
        ),
        (
            "[model]\nlayers = \"many\"",
            "train.toml:2: model.layers is \"many\"; expected a whole number of 0 or more",
        ),
        (
            "[model]\npreset = \"4b\"",
            "train.toml:2: model.preset is \"4b\"; preset '4b' is none of nano, small, base, 3b, \
            7b",
        ),
        // Syntax.
        (
            "[run]\nsteps = ",
            "train.toml:2: not valid TOML: string values must be quoted, expected literal string",
        ),
        ("[run]\nsteps = 1\nsteps = 2", "train.toml:3: not valid TOML: duplicate key"),
        // Ranges.
        (
            "[optimizer]\nrate = -1e-4",
            "train.toml:2: optimizer.rate is -0.0001; expected a number above 0, at most 1000",
        ),
        (
            "[optimizer]\nrate = nan",
            "train.toml:2: optimizer.rate is NaN; expected a number above 0, at most 1000",
        ),
        (
            "[optimizer]\nrate = 1e-60",
            "train.toml:2: optimizer.rate is 1e-60; expected a number above 0, at most 1000",
        ),
        (
            "[optimizer]\nbetas = [0.9, 1.0]",
            "train.toml:2: optimizer.betas is [0.9, 1.0]; expected two numbers from 0 to below 1",
        ),
        (
            "[optimizer]\nepsilon = 0",
            "train.toml:2: optimizer.epsilon is 0.0; expected a number above 0, at most 1000",
        ),
        (
            "[optimizer]\nweight_decay = inf",
            "train.toml:2: optimizer.weight_decay is inf; expected a number of 0 or more",
        ),
        (
            "[optimizer]\nclip_norm = -1",
            "train.toml:2: optimizer.clip_norm is -1.0; expected a number of 0 or more",
        ),
        (
            "[optimizer]\ndecay_share = 0",
            "train.toml:2: optimizer.decay_share is 0.0; expected more than 0; for no decay set \
            decay = \"constant\"",
        ),
        (
            "[optimizer]\nfinal_share = 2",
            "train.toml:2: optimizer.final_share is 2.0; expected a share from 0 to 1",
        ),
        (
            "[optimizer]\nema = 0.999999999",
            "train.toml:2: optimizer.ema is 0.999999999; expected a number from 0 to below 1",
        ),
        ("[tasks]\nmasks = 80", "train.toml:2: tasks.masks is 80.0; expected a share from 0 to 1"),
        (
            "[tasks]\ndrop_text = -0.1",
            "train.toml:2: tasks.drop_text is -0.1; expected a share from 0 to 1",
        ),
        (
            "[tasks]\nnext_mask_weight = -1",
            "train.toml:2: tasks.next_mask_weight is -1.0; expected a weight from 0 to 1e6",
        ),
        (
            "[tasks]\nimage_weight = 0",
            "train.toml:2: tasks.image_weight is 0.0; expected more than 0: some sessions have no \
            masks",
        ),
        (
            "[diffusion]\nscale = 0",
            "train.toml:2: diffusion.scale is 0.0; expected a number above 0, at most 20",
        ),
        (
            "[diffusion]\nlocation = 1e9",
            "train.toml:2: diffusion.location is 1000000000.0; expected a number from -20 to 20",
        ),
        (
            "[diffusion]\nshift = 0",
            "train.toml:2: diffusion.shift is 0.0; expected a number from 0.01 to 100",
        ),
        (
            "[data]\nshards = []",
            "train.toml:2: data.shards is empty; name at least one shard or folder, or set \
            data.sprites",
        ),
        (
            "[data]\nshards = [\"a\"]\nholdout = 0.6",
            "train.toml:3: data.holdout is 0.6; expected a share from 0 to 0.5",
        ),
        (
            "[data]\nshards = [\"a\"]\nholdout = 1e-12",
            "train.toml:3: data.holdout is 1e-12; expected 0, or at least 1e-9",
        ),
        (
            "[data]\nshards = [\"a\"]\nsize = [0, 32]",
            "train.toml:3: data.size is [0, 32]; expected height and width from 1 to 8192",
        ),
        (
            "[data]\nshards = [\"a\"]\nshuffle_buffer = 1000000000",
            "train.toml:3: data.shuffle_buffer is 1000000000; expected at most 268435456",
        ),
        (
            "[data]\nshards = [\"a\"]\nworkers = 5000",
            "train.toml:3: data.workers is 5000; expected at most 1024",
        ),
        ("[run]\nsteps = 0", "train.toml:2: run.steps is 0; expected 1 or more, at most 2^40"),
        (
            "[run]\nminutes = 0",
            "train.toml:2: run.minutes is 0.0; expected more than 0, at most a year",
        ),
        ("[run]\nbatch = 0", "train.toml:2: run.batch is 0; expected 1 or more, at most 2^20"),
        (
            "[run]\naccumulate = 0",
            "train.toml:2: run.accumulate is 0; expected 1 or more, at most 2^20",
        ),
        ("[run]\nlog_every = 0", "train.toml:2: run.log_every is 0; expected 1 or more"),
        (
            "[run]\nkeep_last = 1",
            "train.toml:2: run.keep_last is 1; expected 2 or more, so that one damaged checkpoint \
            is not the end",
        ),
        ("[run]\noutput = \"\"", "train.toml:2: run.output is empty; name the folder of the run"),
        (
            "[run]\nevaluate_sessions = 0",
            "train.toml:2: run.evaluate_sessions is 0; expected 1 or more; to evaluate never, set \
            run.evaluate_every = 0",
        ),
        (
            "[model]\nlayers = 0",
            "train.toml:1: model does not fit together: model config: layers is 0; expected 1 to \
            1048576",
        ),
        // Contradictions.
        (
            "[run]\nsteps = 10\nminutes = 3",
            "train.toml:3: run.minutes is 3.0 beside run.steps = 10; keep one of them",
        ),
        ("[run]\nsteps = 50", "train.toml: optimizer.warmup is 100, more than run.steps (50)"),
        (
            "[run]\nkeep_every = 700",
            "train.toml:2: run.keep_every is 700; expected 0, or a multiple of \
            run.checkpoint_every (500)",
        ),
        (
            "[run]\nkeep_every = 500\ncheckpoint_every = 0",
            "train.toml:2: run.keep_every is 500; expected 0, or a multiple of \
            run.checkpoint_every (0)",
        ),
        (
            "[data]\nshards = [\"a\"]\nsize = [32, 30]",
            "train.toml:3: data.size is [32, 30]; expected multiples of 4, the side of the model's \
            patches",
        ),
        (
            "[model]\npreset = \"small\"\n[data]\nshards = [\"a\"]\nsize = [40, 64]",
            "train.toml:5: data.size is [40, 64]; expected multiples of 16, the side of the \
            model's patches",
        ),
        (
            "[data]\nshards = [\"a\"]\nholdout = 0",
            "train.toml:3: data.holdout is 0, so there is nothing to evaluate on; set it, or \
            run.evaluate_every = 0",
        ),
        (
            "[model]\ncopy_gate = true",
            "train.toml:1: model does not fit together: network: copy_gate mixes pictures and \
            needs prediction = \"data\"",
        ),
        (
            "[model]\nvisual_offset = \"text-length\"",
            "train.toml:1: model does not fit together: network: block-causal attention needs \
            visual_offset = \"zero\", so that cached positions do not depend on later text",
        ),
    ] {
        let text = match text.contains("[data]") {
            true => text.to_owned(),
            false => format!("{text}\n{LEAST}"),
        };
        assert_eq!(error(&text, &[]), message, "{text}");
    }
}

#[test]
fn garbage_is_refused_in_one_line() {
    use vincie_tensor::random::{Key, Stream};
    let template = TrainConfig::TEMPLATE.as_bytes();
    let pieces = ["[", "]", "=", "\"", "\n", ".", "-", "\u{7f}", "ä", "0x", "{", "'''", "e9", "#"];
    let (mut good, mut bad) = (0, 0);
    for round in 0..300 {
        let key = Key::new(1, Stream::Test, round);
        let mut text = template.to_vec();
        for edit in 0..1 + round % 3 {
            let at = key.below(2 * edit, text.len() as u32) as usize;
            let piece = pieces[key.below(2 * edit + 1, pieces.len() as u32) as usize];
            text.splice(at..at + 1, piece.bytes());
        }
        match parse(&String::from_utf8_lossy(&text), &["data.shards=['a']"]) {
            Ok(_) => good += 1,
            Err(error) => {
                let error = error.to_string();
                assert!(!error.contains(|c: char| c.is_control()), "{error:?}");
                bad += 1;
            }
        }
    }
    assert!(good > 30 && bad > 30, "{good} good, {bad} bad");
    for (text, message) in [
        ("[run]\n\"a\\nb\" = 1", "train.toml:2: unknown key `a b` in [run]; known are "),
        ("[\"\\u001b[2J\"]", "train.toml:1: unknown section [?[2J]; the sections are "),
        ("[model]\npreset = \"a\\nb\"", "train.toml:2: model.preset is \"a\\nb\"; preset 'a b' "),
        ("\u{0}", "train.toml:1: not valid TOML: "),
    ] {
        assert!(error(text, &[]).starts_with(message), "{}", error(text, &[]));
    }
    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(error(&deep, &[]).starts_with("train.toml:1: not valid TOML: "));
}

#[test]
fn the_command_line_changes_the_file() {
    let config = parse(
        "[run]\nsteps = 500\n[data]\nshards = [\"a.tar\"]",
        &[
            "optimizer.rate=1e-4",
            "model.preset=small",
            "data.size = [64,64]",
            "run.minutes=2.5",
            "data.shards=[\"b.tar\", 'c']",
            "run.output=runs/a b",
            "optimizer.ema=0",
            "optimizer.ema=0.5",
        ],
    )
    .expect("all of it is right");
    assert_eq!(config.optimizer.rate, 1e-4);
    assert_eq!((config.model.preset.as_str(), config.model.network.model.dim), ("small", 512));
    assert_eq!(config.data.size, [64, 64]);
    assert_eq!(config.data.shards, [Path::new("b.tar"), Path::new("c")]);
    assert_eq!(config.run.budget(), Budget::Minutes(2.5), "the file's steps give way");
    assert_eq!(config.run.steps, None);
    assert_eq!(config.run.output, Path::new("runs/a b"));
    assert_eq!(config.optimizer.ema, 0.5);
    let steps = parse(&format!("[run]\nminutes = 3\n{LEAST}"), &["run.steps=700"]);
    assert_eq!(steps.expect("the minutes give way").run.budget(), Budget::Steps(700));
    for (change, message) in [
        ("optimizer.rate=fast", "--set: optimizer.rate is \"fast\"; expected a number"),
        ("optimizer.rate=", "--set: optimizer.rate is \"\"; expected a number"),
        (
            "optimizer.rate=1\nema = 2",
            "--set: optimizer.rate is \"1\\nema = 2\"; expected a number",
        ),
        (
            "optimizer.lerning_rate=1",
            "--set: unknown key `lerning_rate` in [optimizer]; did you mean `rate`?",
        ),
        ("optimiser.rate=1", "--set: unknown section [optimiser]; did you mean [optimizer]?"),
        (
            "run.keep_last=1",
            "--set: run.keep_last is 1; expected 2 or more, so that one damaged checkpoint is not \
            the end",
        ),
        ("rate=1", "--set rate=1: expected section.key=value, such as optimizer.rate=1e-4"),
        (
            "optimizer.rate",
            "--set optimizer.rate: expected section.key=value, such as optimizer.rate=1e-4",
        ),
        ("a.b.c=1", "--set a.b.c=1: expected section.key=value, such as optimizer.rate=1e-4"),
        (".=1", "--set .=1: expected section.key=value, such as optimizer.rate=1e-4"),
        ("", "--set : expected section.key=value, such as optimizer.rate=1e-4"),
    ] {
        assert_eq!(error(LEAST, &[change]), message, "{change}");
    }
    let long = "a".repeat(1000);
    assert_eq!(
        error(LEAST, &[&format!("run.steps={long}")]),
        format!(
            "--set: run.steps is \"{}...; expected a whole number of 0 or more",
            &long[..document::SHOWN - 1]
        )
    );
    let both = error(LEAST, &["run.steps=1000", "run.minutes=3"]);
    assert_eq!(both, "--set: run.minutes is 3.0 beside run.steps = 1000; keep one of them");
}

#[test]
fn the_model_is_its_preset_with_changes() {
    let config = parse(
        &format!(
            "[model]\nlayers = 3\npatch = 2\nprediction = \"data\"\ncopy_gate = true\n{LEAST}"
        ),
        &[],
    )
    .expect("all of it is right");
    let mut expected = ModelSection::default();
    expected.network.model.layers = 3;
    expected.network.model.patch = 2;
    expected.network.prediction = crate::network::Prediction::Data;
    expected.network.copy_gate = true;
    assert_eq!(config.model, expected);
    use crate::config::VisualOffset;
    let offset = |text: &str| {
        let config = parse(&format!("[model]\n{text}\n{LEAST}"), &[]).expect("all of it is right");
        config.model.network.model.visual_offset
    };
    assert_eq!(offset(""), VisualOffset::Zero);
    assert_eq!(offset("attention = \"full\""), VisualOffset::TextLength);
    assert_eq!(offset("attention = \"full\"\nvisual_offset = \"zero\""), VisualOffset::Zero);
}

#[test]
fn what_is_written_is_read_again() {
    let changed = parse(
        LEAST,
        &[
            "model.preset=base",
            "model.attention=full",
            "model.rotary_dim=60",
            "data.size=[128,64]",
            "data.holdout_by=source",
            "data.seed=9223372036854775807",
            "tasks.masks=0.123456789012345678",
            "diffusion.balanced_loss=true",
            "optimizer.rate=1.0000000000000002e-5",
            "optimizer.decay=linear",
            "run.minutes=0.1",
            "run.init=old \"run\"\\x",
            "run.output=ausgabe-ü",
        ],
    )
    .expect("all of it is right");
    for config in [defaults(), changed] {
        let text = config.to_toml().expect("TOML can hold it");
        assert_eq!(parse(&text, &[]).expect("it was valid"), config, "{text}");
        assert!(text.contains("\nvisual_out = "), "sizes are written out: {text}");
    }
    let mut config = defaults();
    config.run.seed = u64::MAX;
    let refused = config.validate().expect_err("TOML cannot hold it").to_string();
    assert_eq!(refused, "run.seed is 18446744073709551615; expected at most 9223372036854775807");
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        config.run.output = std::ffi::OsStr::from_bytes(&[b'a', 0xff]).into();
        let refused = config.to_toml().expect_err("TOML cannot hold it").to_string();
        assert_eq!(refused, "configuration: path contains invalid UTF-8 characters");
    }
}

#[test]
fn files_are_read_up_to_a_size() {
    let scratch = crate::train::scratch::Scratch::new("config");
    let path = scratch.path().join("train.toml");
    fs::write(&path, LEAST).expect("the folder is writable");
    assert_eq!(TrainConfig::read(&path, &[]).expect("it is valid"), defaults());
    let refused =
        |path: &Path| TrainConfig::read(path, &[]).expect_err("it is no file").to_string();
    fs::write(&path, "#".repeat(MAX_BYTES as usize + 1)).expect("the folder is writable");
    assert!(
        refused(&path).ends_with("longer than 1048576 bytes; expected a training configuration")
    );
    fs::write(&path, [0xff, 0xfe]).expect("the folder is writable");
    assert!(refused(&path).contains("train.toml: "));
    assert!(refused(&scratch.path().join("none.toml")).contains("none.toml: "));
    assert!(refused(scratch.path()).lines().count() == 1);
}

#[test]
fn settings_reach_what_they_are_for() {
    use vincie_autograd::optimizer::{AdamWConfig, Decay};
    use vincie_data::loader::{Order, Part};
    let config = defaults();
    assert_eq!(config.optimizer.adamw(), AdamWConfig::default());
    assert_eq!(config.optimizer.largest_norm(), 1.0);
    let unclipped = OptimizerSection { clip_norm: 0.0, ..config.optimizer };
    assert_eq!(unclipped.largest_norm(), f32::INFINITY);
    assert_eq!(config.batch_options(), Options::default());
    assert_eq!(config.tasks.choices(), crate::tasks::TaskConfig::default());
    let schedule = config.optimizer.schedule(1000);
    assert_eq!((schedule.decay, schedule.total, schedule.warmup), (Decay::Cosine, 1000, 100));
    let train = config.data.loader(Part::Train);
    assert_eq!(train.order, Order::Shuffled { buffer: 10_000 });
    assert_eq!((train.epochs, train.hold_out.map(|split| split.every)), (None, Some(50)));
    let held = config.data.loader(Part::HeldOut);
    assert_eq!((held.order, held.epochs), (Order::FileOrder, Some(1)));
    let half = DataSection { holdout: 0.5, ..config.data };
    assert_eq!(half.hold_out(Part::Train).map(|split| split.every), Some(2));
    assert_eq!(DataSection { holdout: 0.0, ..half }.hold_out(Part::Train), None);
}
