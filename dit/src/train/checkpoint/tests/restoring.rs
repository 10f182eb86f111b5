//! What comes back is what went in.

use super::*;

#[test]
fn a_resumed_run_goes_on_bit_for_bit() {
    let scratch = Scratch::new("resume");
    let run = open(&scratch);
    let mut straight = Toy::at(5, 5);
    let path = straight.save(&run, &Disk::PLAIN).expect("the disk has room");
    assert_eq!(path, run.checkpoints().join("step-00000005"));
    (0..5).for_each(|_| straight.step());
    let resume = Checkpoint::resume(&run).expect("it is whole");
    assert!(resume.passed_over.is_empty());
    let checkpoint = resume.checkpoint.expect("one was saved");
    let mut resumed = Toy::resumed(5, &checkpoint);
    assert_eq!(resumed.bits(), Toy::at(5, 5).bits());
    // The file may go: nothing that is trained looks into it.
    fs::remove_dir_all(checkpoint.path()).expect("the folder is ours");
    (0..5).for_each(|_| resumed.step());
    assert_eq!(resumed.bits(), straight.bits());
    assert_ne!(resumed.bits(), Toy::at(5, 5).bits());
}

#[test]
fn holds_everything_else_too() {
    let scratch = Scratch::new("else");
    let run = open(&scratch);
    assert!(Checkpoint::resume(&run).expect("an empty run is fine").checkpoint.is_none());
    assert!(Checkpoint::latest(scratch.path()).expect("an empty run is fine").is_none());
    assert!(Checkpoint::latest(&scratch.path().join("none")).expect("so is none").is_none());
    let toy = Toy::at(5, 3);
    let path = toy.save(&run, &Disk::PLAIN).expect("the disk has room");
    let checkpoint = Checkpoint::load(&path).expect("it is whole");
    assert_eq!(*checkpoint.progress(), toy.progress());
    assert_eq!(checkpoint.version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(checkpoint.config().expect("it was valid"), config());
    let extra = |name: &str| checkpoint.extra(name).expect("it can be read");
    assert_eq!(extra("vocabulary.txt").as_deref(), Some(&b"red\ngreen\n"[..]));
    assert_eq!(extra("empty").as_deref(), Some(&b""[..]));
    assert_eq!(extra("../step-00000003/state.json"), None);
    let weights = checkpoint.weights().expect("it is whole");
    assert!(weights.path().ends_with("step-00000003/ema.safetensors"));
    assert_eq!(weights.dtype("blocks.1.weight").as_deref(), Some("F32"));
    let model = Weights::open(&path.join(MODEL)).expect("it is whole");
    assert_eq!(model.dtype("blocks.1.weight").as_deref(), Some("BF16"));
    let mut names: Vec<_> = fs::read_dir(&path)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "config.toml",
            "ema.safetensors",
            "empty",
            "model.safetensors",
            "optimizer.safetensors",
            "state.json",
            "vocabulary.txt"
        ]
    );
}

#[test]
fn the_same_state_gives_the_same_bytes() {
    let scratches = [Scratch::new("same-a"), Scratch::new("same-b")];
    let [a, b] = [0, 1].map(|i| {
        Toy::at(5, 2).save(&open(&scratches[i]), &Disk::PLAIN).expect("the disk has room")
    });
    for name in [MODEL, EMA, OPTIMIZER, CONFIG, state::FILE] {
        let read = |folder: &Path| fs::read(folder.join(name)).expect("it was written");
        assert!(read(&a) == read(&b), "{name} differs");
    }
}

#[test]
fn another_model_is_told_everything_that_does_not_fit() {
    let scratch = Scratch::new("other");
    let path = Toy::at(5, 1).save(&open(&scratch), &Disk::PLAIN).expect("the disk has room");
    let checkpoint = Checkpoint::load(&path).expect("it is whole");
    let mut other = Parameters::new();
    other.insert("blocks.0.weight", draw(0, &[5, 3], DType::F32));
    other.insert("blocks.1.weight", draw(0, &[4, 6], DType::F32));
    other.insert("blocks.1.bias", draw(0, &[7], DType::F32));
    other.insert("blocks.3.bias", draw(0, &[7], DType::F32));
    let mut ema = Ema::new(&other, 0.5).expect("memory has room");
    let mut optimizer = AdamW::new(&other, AdamWConfig::default()).expect("memory has room");
    let before = format!("{:?}", other.iter().map(|(.., t)| t.to_vec::<f32>()).collect::<Vec<_>>());
    let error = checkpoint.restore(&mut other, Some(&mut ema), &mut optimizer);
    assert_eq!(
        error.expect_err("nothing fits").to_string(),
        format!(
            "{}/model.safetensors: 1 tensors of another type, 1 tensors missing, 1 unexpected, 1 \
            of another shape\n  \
             shape       blocks.0.weight  expected [5, 3], found [3, 5]\n  \
             missing     blocks.3.bias  expected [7]\n  \
             unexpected  blocks.2.empty  [0, 3]\n  \
             type        blocks.1.weight  expected F32, found BF16",
            path.display()
        )
    );
    let after = format!("{:?}", other.iter().map(|(.., t)| t.to_vec::<f32>()).collect::<Vec<_>>());
    assert_eq!(before, after);
    assert_eq!(optimizer.steps(), 0);
}

