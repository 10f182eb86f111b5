//! Checkpoints of several files, and tensors that are brought to the model's shape.

use super::read;
use crate::model::Need;
use crate::train::scratch::Scratch;
use crate::weights::names::official;
use crate::weights::write::{Plan, write_safetensors, write_shards, write_torch};
use crate::weights::{Checkpoint, Dtype, Fit, Form, assign, assign_lazily};
use std::fs;
use vincie_autograd::Parameters;
use vincie_tensor::{DType, Shape};

fn plan(name: &str, shape: &[usize]) -> Plan {
    Plan { name: name.into(), dtype: Dtype::F32, shape: shape.to_vec() }
}

/// Elements count from 0.
fn counting(plan: &Plan, sink: &mut crate::weights::write::Sink<'_>) -> crate::Result<()> {
    (0..plan.count()).try_for_each(|i| sink(&(i as f32).to_le_bytes()))
}

#[test]
fn shards_are_one_checkpoint() {
    let scratch = Scratch::new("shards");
    let plans = [plan("a", &[8]), plan("b", &[4, 4]), plan("c", &[2]), plan("d", &[100])];
    let files = write_shards(scratch.path(), &plans, 64, &mut counting).unwrap();
    assert_eq!(
        files.len(),
        5,
        "a file for each but c, which b leaves no room for, and the index: {files:?}"
    );
    let index = files.last().unwrap();
    for path in [scratch.path(), index.as_path()] {
        let all = Checkpoint::open(path).unwrap();
        assert_eq!((all.form(), all.names().len()), (Form::Sharded, 4));
        assert_eq!(all.tensor("c").unwrap().to_vec::<f32>().unwrap(), [0., 1.]);
    }
    assert_eq!(read(index), Ok(8 + 16 + 2 + 100));
    fs::remove_file(&files[0]).unwrap();
    assert!(read(index).unwrap_err().contains("00001"));
}

#[test]
fn an_index_names_files_beside_it_and_what_they_hold() {
    let scratch = Scratch::new("index");
    write_torch(&scratch.path().join("one.bin"), &[plan("a", &[2])], &mut counting).unwrap();
    write_torch(&scratch.path().join("two.bin"), &[plan("b", &[2])], &mut counting).unwrap();
    let path = scratch.path().join("pytorch_model.bin.index.json");
    let refusal = |text: &str| {
        fs::write(&path, text).unwrap();
        Checkpoint::open(&path).map(|_| ()).unwrap_err().to_string()
    };
    fs::write(&path, r#"{"weight_map": {"a": "one.bin", "b": "two.bin"}}"#).unwrap();
    assert_eq!(read(scratch.path()), Ok(4));
    assert!(refusal(r#"{"weight_map": {"a": "../one.bin"}}"#).contains("no file beside it"));
    assert!(refusal(r#"{"weight_map": {"a": "two.bin"}}"#).contains("holds a, which it does not"));
    assert!(refusal(r#"{"weight_map": {}}"#).contains("names 0 files"));
    assert!(refusal("{").contains("no index of tensors"));
    let empty = Scratch::new("empty");
    assert!(read(empty.path()).unwrap_err().contains("holds no weights"));
}

#[test]
fn older_shapes_and_names_fit() {
    let scratch = Scratch::new("fit");
    let path = scratch.path().join("vae.safetensors");
    let plans = [
        plan("decoder.mid_block.attentions.0.query.weight", &[2, 2, 1, 1]),
        plan("encoder.conv_in.weight", &[2, 1, 2, 2]),
        plan("decoder.x.upscale_conv.weight", &[2, 1, 1, 1]),
        plan("decoder.x.upscale_conv.bias", &[2]),
        plan("lm_head.weight", &[9]),
    ];
    write_safetensors(&path, &plans, &mut counting).unwrap();
    let file = official(Checkpoint::open(&path).unwrap()).unwrap();
    let expect = |name: &str, dims: &[usize]| (name.to_owned(), Shape::new(dims), Need::Used);
    let expected = [
        expect("decoder.mid_block.attentions.0.to_q.weight", &[2, 2]),
        expect("encoder.conv_in.weight", &[2, 1, 3, 2, 2]),
        expect("decoder.x.upscale_conv.weight", &[4, 1, 3, 1, 1]),
        expect("decoder.x.upscale_conv.bias", &[4]),
    ];
    for dtype in [Some(DType::F32), Some(DType::BF16), None] {
        let mut parameters = Parameters::new();
        let taken = assign(&file, &expected, dtype, &mut parameters).unwrap();
        assert_eq!((taken.tensors, taken.fitted.len()), (4, 4));
        assert_eq!(taken.fitted[2].1, Fit::Inflated(2));
        let values = |name: &str| {
            let value = parameters.value(parameters.id(name).unwrap());
            value.to_f32().unwrap().to_vec::<f32>().unwrap()
        };
        assert_eq!(values(&expected[0].0), [0., 1., 2., 3.]);
        let kernel = [[0., 0., 0., 0., 0., 0., 0., 0., 0., 1., 2., 3.]; 2];
        let kernel: Vec<f32> = kernel
            .iter()
            .enumerate()
            .flat_map(|(row, kernel)| {
                kernel
                    .iter()
                    .enumerate()
                    .map(move |(i, v)| if i < 8 { *v } else { v + 4. * row as f32 })
            })
            .collect();
        assert_eq!(values(&expected[1].0), kernel);
        assert_eq!(values(&expected[2].0), [0., 0., 0., 0., 0., 1., 0., 0., 0., 0., 0., 1.]);
        assert_eq!(values(&expected[3].0), [0., 1., 0., 1.]);
    }
}

#[test]
fn all_that_does_not_fit_stands_in_one_table() {
    let scratch = Scratch::new("table");
    let path = scratch.path().join("a.safetensors");
    write_safetensors(&path, &[plan("a", &[2]), plan("b", &[3])], &mut counting).unwrap();
    let file = Checkpoint::open(&path).unwrap();
    let expect = |name: &str, dims: &[usize], need| (name.to_owned(), Shape::new(dims), need);
    let expected = [
        expect("b", &[4], Need::Used),
        expect("c", &[1], Need::Used),
        expect("freqs", &[1], Need::Buffer),
        expect("behind", &[1], Need::Unused),
    ];
    let table = assign_lazily(&file, &expected, &mut Parameters::new()).unwrap_err().to_string();
    assert!(table.contains("1 tensors missing, 1 unexpected, 1 of another shape"), "{table}");
    for line in ["missing     c", "unexpected  a", "shape       b  expected [4], found [3]"] {
        assert!(table.contains(line), "{table}");
    }
}

#[test]
fn values_that_are_no_numbers_are_named() {
    let scratch = Scratch::new("nan");
    let path = scratch.path().join("a.safetensors");
    let plans = [plan("a", &[300, 400])];
    write_safetensors(&path, &plans, &mut |plan, sink| {
        (0..plan.count())
            .try_for_each(|i| sink(&(if i == 70_001 { f32::NAN } else { 1.0 }).to_le_bytes()))
    })
    .unwrap();
    let file = Checkpoint::open(&path).unwrap();
    let expected = [("a".to_owned(), Shape::from([300, 400]), Need::Used)];
    let line = assign(&file, &expected, None, &mut Parameters::new()).unwrap_err().to_string();
    assert!(line.contains("a is not finite at [175, 1]"), "{line}");
    assert!(assign_lazily(&file, &expected, &mut Parameters::new()).is_ok());
}
