//! Files of `torch.save`: a zip archive with one pickle and one stored entry a storage.

use super::checkpoint::Form;
use super::entry::{Entry, element_size};
use super::{Checkpoint, pickle, zip};
use crate::{Error, Result};
use std::path::Path;
use std::sync::Arc;
use vincie_tensor::Mapping;

/// How the older format of `torch.save` begins: a pickle of protocol 2 with the number
/// 0x1950a86a20f9469cfc6c.
const LEGACY: [u8; 4] = [0x80, 0x02, 0x8a, 0x0a];

/// Where the name of a tar archive's format stands.
const TAR_NAME: std::ops::Range<usize> = 257..262;

/// Maps the file, reads the archive's directory and its pickle, and checks every tensor's place.
pub(super) fn open(path: &Path) -> Result<Checkpoint> {
    let mapping = Arc::new(Mapping::open(path).map_err(|source| Error::io(path, source))?);
    let fail = |what: String| Error::format(path, what);
    if let Some(what) = other_format(mapping.bytes()) {
        return Err(fail(what.to_owned()));
    }
    let entries = zip::entries(mapping.bytes()).map_err(fail)?;
    let pickles: Vec<&String> = entries
        .keys()
        .filter(|name| name.as_str() == "data.pkl" || name.ends_with("/data.pkl"))
        .collect();
    let [name] = pickles.as_slice() else {
        return Err(fail(format!("has {} entries data.pkl; torch.save writes one", pickles.len())));
    };
    let prefix = name.strip_suffix("data.pkl").unwrap_or_default();
    let bytes_of = |name: &str| {
        entries.get(&format!("{prefix}{name}")).map(|range| &mapping.bytes()[range.clone()])
    };
    if let Some(order) = bytes_of("byteorder").filter(|order| *order != b"little") {
        let order =
            String::from_utf8_lossy(&order[..order.len().min(16)]).escape_debug().to_string();
        return Err(fail(format!("has byte order '{order}'; expected little")));
    }
    let pickle = bytes_of("data.pkl").unwrap_or_default();
    let contents = pickle::read(pickle).map_err(|what| fail(format!("its pickle {what}")))?;
    let files = vec![(path.to_owned(), mapping.clone())];
    let mut checkpoint = Checkpoint::new(path, Form::Torch, files);
    for (key, value) in contents.notes {
        checkpoint.note(key, value);
    }
    for (name, view) in contents.tensors {
        let entry = place(&view, |key| entries.get(&format!("{prefix}data/{key}")))
            .map_err(|what| fail(format!("{} {what}", name.escape_debug())))?;
        checkpoint.insert(&name, entry)?;
    }
    Ok(checkpoint)
}

/// The place of a tensor in the archive.
fn place<'r>(
    view: &pickle::View,
    entry_of: impl Fn(&str) -> Option<&'r std::ops::Range<usize>>,
) -> Result<Entry, String> {
    let pickle::Storage { key, dtype, count } = &view.storage;
    let size = dtype.map_or(Ok(1), element_size)?;
    let held = entry_of(key)
        .ok_or_else(|| format!("lies in storage {}, which the file lacks", key.escape_debug()))?;
    let bytes = count.checked_mul(size).filter(|&bytes| bytes <= held.len());
    let bytes = bytes.ok_or_else(|| {
        format!(
            "lies in storage {} of {count} elements, which holds {} bytes",
            key.escape_debug(),
            held.len()
        )
    })?;
    let storage = held.start..held.start + bytes;
    Entry::new(view.dtype, view.shape.clone(), Some(&view.strides), 0, storage, view.offset)
}

/// Why the file is none of those that are read, where its first bytes say so.
fn other_format(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(&LEGACY) {
        return Some(
            "is in the format of torch.save before version 1.6; load it with PyTorch and save it again",
        );
    }
    if bytes.get(TAR_NAME).is_some_and(|name| name == b"ustar") {
        return Some(
            "is a tar archive, the oldest format of torch.save; load it with PyTorch and save it again",
        );
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Some("is a pointer of Git LFS, not the weights; fetch them with git lfs pull");
    }
    None
}