#[test]
fn averages_are_optional_but_not_made_up() {
    let scratch = Scratch::new("averages");
    let run = open(&scratch);
    let mut toy = Toy::at(5, 1);
    let progress = toy.progress();
    let snapshot = Snapshot {
        progress: &progress,
        config: &config(),
        parameters: &toy.parameters,
        ema: None,
        optimizer: &toy.optimizer,
        extra: &[],
    };
    let path = Checkpoint::save(&run, &snapshot).expect("the disk has room");
    let checkpoint = Checkpoint::load(&path).expect("it is whole");
    assert!(checkpoint.weights().expect("it is whole").path().ends_with(MODEL));
    checkpoint
        .restore(&mut toy.parameters, None, &mut toy.optimizer)
        .expect("weights and moments are there");
    let error = checkpoint
        .restore(&mut toy.parameters, Some(&mut toy.ema), &mut toy.optimizer)
        .expect_err("there are no averages");
    assert_eq!(
        error.to_string(),
        format!(
            "{}: holds no ema.safetensors; start anew from its weights with run.init",
            path.display()
        )
    );
}

#[test]
fn a_run_starts_from_weights_of_any_kind() {
    let scratch = Scratch::new("init");
    let toy = Toy::at(5, 4);
    let path = toy.save(&open(&scratch), &Disk::PLAIN).expect("the disk has room");
    let values = |parameters: &Parameters| -> Vec<Vec<f32>> {
        let f32s = |t: &Tensor| t.to_f32().and_then(|t| t.to_vec()).expect("memory has room");
        parameters.iter().map(|(.., value)| f32s(value)).collect()
    };
    let started = |from: &Path| {
        let mut parameters = Toy::new(5).parameters;
        let file = initialise(from, &mut parameters).expect("the tensors fit").file;
        let types: Vec<DType> = parameters.iter().map(|(.., value)| value.dtype()).collect();
        assert_eq!(types, [DType::F32, DType::BF16, DType::F32, DType::F32]);
        (file, values(&parameters))
    };
    let (file, exact) = started(&path.join(MODEL));
    assert_eq!((file, exact), (path.join(MODEL), values(&toy.parameters)));
    let (file, averaged) = started(&path);
    assert_eq!(file, path.join(EMA));
    assert_eq!(averaged[0], toy.ema.values()[0].to_vec::<f32>().expect("memory has room"));
    assert_eq!(started(scratch.path()), (file, averaged));
    let refused = |from: &Path| {
        let mut parameters = Toy::new(6).parameters;
        initialise(from, &mut parameters).expect_err("it does not fit").to_string()
    };
    assert!(refused(&path).contains("blocks.0.weight  expected [3, 6], found [3, 5]"));
    let empty = Scratch::new("init-empty");
    assert!(
        refused(empty.path())
            .contains("holds no checkpoint; expected a run, a checkpoint, a released model")
    );
    assert!(refused(&path.join("none")).contains("step-00000004/none: "));
}

/// The transformer of a small network, and a file of it without what the network adds.
#[test]
fn a_run_starts_from_a_released_model() {
    use crate::config::ModelConfig;
    use crate::weights::fresh::{Fresh, Part, Release};
    use crate::weights::{Dtype, names::Known};
    let mut model = ModelConfig::preset("nano").expect("is a preset");
    (model.dim, model.layers, model.separate_layers, model.text_in) = (48, 2, 1, 48);
    (model.heads, model.head_dim, model.rotary_dim, model.turn_rows) = (2, 24, 24, 64);
    let scratch = Scratch::new("released");
    let fresh =
        Fresh { release: Release::Three, parts: vec![], layers: None, dtype: Dtype::BF16, seed: 3 };
    let known = Known::Transformer(model.clone());
    fresh.write_part(scratch.path(), Part::Dit, &known, &mut |_| {}).expect("memory has room");

    let mut parameters = Parameters::new();
    let mut ours = model.clone();
    // Fewer turns, and pictures of other channels.
    (ours.turn_rows, ours.visual_in) = (8, 9);
    crate::model::initialise(&ours, &mut parameters, 1).expect("memory has room");
    parameters.insert("words.embedding.weight", Tensor::full([5, 48], 0.5f32).expect("is small"));
    let before = parameters.clone();
    let started = initialise(scratch.path(), &mut parameters).expect("the blocks fit");
    let table = "prompt_id_embedding.embedding.weight";
    assert_eq!(started.resized, [(table.to_owned(), 64, 8)]);
    assert_eq!(started.new, ["vid_in.proj.weight", "words.embedding.weight"]);
    assert!(started.unused.is_empty());
    assert_eq!(started.taken + 3, parameters.len());
    let line = started.to_string();
    assert!(line.contains("1 resized: prompt_id") && line.contains("2 new: vid_in"), "{line}");
    let file = Weights::open(&scratch.path().join("dit.pth")).expect("it is whole");
    for (id, name, value) in parameters.iter() {
        let values = value.to_vec::<f32>().expect("is f32");
        let old = before.value(id).to_vec::<f32>().expect("is f32");
        if started.new.iter().any(|new| new == name) {
            assert_eq!(values, old, "{name}");
        } else {
            let mut stored = Vec::new();
            file.floats(name, 0..values.len(), &mut stored).expect("it is there");
            assert_eq!(values, stored, "{name}");
        }
    }
    // Another width fits nowhere: one table.
    let mut wider = Parameters::new();
    crate::model::initialise(&ModelConfig { layers: 3, ..model }, &mut wider, 1)
        .expect("memory has room");
    let table = initialise(scratch.path(), &mut wider).expect_err("a layer is missing").to_string();
    assert!(table.contains("missing     blocks.2.attn.proj_qkv.all.weight"), "{table}");
}
