//! Tensors at fixed places of a device that the host rewrites, all in one copy.

use super::Accelerator;
use crate::storage::{DeviceMemory, Indices, Storage};
use crate::{Error, Result, Tensor};
use std::sync::Arc;
use vincie_gpu::{Buffer, Transfer};

/// Tensors of one allocation that are written together, from pinned memory. Work that was noted with
/// them finds the newest values at every replay.
#[derive(Debug)]
pub struct Inputs {
    place: Accelerator,
    packed: Buffer<u8>,
    /// Each with the byte it starts at.
    tensors: Vec<(usize, Tensor)>,
}

impl Inputs {
    /// Room for tensors of the host, in their order, without contents.
    pub(super) fn new(place: &Accelerator, values: &[Tensor]) -> Result<Self> {
        let specs = values.iter().map(|value| (value.shape(), value.dtype()));
        let (starts, end) = super::layout(specs)?;
        let packed = place.stream().allocate(end, "inputs")?;
        let tensor = |(value, start): (&Tensor, usize)| -> Result<(usize, Tensor)> {
            let buffer = packed.view(start..start + value.bytes())?;
            let indices = Indices::of(&value.contiguous()?);
            let memory = DeviceMemory { buffer, accelerator: place.clone(), indices };
            let storage = Arc::new(Storage::Device(memory));
            Ok((start, Tensor::within(&storage, 0, value.shape(), value.dtype())))
        };
        let tensors = values.iter().zip(starts.iter().copied()).map(tensor);
        let tensors = tensors.collect::<Result<_>>()?;
        Ok(Self { place: place.clone(), packed, tensors })
    }

    /// The tensors on the device.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().map(|(_, tensor)| tensor)
    }

    /// Bytes that they take together.
    pub fn bytes(&self) -> usize {
        self.packed.bytes()
    }

    /// Writes values of the host, of the same shapes and types, in one copy. `Err`, and nothing is
    /// written, where one differs or where indices are beyond what work with these tensors was
    /// allowed.
    pub fn write(&self, values: &[Tensor]) -> Result<()> {
        if values.len() != self.tensors.len() {
            let what = format!("{} tensors; expected {}", values.len(), self.tensors.len());
            return Err(Error::shape("inputs", what));
        }
        let mut packed = Vec::with_capacity(values.len());
        for ((start, to), from) in self.tensors.iter().zip(values) {
            if (to.shape(), to.dtype()) != (from.shape(), from.dtype()) {
                return Err(Error::shape("inputs", format!("{from:?}; expected {to:?}")));
            }
            if let Some(indices) = to.indices() {
                indices.check(&from.to_slice::<i32>()?)?;
            }
            packed.push((*start, from.contiguous()?));
        }
        for ((_, to), (_, from)) in self.tensors.iter().zip(&packed) {
            if let Some(indices) = to.indices() {
                indices.renew(&from.to_slice::<i32>()?);
            }
        }
        self.place.write_packed(&self.packed, &packed)
    }
}

impl Accelerator {
    /// Places for tensors of the host, without their contents, where the stream allocates now.
    pub fn inputs(&self, values: &[Tensor]) -> Result<Inputs> {
        Inputs::new(self, values)
    }

    /// Copies tensors to their places in one buffer, through pinned memory that is used again.
    fn write_packed(&self, to: &Buffer<u8>, values: &[(usize, Tensor)]) -> Result<()> {
        let mut staging = super::lock(&self.0.staging);
        let mut memory = match staging.take().map(Transfer::wait).transpose()? {
            Some(memory) if memory.len() >= to.len() => memory,
            _ => self.0.device.pinned(to.len())?,
        };
        for (start, value) in values {
            memory[*start..start + value.bytes()].copy_from_slice(value.host_bytes());
        }
        *staging = Some(self.0.stream.start_upload(to, memory)?);
        self.count_upload();
        Ok(())
    }
}
