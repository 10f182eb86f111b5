//! The tensor: a typed, strided view of pooled memory. Views share storage; ops make new tensors.

mod placement;

use crate::accelerator;
use crate::kernels::{Simd, convert};
use crate::mapping::Mapping;
use crate::storage::Storage;
use crate::{DType, Element, Error, Result, Shape, Strides};
use half::bf16;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A view of memory, of the host or of an accelerator, with a shape, strides and an element type.
///
/// Cloning shares the memory. A tensor says nothing about who else sees its memory: only
/// [`Tensor::as_mut_slice`] on a sole owner can change it.
#[derive(Clone)]
pub struct Tensor {
    storage: Arc<Storage>,
    shape: Shape,
    strides: Strides,
    offset: usize,
    dtype: DType,
}

impl Tensor {
    /// A row-major tensor whose contents the caller must write in full before anyone reads them.
    pub(crate) fn uninit(shape: impl Into<Shape>, dtype: DType) -> Result<Self> {
        let shape = shape.into();
        let bytes = shape.iter().try_fold(dtype.size(), |bytes, &dim| bytes.checked_mul(dim));
        let Some(bytes) = bytes.filter(|&bytes| bytes <= isize::MAX as usize) else {
            return Err(Error::shape("allocate", format!("{shape} of {dtype} is too large")));
        };
        let storage = Arc::new(Storage::new(bytes)?);
        Ok(Self { storage, shape, strides: shape.row_major_strides(), offset: 0, dtype })
    }

    /// A row-major tensor filled by `write`, which gets every element in an unspecified state.
    pub fn build<T: Element>(
        shape: impl Into<Shape>,
        write: impl FnOnce(&mut [T]),
    ) -> Result<Self> {
        let mut tensor = Self::uninit(shape, T::DTYPE)?;
        write(tensor.as_mut_slice().expect("a fresh tensor has one owner"));
        Ok(tensor)
    }

    /// A tensor of zeros.
    pub fn zeros(shape: impl Into<Shape>, dtype: DType) -> Result<Self> {
        let mut tensor = Self::uninit(shape, dtype)?;
        match dtype {
            DType::F32 => tensor.fill(0f32),
            DType::BF16 => tensor.fill(bf16::ZERO),
            DType::I32 => tensor.fill(0i32),
            DType::U8 => tensor.fill(0u8),
        }
        Ok(tensor)
    }

    /// A tensor of one repeated value.
    pub fn full<T: Element>(shape: impl Into<Shape>, value: T) -> Result<Self> {
        Self::build(shape, |all| all.fill(value))
    }

    /// A rank 0 tensor.
    pub fn scalar(value: f32) -> Result<Self> {
        Self::full([], value)
    }

    /// A row-major copy of `data`. `Err` when the count does not match the shape.
    pub fn from_slice<T: Element>(data: &[T], shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if data.len() != shape.count() {
            let what =
                format!("{} values for shape {shape}, which holds {}", data.len(), shape.count());
            return Err(Error::shape("from_slice", what));
        }
        Self::build(shape, |all| all.copy_from_slice(data))
    }

    /// A tensor over the row-major elements at `start` of a mapped file, copied only where that place
    /// is not aligned for them. `Err` when the file ends before the elements do.
    pub fn from_mapping(
        mapping: &Arc<Mapping>,
        start: usize,
        shape: impl Into<Shape>,
        dtype: DType,
    ) -> Result<Self> {
        let shape = shape.into();
        Self::from_mapping_strided(mapping, start, shape, shape.row_major_strides(), dtype)
    }

    /// [`Self::from_mapping`] with elements that lie `strides` apart, counted in elements. Elements
    /// may share their place.
    pub fn from_mapping_strided(
        mapping: &Arc<Mapping>,
        start: usize,
        shape: impl Into<Shape>,
        strides: Strides,
        dtype: DType,
    ) -> Result<Self> {
        let shape = shape.into();
        assert_eq!(shape.rank(), strides.len(), "one stride an axis");
        let bytes = span(shape, strides).and_then(|span| span.checked_mul(dtype.size()));
        let end = bytes.and_then(|bytes| start.checked_add(bytes));
        let (Some(bytes), Some(range)) =
            (bytes, end.and_then(|end| mapping.bytes().get(start..end)))
        else {
            let what = format!(
                "{shape} of {dtype} at byte {start} of a file of {} bytes",
                mapping.bytes().len()
            );
            return Err(Error::shape("from_mapping", what));
        };
        let storage = if range.as_ptr().align_offset(dtype.size()) == 0 {
            Storage::Mapped { mapping: mapping.clone(), start, bytes }
        } else {
            let mut copy = Storage::new(bytes)?;
            let to = copy.as_mut_slice::<u8>().expect("a fresh block is the host's");
            to[..bytes].copy_from_slice(range);
            copy
        };
        Ok(Self { storage: Arc::new(storage), shape, strides, offset: 0, dtype })
    }

