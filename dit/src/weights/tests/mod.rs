//! Files from outside: whatever their bytes are, they are read or refused in one line.

mod fresh;
mod names;
mod shards;
mod torch;

use super::*;
use crate::train::scratch::Scratch;
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use vincie_tensor::{DType, Tensor};

/// A file with a tensor of every type and shapes of all kinds.
fn write(path: &Path) {
    let numbers: Vec<f32> = (0..24).map(|i| i as f32 - 7.5).collect();
    let plain = Tensor::from_slice(&numbers, [2, 3, 4]).unwrap();
    let tensors = [
        ("plain", plain.clone()),
        ("turned", plain.permute(&[2, 0, 1]).unwrap()),
        ("rounded", plain.to_dtype(DType::BF16).unwrap()),
        ("indices", Tensor::from_slice(&[3i32, -1], [2]).unwrap()),
        ("bytes", Tensor::from_slice(&[1u8, 2, 3], [3, 1]).unwrap()),
        ("scalar", Tensor::scalar(5.0).unwrap()),
        ("empty", Tensor::zeros([0, 4], DType::F32).unwrap()),
    ];
    let named = tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor));
    save(path, named).unwrap();
}

/// Whoever may read other files of the user may read weights, too.
#[cfg(unix)]
#[test]
fn a_file_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("weights-permissions");
    let (weights, other) = (scratch.path().join("a.safetensors"), scratch.path().join("other"));
    write(&weights);
    fs::write(&other, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&weights), mode(&other));
}

/// Reads everything; `Err` holds the line of the first refusal.
fn read(path: &Path) -> Result<usize, String> {
    let file = Checkpoint::open(path).map_err(|e| e.to_string())?;
    let mut elements = 0;
    for name in file.names() {
        let tensor = file.tensor(&name).map_err(|e| e.to_string())?;
        elements += tensor.to_f32().map_err(|e| e.to_string())?.to_vec::<f32>().unwrap().len();
    }
    Ok(elements)
}

#[test]
fn what_is_written_is_read() {
    let scratch = Scratch::new("weights");
    let path = scratch.path().join("a.safetensors");
    write(&path);
    let file = Checkpoint::open(&path).unwrap();
    assert_eq!(file.metadata()["format"], "pt");
    assert_eq!(file.tensor("indices").unwrap().to_vec::<i32>().unwrap(), [3, -1]);
    assert_eq!(file.shape("turned"), Some(&[4usize, 2, 3][..]));
    assert_eq!(file.tensor("turned").unwrap().to_vec::<f32>().unwrap()[1], -7.5 + 4.0);
    assert_eq!(file.tensor("rounded").unwrap().dtype(), DType::BF16);
    assert_eq!(read(&path), Ok(3 * 24 + 2 + 3 + 1));
    let first = fs::read(&path).unwrap();
    write(&path);
    assert!(first == fs::read(&path).unwrap(), "the same tensors give the same bytes");
}

proptest! {
    /// A valid file with some bytes changed, or cut, or with something behind it.
    #[test]
    fn changed_files_are_read_or_refused_in_one_line(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        behind in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let scratch = Scratch::new("weights-mutated");
        let path = scratch.path().join("a.safetensors");
        write(&path);
        let mut bytes = fs::read(&path).unwrap();
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend(&behind);
        fs::write(&path, &bytes).unwrap();
        if let Err(line) = read(&path) {
            prop_assert_eq!(line.lines().count(), 1, "{}", line);
            prop_assert!(line.contains("a.safetensors"), "{}", line);
        }
    }
}
