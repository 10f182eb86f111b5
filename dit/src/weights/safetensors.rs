//! Reading and writing safetensors files. The file is mapped; tensors are views of the mapping.

use crate::{Error, Result};
use half::f16;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vincie_tensor::{DType, MAX_RANK, Mapping, Tensor};

/// An open safetensors file.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    mapping: Arc<Mapping>,
    metadata: Metadata,
    /// Where the tensors' bytes begin.
    start: usize,
}

impl Checkpoint {
    /// Maps the file and checks its header: offsets within the file, without gaps or overlaps, and
    /// sizes that match shapes. Nothing is read beyond the header.
    pub fn open(path: &Path) -> Result<Self> {
        let mapping = Arc::new(Mapping::open(path).map_err(|source| Error::io(path, source))?);
        let (header, metadata) = SafeTensors::read_metadata(mapping.bytes())
            .map_err(|e| Error::format(path, format!("not a valid safetensors file: {e}")))?;
        let start = header + 8;
        let end = metadata.tensors().values().map(|info| info.data_offsets.1).max().unwrap_or(0);
        if mapping.bytes().len() != start + end {
            let what = format!(
                "{} bytes long; its header describes {}",
                mapping.bytes().len(),
                start + end
            );
            return Err(Error::format(path, what));
        }
        Ok(Self { path: path.to_owned(), mapping, metadata, start })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.metadata.tensors().into_keys().collect();
        names.sort();
        names
    }

    /// The header's free text entries.
    pub fn metadata(&self) -> HashMap<String, String> {
        self.metadata.metadata().clone().unwrap_or_default()
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| info.shape.as_slice())
    }

    /// Element type of a tensor as the file spells it.
    pub fn dtype(&self, name: &str) -> Option<String> {
        self.metadata.info(name).map(|info| format!("{:?}", info.dtype))
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.metadata
            .info(name)
            .ok_or_else(|| Error::format(&self.path, format!("holds no tensor {name}")))
    }

    fn bytes(&self, info: &TensorInfo) -> &[u8] {
        &self.mapping.bytes()[self.start + info.data_offsets.0..self.start + info.data_offsets.1]
    }

    /// A tensor: f32, bf16, i32 and u8 as a view of the file; f16 and f64 converted to f32.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let info = self.info(name)?;
        if info.shape.len() > MAX_RANK {
            return Err(Error::format(
                &self.path,
                format!("{name} has shape {:?}; at most {MAX_RANK} axes are supported", info.shape),
            ));
        }
        let shape = info.shape.as_slice();
        let view = |dtype| {
            Ok(Tensor::from_mapping(&self.mapping, self.start + info.data_offsets.0, shape, dtype)?)
        };
        let convert = |size: usize, read: fn(&[u8]) -> f32| -> Result<Tensor> {
            let values: Vec<f32> = self.bytes(info).chunks_exact(size).map(read).collect();
            Ok(Tensor::from_slice(&values, shape)?)
        };
        match info.dtype {
            Dtype::F32 => view(DType::F32),
            Dtype::BF16 => view(DType::BF16),
            Dtype::I32 => view(DType::I32),
            Dtype::U8 => view(DType::U8),
            Dtype::F16 => convert(2, |b| f16::from_le_bytes([b[0], b[1]]).to_f32()),
            Dtype::F64 => convert(8, |b| {
                f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32
            }),
            other => Err(Error::format(
                &self.path,
                format!("{name} has type {other:?}; expected F32, BF16, F16, F64, I32 or U8"),
            )),
        }
    }

    /// Whole numbers of a tensor of any integer type up to 64 bits.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>> {
        let info = self.info(name)?;
        let bytes = self.bytes(info);
        Ok(match info.dtype {
            Dtype::I64 => bytes
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
                .collect(),
            Dtype::I32 => bytes
                .chunks_exact(4)
                .map(|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])))
                .collect(),
            Dtype::U8 => bytes.iter().map(|&b| i64::from(b)).collect(),
            other => {
                return Err(Error::format(
                    &self.path,
                    format!("{name} has type {other:?}; expected whole numbers"),
                ));
            }
        })
    }
}

/// A tensor as the safetensors crate writes it.
struct Entry<'a>(&'a Tensor);

impl View for Entry<'_> {
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
    let entries: Vec<(String, Entry<'t>)> =
        tensors.into_iter().map(|(name, tensor)| (name, Entry(tensor))).collect();
    let partial = path.with_extension("safetensors.partial");
    let written = safetensors::serialize_to_file(entries, Some(header), &partial);
    let synced = written.map_err(|e| e.to_string()).and_then(|()| {
        let sync = File::open(&partial).and_then(|file| file.sync_all());
        sync.and_then(|()| fs::rename(&partial, path)).map_err(|e| e.to_string())
    });
    synced.map_err(|what| {
        // The message that matters is the first failure; a leftover that cannot be removed is named by it.
        let _ = fs::remove_file(&partial);
        Error::format(path, format!("not written: {what}"))
    })
}