    fn fill<T: Element>(&mut self, value: T) {
        self.as_mut_slice().expect("a fresh tensor has one owner").fill(value);
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Sizes of the axes, borrowed.
    pub fn dims(&self) -> &[usize] {
        &self.shape
    }

    /// Steps, in elements, along the axes.
    pub fn strides(&self) -> Strides {
        self.strides
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.count()
    }

    /// Bytes of the elements.
    pub fn bytes(&self) -> usize {
        self.count() * self.dtype.size()
    }

    /// Whether elements lie one after another in row-major order.
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        for axis in (0..self.shape.rank()).rev() {
            if self.shape[axis] != 1 && self.strides[axis] != step {
                return self.count() == 0;
            }
            step *= self.shape[axis];
        }
        true
    }

    /// Whether no other tensor sees this memory.
    pub fn is_sole_owner(&self) -> bool {
        Arc::strong_count(&self.storage) == 1
    }

    /// The elements of a contiguous host tensor of type `T`; `None` for other types or layouts.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        (self.dtype == T::DTYPE && self.is_contiguous() && self.accelerator().is_none())
            .then(|| &self.storage.as_slice()[self.offset..self.offset + self.count()])
    }

    /// The elements of a contiguous tensor with one owner; `None` otherwise.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        if self.dtype != T::DTYPE || !self.is_contiguous() {
            return None;
        }
        let range = self.offset..self.offset + self.count();
        Some(&mut Arc::get_mut(&mut self.storage)?.as_mut_slice()?[range])
    }

    /// All memory from the first element on, for kernels that walk strides themselves.
    pub(crate) fn strided<T: Element>(&self) -> &[T] {
        assert_eq!(self.dtype, T::DTYPE, "strided access as another type");
        &self.storage.as_slice()[self.offset..]
    }

    /// The elements in row-major order, borrowed where they lie so already. What lies on an
    /// accelerator is read back, which waits for its work.
    pub fn to_slice<T: Element>(&self) -> Result<Cow<'_, [T]>> {
        if self.dtype != T::DTYPE {
            let expected = match T::DTYPE {
                DType::F32 => "f32",
                DType::BF16 => "bf16",
                DType::I32 => "i32",
                DType::U8 => "u8",
            };
            return Err(Error::DType {
                op: "to_slice",
                argument: "tensor",
                got: self.dtype,
                expected,
            });
        }
        Ok(match self.as_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None if self.accelerator().is_some() => Cow::Owned(self.to_host()?.gather()),
            None => Cow::Owned(self.gather()),
        })
    }

    /// The elements in row-major order.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        Ok(self.to_slice()?.into_owned())
    }

    /// The single element of a one-element f32 tensor.
    pub fn item(&self) -> Result<f32> {
        match (self.count(), self.to_slice::<f32>()?.first()) {
            (1, Some(&value)) => Ok(value),
            _ => Err(Error::shape("item", format!("{} is not one element", self.shape))),
        }
    }

    fn gather<T: Element>(&self) -> Vec<T> {
        let mut out = Vec::with_capacity(self.count());
        self.for_each_run(|run: &[T]| out.extend_from_slice(run));
        out
    }

    /// Calls `visit` on the elements in row-major order, in runs as long as the layout allows.
    pub(crate) fn for_each_run<T: Element>(&self, mut visit: impl FnMut(&[T])) {
        if self.count() == 0 {
            return;
        }
        let data = self.strided::<T>();
        let rank = self.shape.rank();
        let run = if rank > 0 && self.strides[rank - 1] == 1 { self.shape[rank - 1] } else { 1 };
        let outer_rank = if run > 1 { rank - 1 } else { rank };
        let mut at = [0usize; crate::shape::MAX_RANK];
        let mut position = 0;
        loop {
            visit(&data[position..position + run]);
            let mut axis = outer_rank;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                at[axis] += 1;
                position += self.strides[axis];
                if at[axis] < self.shape[axis] {
                    break;
                }
                position -= at[axis] * self.strides[axis];
                at[axis] = 0;
            }
        }
    }

    /// This tensor, or a row-major copy where its layout is another.
    pub fn contiguous(&self) -> Result<Self> {
        if self.is_contiguous() {
            return Ok(self.clone());
        }
        if let Some(place) = self.accelerator() {
            let compact = place.uninit(self.shape, self.dtype)?;
            accelerator::copy(place, &compact, self)?;
            return Ok(compact);
        }
        match self.dtype {
            DType::F32 => self.compact::<f32>(),
            DType::BF16 => self.compact::<bf16>(),
            DType::I32 => self.compact::<i32>(),
            DType::U8 => self.compact::<u8>(),
        }
    }

    fn compact<T: Element>(&self) -> Result<Self> {
        Self::build(self.shape, |all| {
            let mut at = 0;
            self.for_each_run(|run: &[T]| {
                all[at..at + run.len()].copy_from_slice(run);
                at += run.len();
            });
        })
    }

    /// The same elements as f32; shares memory where they are f32 already.
    pub fn to_f32(&self) -> Result<Self> {
        if let (Some(place), false) = (self.accelerator(), self.dtype == DType::F32) {
            return accelerator::cast(place, self, DType::F32);
        }
        match self.dtype {
            DType::F32 => Ok(self.clone()),
            DType::BF16 => match self.as_slice::<bf16>() {
                Some(from) => Self::build(self.shape, |to: &mut [f32]| {
                    convert::from_bf16(Simd::detect(), from, to);
                }),
                None => self.convert(|v: bf16| v.to_f32()),
            },
            DType::I32 => self.convert(|v: i32| v as f32),
            DType::U8 => self.convert(|v: u8| f32::from(v)),
        }
    }

    /// The same elements as `dtype`; f32 rounds to nearest even on the way to bf16, and other
    /// conversions than from and to f32 are errors.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        if let (Some(place), true) = (self.accelerator(), self.dtype != dtype) {
            return accelerator::cast(place, self, dtype);
        }
        match (self.dtype, dtype) {
            (from, to) if from == to => Ok(self.clone()),
            (_, DType::F32) => self.to_f32(),
            (DType::F32, DType::BF16) => match self.as_slice::<f32>() {
                Some(from) => Self::build(self.shape, |to: &mut [bf16]| {
                    convert::to_bf16(Simd::detect(), from, to);
                }),
                None => self.convert(bf16::from_f32),
            },
            (got, _) => Err(Error::DType {
                op: "cast",
                argument: "tensor",
                got,
                expected: "f32, or f32 as result",
            }),
        }
    }

    /// [`Self::to_dtype`] of a tensor that is not needed any more.
    pub(crate) fn into_dtype(self, dtype: DType) -> Result<Self> {
        if self.dtype == dtype { Ok(self) } else { self.to_dtype(dtype) }
    }

    fn convert<A: Element, B: Element>(&self, convert: impl Fn(A) -> B) -> Result<Self> {
        Self::build(self.shape, |all: &mut [B]| {
            let mut at = 0;
            self.for_each_run(|run: &[A]| {
                for (to, &from) in all[at..].iter_mut().zip(run) {
                    *to = convert(from);
                }
                at += run.len();
            });
        })
    }

    /// The same elements under another shape; copies only where the layout forbids a view.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.count() != self.count() {
            let what = format!(
                "{} has {} elements, {shape} has {}",
                self.shape,
                self.count(),
                shape.count()
            );
            return Err(Error::shape("reshape", what));
        }
        let mut view = self.contiguous()?;
        view.shape = shape;
        view.strides = shape.row_major_strides();
        Ok(view)
    }

    /// A view with the axes in another order: axis `i` of the result is axis `order[i]` of this.
    pub fn permute(&self, order: &[usize]) -> Result<Self> {
        let mut seen = [false; crate::shape::MAX_RANK];
        let valid = order.len() == self.shape.rank()
            && order
                .iter()
                .all(|&axis| axis < order.len() && !std::mem::replace(&mut seen[axis], true));
        if !valid {
            return Err(Error::shape(
                "permute",
                format!("{order:?} is not an order of the axes of {}", self.shape),
            ));
        }
        let mut view = self.clone();
        let dims: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let steps: Vec<usize> = order.iter().map(|&axis| self.strides[axis]).collect();
        (view.shape, view.strides) = (Shape::new(&dims), Strides::new(&steps));
        Ok(view)
    }

    /// A view with the last two axes swapped.
    pub fn transpose(&self) -> Result<Self> {
        let rank = self.shape.rank();
        if rank < 2 {
            return Err(Error::shape(
                "transpose",
                format!("{} has fewer than two axes", self.shape),
            ));
        }
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        self.permute(&order)
    }

    /// A view of `length` entries of `axis` from `start` on.
    pub fn narrow(&self, axis: usize, start: usize, length: usize) -> Result<Self> {
        let within = axis < self.shape.rank()
            && start.checked_add(length).is_some_and(|end| end <= self.shape[axis]);
        if !within {
            let what =
                format!("entries {start}..{start}+{length} of axis {axis} of {}", self.shape);
            return Err(Error::shape("narrow", what));
        }
        let mut view = self.clone();
        view.shape = self.shape.with_dim(axis, length);
        // A view of nothing stays where it is: its start may lie behind the memory.
        if view.count() > 0 {
            view.offset += start * self.strides[axis];
        }
        Ok(view)
    }

    /// A view repeated along axes of size 1 (and new outer axes) to reach `shape`.
    pub fn expand(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if self.shape.broadcast(&shape) != Some(shape) {
            return Err(Error::shape(
                "expand",
                format!("{} does not broadcast to {shape}", self.shape),
            ));
        }
        let missing = shape.rank() - self.shape.rank();
        let mut steps = [0; crate::shape::MAX_RANK];
        for (step, (&size, &stride)) in
            steps[missing..].iter_mut().zip(self.shape.iter().zip(self.strides.iter()))
        {
            *step = if size == 1 { 0 } else { stride };
        }
        let mut view = self.clone();
        view.shape = shape;
        view.strides = Strides::new(&steps[..shape.rank()]);
        Ok(view)
    }
}

