//! Where a tensor lies: on the host or on an accelerator, and the ways between.

use super::Tensor;
use crate::accelerator::Accelerator;
use crate::storage::{DeviceMemory, Indices, Storage};
use crate::{DType, Element, Error, Result, Shape, Strides};
use half::bf16;
use std::sync::Arc;
use vincie_gpu::{Buffer, Pod};

impl Tensor {
    /// The accelerator whose memory holds the elements; `None` on the host.
    pub fn accelerator(&self) -> Option<&Accelerator> {
        self.storage.device().map(|memory| &memory.accelerator)
    }

    /// The same elements on an accelerator, or with `None` on the host; shares memory where they
    /// are there already.
    pub fn to_place(&self, place: Option<&Accelerator>) -> Result<Tensor> {
        match (self.accelerator(), place) {
            (None, None) => Ok(self.clone()),
            (Some(from), Some(to)) if from == to => Ok(self.clone()),
            (_, Some(to)) => to.upload(&self.to_host()?),
            (Some(_), None) => self.to_host(),
        }
    }

    /// The same elements on the host, once all work of their accelerator is done.
    pub fn to_host(&self) -> Result<Tensor> {
        let Some(accelerator) = self.accelerator() else { return Ok(self.clone()) };
        let bytes = accelerator.download(&self.contiguous()?)?;
        match self.dtype {
            DType::F32 => self.of_bytes::<f32>(&bytes),
            DType::BF16 => self.of_bytes::<bf16>(&bytes),
            DType::I32 => self.of_bytes::<i32>(&bytes),
            DType::U8 => self.of_bytes::<u8>(&bytes),
        }
    }

    fn of_bytes<T: Element>(&self, bytes: &[u8]) -> Result<Tensor> {
        Tensor::build(self.shape, |all: &mut [T]| {
            bytemuck::cast_slice_mut(all).copy_from_slice(bytes);
        })
    }

    /// A tensor over the whole of a device's memory.
    pub(crate) fn on_device(memory: DeviceMemory, shape: Shape, dtype: DType) -> Tensor {
        Tensor {
            storage: Arc::new(Storage::Device(memory)),
            shape,
            strides: shape.row_major_strides(),
            offset: 0,
            dtype,
        }
    }

    /// A row-major tensor from a byte of a device's memory on.
    pub(crate) fn within(
        storage: &Arc<Storage>,
        start: usize,
        shape: Shape,
        dtype: DType,
    ) -> Tensor {
        let (strides, offset) = (shape.row_major_strides(), start / dtype.size());
        Tensor { storage: Arc::clone(storage), shape, strides, offset, dtype }
    }

    /// A view of other elements of the same memory, counted from the first of this one. What lies
    /// outside of the memory is found when the elements are used.
    pub(crate) fn of_layout(&self, start: usize, shape: Shape, strides: Strides) -> Tensor {
        let offset = self.offset + start;
        Tensor { storage: Arc::clone(&self.storage), shape, strides, offset, dtype: self.dtype }
    }

    /// A tensor of zeros where this one lies.
    pub fn zeros_beside(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        match self.accelerator() {
            Some(accelerator) => accelerator.zeros(shape, dtype),
            None => Tensor::zeros(shape, dtype),
        }
    }

    fn device(&self) -> Result<&DeviceMemory> {
        let outside = || Error::Device(format!("{self:?} is on the host; expected a device"));
        self.storage.device().ok_or_else(outside)
    }

    /// The elements from the first to the last that the strides reach, as a kernel's argument.
    pub(crate) fn device_buffer<T: Pod>(&self) -> Result<Buffer<T>> {
        let steps = self.shape.iter().zip(self.strides.iter());
        let last: usize = steps.map(|(&size, &step)| size.saturating_sub(1) * step).sum();
        let elements = if self.count() == 0 { 0 } else { last + 1 };
        let (start, bytes) = (self.offset * self.dtype.size(), elements * self.dtype.size());
        Ok(self.device()?.buffer.reinterpret(start, bytes / size_of::<T>())?)
    }

    /// The bytes of a contiguous tensor.
    pub(crate) fn device_bytes(&self) -> Result<Buffer<u8>> {
        assert!(self.is_contiguous(), "the bytes of a strided view");
        self.device_buffer()
    }

    /// The address of the first element.
    pub(crate) fn device_address(&self) -> Result<u64> {
        Ok(self.device_buffer::<u8>()?.address())
    }

    /// The bytes of a contiguous tensor of the host.
    pub(crate) fn host_bytes(&self) -> &[u8] {
        assert!(self.is_contiguous(), "the bytes of a strided view");
        let start = self.offset * self.dtype.size();
        &self.storage.as_slice::<u8>()[start..start + self.bytes()]
    }

    /// What the host knows of i32 values on a device.
    pub(crate) fn indices(&self) -> Option<&Indices> {
        self.storage.device().and_then(|memory| memory.indices.as_ref())
    }

    /// Smallest and largest of the i32 values; of a view on a device, at least as far apart.
    pub(crate) fn index_range(&self) -> Result<Option<(i32, i32)>> {
        if let Some(memory) = self.storage.device() {
            if memory.indices.is_none() && self.count() > 0 {
                let what = format!("{self:?} holds indices that the host has not seen");
                return Err(Error::Device(what));
            }
            return Ok(memory.indices.as_ref().map(Indices::range));
        }
        let values = self.to_slice::<i32>()?;
        Ok(values.iter().copied().min().zip(values.iter().copied().max()))
    }
}
