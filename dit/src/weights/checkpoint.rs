//! An open checkpoint of any form: names of tensors over mapped files.

use super::entry::Entry;
use super::{index, safetensors, torch};
use crate::{Error, Result};
use ::safetensors::Dtype;
use half::{bf16, f16};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vincie_tensor::{DType, MAX_RANK, Mapping, Shape, Tensor};

/// What stands in official parameter names where training counted operations.
const WRAPPER: &str = "_flops_wrap_module.";

/// An open file, or several that make up one checkpoint.
///
/// Three forms are read: safetensors, the zip files that `torch.save` writes (`.pth`, `.pt`, `.bin`), and
/// several of either under an index (`*.index.json`). Files are mapped; opening reads their headers
/// only, and tensors are views of the mapping wherever their type and alignment allow it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    form: Form,
    files: Vec<(PathBuf, Arc<Mapping>)>,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

/// Elements that one thread reads at a time.
const STRIP: usize = 1 << 16;

/// How tensors are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One safetensors file.
    Safetensors,
    /// One zip file of `torch.save`.
    Torch,
    /// Several files of either form.
    Sharded,
}

impl Form {
    /// Reads the form off a file's first bytes; `None` where it is no file of tensors.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let io = |source| Error::io(path, source);
        let mut start = Vec::new();
        File::open(path).map_err(io)?.take(512).read_to_end(&mut start).map_err(io)?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        Ok(match start.as_slice() {
            // Local header, or the end of an archive without entries.
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Torch),
            [b'{', ..] if extension == Some("json") => Some(Self::Sharded),
            [_, _, _, _, _, _, _, _, b'{', ..] => Some(Self::Safetensors),
            _ => match extension {
                Some("safetensors") => Some(Self::Safetensors),
                Some("pth" | "pt" | "bin" | "ckpt") => Some(Self::Torch),
                _ => None,
            },
        })
    }
}

