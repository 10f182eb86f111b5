//! Where one tensor of a checkpoint lies, checked once when the file is opened.

use safetensors::Dtype;
use std::ops::Range;
use vincie_tensor::{MAX_RANK, Shape, Strides};

/// Largest product of a tensor's sizes, those of 0 left out. Every layout below it can be counted.
const MAX_ELEMENTS: usize = 1 << 48;

/// One tensor: its type, shape and place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Steps in elements; row-major where there are none.
    strides: Option<Strides>,
    /// Number of the file among the checkpoint's.
    pub(super) file: usize,
    /// Byte of that file where the first element begins.
    pub(super) start: usize,
}

impl Entry {
    /// A tensor whose elements lie at `offset` elements of `storage`, a stretch of file `file` in
    /// bytes, `strides` elements apart or row by row. `Err` says why the elements cannot all lie
    /// there, without the tensor's name.
    pub(super) fn new(
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Option<&[usize]>,
        file: usize,
        storage: Range<usize>,
        offset: usize,
    ) -> Result<Self, String> {
        let size = element_size(dtype)?;
        let all = shape.iter().try_fold(1usize, |all, &dim| all.checked_mul(dim.max(1)));
        if all.is_none_or(|all| all > MAX_ELEMENTS) {
            return Err(format!("has shape {shape:?}, more than 2^48 elements"));
        }
        if strides.is_some_and(|strides| strides.len() != shape.len()) {
            return Err(format!("has shape {shape:?} and strides {strides:?}; expected as many"));
        }
        let count: usize = shape.iter().product();
        let held = storage.len() / size;
        let last = match (count, strides) {
            (0, _) => Some(0),
            (count, None) => Some(count),
            (_, Some(strides)) => {
                shape.iter().zip(strides).try_fold(1usize, |last, (&dim, &step)| {
                    last.checked_add((dim - 1).checked_mul(step)?)
                })
            }
        };
        let end = last.and_then(|last| last.checked_add(offset));
        if end.is_none_or(|end| end > held) {
            let layout = strides.map_or(String::new(), |strides| format!(", strides {strides:?}"));
            return Err(format!(
                "has shape {shape:?}{layout} at element {offset} of a storage of {held}"
            ));
        }
        // Repeated elements would let a small file ask for any amount of memory.
        if count > held {
            return Err(format!("shows {count} elements of a storage of {held}"));
        }
        let row_major = |strides: &&[usize]| {
            let mut step = 1;
            let axes = shape.iter().zip(*strides).rev();
            axes.into_iter().all(|(&dim, &stride)| {
                let fits = dim == 1 || stride == step;
                step *= dim;
                fits
            })
        };
        let strides = strides.filter(|strides| count > 0 && !row_major(strides));
        if strides.is_some() && shape.len() > MAX_RANK {
            return Err(format!("has shape {shape:?}; at most {MAX_RANK} axes can be strided"));
        }
        Ok(Self {
            dtype,
            strides: strides.map(Strides::new),
            file,
            start: storage.start + offset * size,
            shape,
        })
    }

    /// Number of elements.
    pub(super) fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of an element.
    pub(super) fn size(&self) -> usize {
        self.dtype.bitsize() / 8
    }

    /// Bytes from the first element to the last, both counted.
    pub(super) fn span(&self) -> Range<usize> {
        let elements = match &self.strides {
            _ if self.count() == 0 => 0,
            None => self.count(),
            Some(strides) => {
                1 + self
                    .shape
                    .iter()
                    .zip(&**strides)
                    .map(|(dim, step)| (dim - 1) * step)
                    .sum::<usize>()
            }
        };
        self.start..self.start + elements * self.size()
    }

    /// Whether elements lie row by row without gaps.
    pub(super) fn is_row_major(&self) -> bool {
        self.strides.is_none()
    }

    /// Steps in elements of a shape of at most [`MAX_RANK`] axes.
    pub(super) fn strides(&self) -> Strides {
        self.strides.unwrap_or_else(|| Shape::new(&self.shape).row_major_strides())
    }

    /// Calls `visit` on the bytes of every element in row-major order; `bytes` is [`Self::span`].
    pub(super) fn for_each<'b>(&self, bytes: &'b [u8], mut visit: impl FnMut(&'b [u8])) {
        let size = self.size();
        let Some(strides) = &self.strides else {
            return bytes.chunks_exact(size).for_each(visit);
        };
        let mut at = vec![0; self.shape.len()];
        let mut element = 0;
        for _ in 0..self.count() {
            visit(&bytes[element * size..(element + 1) * size]);
            for axis in (0..at.len()).rev() {
                at[axis] += 1;
                element += strides[axis];
                if at[axis] < self.shape[axis] {
                    break;
                }
                element -= at[axis] * strides[axis];
                at[axis] = 0;
            }
        }
    }
}

/// Bytes of an element; `Err` for types packed below a byte.
pub(super) fn element_size(dtype: Dtype) -> Result<usize, String> {
    match dtype.bitsize() {
        bits if bits % 8 == 0 && bits > 0 => Ok(bits / 8),
        bits => Err(format!("has type {dtype:?} of {bits} bits an element; expected whole bytes")),
    }
}