/// Elements from the first to the last one of a layout, both counted; `None` where that is more than
/// can be counted, or more elements are than can be.
fn span(shape: Shape, strides: Strides) -> Option<usize> {
    shape.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim.max(1)))?;
    if shape.contains(&0) {
        return Some(0);
    }
    let mut steps = shape.iter().zip(strides.iter());
    steps.try_fold(1usize, |span, (&dim, &step)| span.checked_add((dim - 1).checked_mul(step)?))
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor {} {}", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let data: Vec<f32> = (0..shape.count()).map(|i| i as f32).collect();
        Tensor::from_slice(&data, shape).unwrap()
    }

    #[test]
    fn views_of_nothing_hold_nothing() {
        let nothing = counting([0, 60]).narrow(1, 40, 20).unwrap();
        assert_eq!(nothing.as_slice::<f32>(), Some(&[][..]));
        assert_eq!(counting([3]).narrow(0, 3, 0).unwrap().to_vec::<f32>().unwrap(), [0.0; 0]);
    }

    #[test]
    fn views_see_the_right_elements() {
        let t = counting([2, 3, 4]);
        let p = t.permute(&[2, 0, 1]).unwrap();
        assert_eq!(p.shape(), Shape::from([4, 2, 3]));
        assert_eq!(p.to_vec::<f32>().unwrap()[..7], [0., 4., 8., 12., 16., 20., 1.]);
        let n = t.narrow(1, 1, 2).unwrap().narrow(2, 3, 1).unwrap();
        assert_eq!(n.to_vec::<f32>().unwrap(), [7., 11., 19., 23.]);
        let e = t.narrow(0, 1, 1).unwrap().narrow(1, 0, 1).unwrap().expand([3, 1, 4]).unwrap();
        assert_eq!(e.to_vec::<f32>().unwrap(), [12., 13., 14., 15.].repeat(3));
        assert!(!p.is_contiguous() && p.contiguous().unwrap().is_contiguous());
        assert_eq!(p.reshape([24]).unwrap().to_vec::<f32>(), p.to_vec::<f32>());
    }

    #[test]
    fn empty_and_scalar() {
        let empty = Tensor::zeros([3, 0, 2], DType::F32).unwrap();
        assert!(empty.permute(&[2, 1, 0]).unwrap().to_vec::<f32>().unwrap().is_empty());
        assert_eq!(Tensor::scalar(2.5).unwrap().item(), Ok(2.5));
        assert!(counting([2]).item().is_err());
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let t = counting([2, 3]);
        for message in [
            t.reshape([7]).unwrap_err().to_string(),
            t.permute(&[0, 0]).unwrap_err().to_string(),
            t.narrow(1, 2, 2).unwrap_err().to_string(),
            t.narrow(1, usize::MAX, 2).unwrap_err().to_string(),
            t.expand([2, 4]).unwrap_err().to_string(),
            Tensor::from_slice(&[1f32], [2]).unwrap_err().to_string(),
            t.to_vec::<i32>().unwrap_err().to_string(),
            Tensor::zeros([usize::MAX, 2], DType::F32).unwrap_err().to_string(),
        ] {
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn only_a_sole_owner_writes() {
        let mut t = counting([2]);
        let other = t.clone();
        assert!(t.as_mut_slice::<f32>().is_none());
        drop(other);
        t.as_mut_slice::<f32>().unwrap()[0] = 9.0;
        assert_eq!(t.to_vec::<f32>().unwrap(), [9.0, 1.0]);
    }

    #[test]
    fn bf16_rounds_to_nearest_even() {
        let t = Tensor::from_slice(&[1.0f32, 1.003_906_3, f32::NAN, -0.0], [4]).unwrap();
        let back = t.to_dtype(DType::BF16).unwrap().to_f32().unwrap().to_vec::<f32>().unwrap();
        assert_eq!(back[..2], [1.0, 1.0]);
        assert!(back[2].is_nan() && back[3].is_sign_negative());
    }
}