impl Checkpoint {
    /// Opens a file of tensors, an index of several, or a folder with one of these. All that can be
    /// checked without reading values is checked: places within the files, without overlaps, and sizes
    /// that match shapes. `Err` is one line.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return index::open_folder(path);
        }
        match Form::of(path)? {
            Some(Form::Safetensors) => safetensors::open(path),
            Some(Form::Torch) => torch::open(path),
            Some(Form::Sharded) => index::open(path),
            None => Err(Error::format(
                path,
                "is no file of tensors; expected .safetensors, .pth, .bin or an .index.json",
            )),
        }
    }

    /// A checkpoint of no tensors yet over the files.
    pub(super) fn new(path: &Path, form: Form, files: Vec<(PathBuf, Arc<Mapping>)>) -> Self {
        let (entries, metadata) = Default::default();
        Self { path: path.to_owned(), form, files, entries, metadata }
    }

    /// Adds a tensor. `Err` when its name, with wrappers stripped, is taken.
    pub(super) fn insert(&mut self, name: &str, entry: Entry) -> Result<()> {
        let name = stripped(name);
        if self.entries.contains_key(&name) {
            return Err(Error::format(&self.path, format!("holds {name} twice")));
        }
        self.entries.insert(name, entry);
        Ok(())
    }

    /// Adds a line of free text.
    pub(super) fn note(&mut self, key: String, value: String) {
        self.metadata.insert(key, value);
    }

    /// Takes all tensors of another checkpoint in.
    pub(super) fn absorb(&mut self, other: Self) -> Result<()> {
        let first = self.files.len();
        self.files.extend(other.files);
        for (name, mut entry) in other.entries {
            entry.file += first;
            self.insert(&name, entry)?;
        }
        self.metadata.extend(other.metadata);
        Ok(())
    }

    /// The file, index or folder that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How its tensors are stored.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The files that hold the tensors.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// Free text beside the tensors: the header's entries, or plain values of a pickle.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Element type of a tensor as safetensors files spell it.
    pub fn dtype(&self, name: &str) -> Option<String> {
        self.stored_type(name).map(|dtype| format!("{dtype:?}"))
    }

    /// Element type of a tensor.
    pub fn stored_type(&self, name: &str) -> Option<Dtype> {
        self.entries.get(name).map(|entry| entry.dtype)
    }

    /// Bytes of a tensor's elements; 0 where there is none of that name.
    pub fn bytes(&self, name: &str) -> usize {
        self.entries.get(name).map_or(0, |entry| entry.count() * entry.size())
    }

    /// The same checkpoint under other names: `rename` gives a tensor's new name, or `None` to leave it
    /// out. `Err` when two tensors get one name.
    pub fn renamed(self, rename: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut renamed = Self { entries: BTreeMap::new(), ..self };
        for (name, entry) in self.entries {
            if let Some(name) = rename(&name) {
                renamed.insert(&name, entry)?;
            }
        }
        Ok(renamed)
    }

    pub(super) fn entry(&self, name: &str) -> Result<&Entry> {
        self.entries
            .get(name)
            .ok_or_else(|| Error::format(&self.path, format!("holds no tensor {name}")))
    }

    /// The bytes from a tensor's first element to its last.
    fn span(&self, entry: &Entry) -> &[u8] {
        &self.files[entry.file].1.bytes()[entry.span()]
    }

    /// A tensor's elements as they lie in the file, where they lie there row by row.
    pub fn raw(&self, name: &str) -> Result<Option<&[u8]>> {
        let entry = self.entry(name)?;
        Ok(entry.is_row_major().then(|| self.span(entry)))
    }

    /// A tensor's elements row by row as the file stores them, copied together.
    pub fn gathered(&self, name: &str) -> Result<Vec<u8>> {
        let entry = self.entry(name)?;
        let mut bytes = Vec::with_capacity(self.bytes(name));
        entry.for_each(self.span(entry), |element| bytes.extend_from_slice(element));
        Ok(bytes)
    }

    /// A tensor: f32, bf16, i32, u8 and truth values as views of the file; f16 and f64 converted to
    /// f32, other whole numbers to i32. `Err` when one does not fit that.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let entry = self.entry(name)?;
        if entry.shape.len() > MAX_RANK {
            return Err(Error::format(
                &self.path,
                format!(
                    "{name} has shape {:?}; at most {MAX_RANK} axes are supported",
                    entry.shape
                ),
            ));
        }
        let shape = Shape::new(&entry.shape);
        let view = |dtype| {
            let mapping = &self.files[entry.file].1;
            let strides = entry.strides();
            Ok(Tensor::from_mapping_strided(mapping, entry.start, shape, strides, dtype)?)
        };
        let convert = |read: fn(&[u8]) -> f32| -> Result<Tensor> {
            let mut values = Vec::with_capacity(entry.count());
            entry.for_each(self.span(entry), |bytes| values.push(read(bytes)));
            Ok(Tensor::from_slice(&values, shape)?)
        };
        match entry.dtype {
            Dtype::F32 => view(DType::F32),
            Dtype::BF16 => view(DType::BF16),
            Dtype::I32 => view(DType::I32),
            Dtype::U8 | Dtype::BOOL => view(DType::U8),
            Dtype::F16 => convert(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()),
            Dtype::F64 => convert(|b| f64::from_le_bytes(eight(b)) as f32),
            Dtype::I64 | Dtype::I16 | Dtype::I8 | Dtype::U16 | Dtype::U32 => {
                let narrow = |value: i64| {
                    i32::try_from(value).map_err(|_| {
                        let what = format!("{name} holds {value}, which 32 bits do not");
                        Error::format(&self.path, what)
                    })
                };
                let values = self.integers(name)?.into_iter().map(narrow);
                Ok(Tensor::from_slice(&values.collect::<Result<Vec<i32>>>()?, shape)?)
            }
            other => Err(self.unknown_type(name, other)),
        }
    }

    /// Whole numbers of a tensor of any type of them up to 64 bits, row by row.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>> {
        let entry = self.entry(name)?;
        let read: fn(&[u8]) -> i64 = match entry.dtype {
            Dtype::I64 => |b| i64::from_le_bytes(eight(b)),
            Dtype::I32 => |b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Dtype::U32 => |b| i64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Dtype::I16 => |b| i64::from(i16::from_le_bytes([b[0], b[1]])),
            Dtype::U16 => |b| i64::from(u16::from_le_bytes([b[0], b[1]])),
            Dtype::I8 => |b| i64::from(i8::from_le_bytes([b[0]])),
            Dtype::U8 | Dtype::BOOL => |b| i64::from(b[0]),
            other => {
                let what = format!("{name} has type {other:?}; expected whole numbers");
                return Err(Error::format(&self.path, what));
            }
        };
        let mut values = Vec::with_capacity(entry.count());
        entry.for_each(self.span(entry), |bytes| values.push(read(bytes)));
        Ok(values)
    }

    /// Real numbers of the elements `range`, counted row by row, of a tensor of any floating type: the
    /// way to read a tensor piece by piece. They replace what `into` holds.
    pub fn floats(
        &self,
        name: &str,
        range: std::ops::Range<usize>,
        into: &mut Vec<f32>,
    ) -> Result<()> {
        let entry = self.entry(name)?;
        let read: fn(&[u8]) -> f32 = match entry.dtype {
            Dtype::F32 => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Dtype::BF16 => |b| bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Dtype::F16 => |b| f16::from_le_bytes([b[0], b[1]]).to_f32(),
            Dtype::F64 => |b| f64::from_le_bytes(eight(b)) as f32,
            other => {
                let what = format!("{name} has type {other:?}; expected real numbers");
                return Err(Error::format(&self.path, what));
            }
        };
        if range.start > range.end || range.end > entry.count() {
            let what = format!("{name} has {} elements; {range:?} are asked for", entry.count());
            return Err(Error::format(&self.path, what));
        }
        let (bytes, size) = (self.span(entry), entry.size());
        if entry.is_row_major() {
            let piece = &bytes[range.start * size..range.end * size];
            into.resize(range.len(), 0.0);
            let strips = into.par_chunks_mut(STRIP).zip(piece.par_chunks(STRIP * size));
            strips.for_each(|(to, from)| {
                to.iter_mut().zip(from.chunks_exact(size)).for_each(|(to, from)| *to = read(from));
            });
        } else {
            into.clear();
            let mut at = 0;
            entry.for_each(bytes, |element| {
                if range.contains(&at) {
                    into.push(read(element));
                }
                at += 1;
            });
        }
        Ok(())
    }

    /// Asks the system to read a tensor that will be wanted soon, without waiting for it.
    pub fn prefetch(&self, name: &str) {
        if let Some(entry) = self.entries.get(name) {
            let span = entry.span();
            self.files[entry.file].1.prefetch(span.start, span.len());
        }
    }

    /// Lets the system take back the memory under a tensor that has been read; reading it again brings
    /// it back from the file. Tensors that are views of it stay valid.
    pub fn release(&self, name: &str) {
        if let Some(entry) = self.entries.get(name) {
            let span = entry.span();
            self.files[entry.file].1.release(span.start, span.len());
        }
    }

    fn unknown_type(&self, name: &str, dtype: Dtype) -> Error {
        let what = format!(
            "{name} has type {dtype:?}; expected F32, BF16, F16, F64, whole numbers up to 64 bits or BOOL"
        );
        Error::format(&self.path, what)
    }
}

/// A name without the wrappers in it.
pub(super) fn stripped(name: &str) -> String {
    name.replace(WRAPPER, "")
}

/// The first eight bytes of an element that has them.
fn eight(b: &[u8]) -> [u8; 8] {
    [b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]
}
