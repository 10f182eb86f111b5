//! Reading and writing safetensors files.

use super::Checkpoint;
use super::checkpoint::Form;
use super::entry::Entry;
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use vincie_tensor::{DType, Mapping, Tensor};

/// Maps the file and checks its header: offsets within the file, without gaps or overlaps, and
/// sizes that match shapes.
pub(super) fn open(path: &Path) -> Result<Checkpoint> {
    let mapping = Arc::new(Mapping::open(path).map_err(|source| Error::io(path, source))?);
    let (header, metadata) = SafeTensors::read_metadata(mapping.bytes())
        .map_err(|e| Error::format(path, format!("not a valid safetensors file: {e}")))?;
    let start = header + 8;
    let end = metadata.tensors().values().map(|info| info.data_offsets.1).max().unwrap_or(0);
    if mapping.bytes().len() != start + end {
        let what =
            format!("{} bytes long; its header describes {}", mapping.bytes().len(), start + end);
        return Err(Error::format(path, what));
    }
    let mut checkpoint = Checkpoint::new(path, Form::Safetensors, vec![(path.to_owned(), mapping)]);
    for (key, value) in metadata.metadata().iter().flatten() {
        checkpoint.note(key.clone(), value.clone());
    }
    for (name, info) in metadata.tensors() {
        let storage = start + info.data_offsets.0..start + info.data_offsets.1;
        let entry = Entry::new(info.dtype, info.shape.clone(), None, 0, storage, 0)
            .map_err(|what| Error::format(path, format!("{name} {what}")))?;
        checkpoint.insert(&name, entry)?;
    }
    Ok(checkpoint)
}

/// A tensor as the safetensors crate writes it.
struct Written<'a>(&'a Tensor);

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.dtype() {
            DType::F32 => Dtype::F32,
            DType::BF16 => Dtype::BF16,
            DType::I32 => Dtype::I32,
            DType::U8 => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.dims()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        fn bytes<T: vincie_tensor::Element>(tensor: &Tensor) -> Cow<'_, [u8]> {
            match tensor.as_slice::<T>() {
                Some(all) => Cow::Borrowed(bytemuck::cast_slice(all)),
                None => {
                    let copy = tensor.to_vec::<T>().expect("the element type was just matched");
                    Cow::Owned(bytemuck::cast_slice(&copy).to_vec())
                }
            }
        }
        match self.0.dtype() {
            DType::F32 => bytes::<f32>(self.0),
            DType::BF16 => bytes::<half::bf16>(self.0),
            DType::I32 => bytes::<i32>(self.0),
            DType::U8 => bytes::<u8>(self.0),
        }
    }

    fn data_len(&self) -> usize {
        self.0.bytes()
    }
}

/// Writes tensors to `path`, in their order of name, and says `format = pt`, which readers of other
/// projects ask for. The same tensors give the same bytes. The file
/// appears under its name only when it is complete and on disk.
pub fn save<'t>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, &'t Tensor)>,
) -> Result<()> {
    // One entry only: the crate writes them in the order of a hash table.
    let header = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let entries: Vec<(String, Written<'t>)> =
        tensors.into_iter().map(|(name, tensor)| (name, Written(tensor))).collect();
    let partial = path.with_extension("safetensors.partial");
    let write = || -> Result<(), String> {
        // The crate's file is its owner's alone; this one may be read by whoever reads others.
        let created = File::create(&partial).and_then(|file| file.metadata());
        let permissions = created.map_err(|e| e.to_string())?.permissions();
        safetensors::serialize_to_file(entries, Some(header), &partial)
            .map_err(|e| e.to_string())?;
        let publish = || {
            fs::set_permissions(&partial, permissions)?;
            File::open(&partial)?.sync_all()?;
            fs::rename(&partial, path)
        };
        publish().map_err(|e| e.to_string())
    };
    write().map_err(|what| {
        // The message that matters is the first failure; a leftover that cannot be removed is named by it.
        let _ = fs::remove_file(&partial);
        Error::format(path, format!("not written: {what}"))
    })
}
