//! A device that tensors can live on: its stream, the kernels loaded so far, and tensors there.
//!
//! All work of an accelerator goes into one stream, so whatever the host starts later sees it done.

mod copy;
mod elementwise;
mod launch;
mod rows;
mod update;

use crate::ops::{Key, Tables, lattices};
use crate::storage::{DeviceMemory, Storage};
use crate::{DType, Error, Result, Shape, Tensor};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use vincie_gpu::{Device, DeviceSpec, Kernel, Stream};
use vincie_ptx::catalogue;

pub(crate) use copy::{axes, cast, copy, strides};
pub(crate) use elementwise::elementwise;
pub(crate) use launch::TensorArguments;
pub(crate) use rows::Rows;
pub use update::{AdamWConstants, AdamWState, clip_on, ema_on};

/// Bytes that tensors of one allocation are aligned to.
const ALIGNMENT: usize = 256;

/// Most tables of attention masks that are kept.
const MAX_TABLES: usize = 64;

/// Most tables of convolutions that are kept: those of both autoencoders at several sizes.
const MAX_LATTICES: usize = 512;

/// A GPU, or an emulated one, with what this process keeps there. Clones are the same one.
#[derive(Clone)]
pub struct Accelerator(Arc<Inner>);

struct Inner {
    device: Device,
    stream: Stream,
    kernels: Mutex<HashMap<String, Kernel>>,
    tables: Mutex<HashMap<Key, Tables>>,
    lattices: Mutex<HashMap<lattices::Key, Arc<[lattices::Table]>>>,
    uploads: AtomicU64,
    downloads: AtomicU64,
}

/// Copies between host and device so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// Tensors that went to the device.
    pub uploads: u64,
    /// Tensors that were read back, each of which waited for the device.
    pub downloads: u64,
}

impl Accelerator {
    /// Opens a device; `cpu` is none.
    pub fn open(spec: DeviceSpec) -> Result<Self> {
        Ok(Self::new(Device::open(spec)?)?)
    }

    /// An accelerator with a stream of its own on a device.
    pub fn new(device: Device) -> vincie_gpu::Result<Self> {
        let stream = device.stream()?;
        Ok(Self(Arc::new(Inner {
            device,
            stream,
            kernels: Mutex::default(),
            tables: Mutex::default(),
            lattices: Mutex::default(),
            uploads: AtomicU64::new(0),
            downloads: AtomicU64::new(0),
        })))
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The stream of all its work.
    pub fn stream(&self) -> &Stream {
        &self.0.stream
    }

    /// Waits for all work so far.
    pub fn synchronize(&self) -> Result<()> {
        Ok(self.0.stream.synchronize()?)
    }

    /// Copies between host and device so far.
    pub fn transfers(&self) -> Transfers {
        Transfers {
            uploads: self.0.uploads.load(Relaxed),
            downloads: self.0.downloads.load(Relaxed),
        }
    }

    /// A kernel of the catalogue, loaded at its first use.
    pub(crate) fn kernel(&self, name: &str) -> Result<Kernel> {
        let mut kernels = self.0.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = kernels.get(name) {
            return Ok(kernel.clone());
        }
        let entry = catalogue::find(name).unwrap_or_else(|| panic!("no kernel {name}"));
        let kernel = self.0.device.load(entry.text(), &entry.file)?.kernel(name)?;
        kernels.insert(name.to_owned(), kernel.clone());
        Ok(kernel)
    }

    /// The tables of an attention mask, made at its first use.
    pub(crate) fn tables(&self, key: Key) -> Result<Tables> {
        let mut all = self.0.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tables) = all.get(&key) {
            return Ok(tables.clone());
        }
        if all.len() >= MAX_TABLES {
            all.clear();
        }
        let tables = key.tables(self)?;
        all.insert(key, tables.clone());
        Ok(tables)
    }

    /// The tables of a convolution, made by `make` at its first use.
    pub(crate) fn lattices(
        &self,
        key: lattices::Key,
        make: impl FnOnce() -> Result<Arc<[lattices::Table]>>,
    ) -> Result<Arc<[lattices::Table]>> {
        let mut all = self.0.lattices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tables) = all.get(&key) {
            return Ok(tables.clone());
        }
        if all.len() >= MAX_LATTICES {
            all.clear();
        }
        let tables = make()?;
        all.insert(key, tables.clone());
        Ok(tables)
    }

    /// A row-major tensor without contents, which a kernel must write in full.
    pub(crate) fn uninit(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let shape = shape.into();
        let bytes = shape.iter().try_fold(dtype.size(), |bytes, &dim| bytes.checked_mul(dim));
        let Some(bytes) = bytes.filter(|&bytes| bytes <= isize::MAX as usize) else {
            return Err(Error::shape("allocate", format!("{shape} of {dtype} is too large")));
        };
        let buffer = self.0.stream.allocate(bytes, "tensor")?;
        let memory = DeviceMemory { buffer, accelerator: self.clone(), index_range: None };
        Ok(Tensor::on_device(memory, shape, dtype))
    }

    /// A tensor of zeros.
    pub fn zeros(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let tensor = self.uninit(shape, dtype)?;
        self.0.stream.zero(&tensor.device_bytes()?)?;
        Ok(tensor)
    }

    /// Tensors of zeros in one allocation, each aligned as the driver aligns allocations; `tag` says
    /// whose they are where memory runs out.
    pub fn arena(&self, specs: &[(Shape, DType)], tag: &str) -> Result<Vec<Tensor>> {
        let mut starts = Vec::with_capacity(specs.len());
        let mut end = 0usize;
        for (shape, dtype) in specs {
            starts.push(end);
            let bytes = shape.iter().try_fold(dtype.size(), |bytes, &dim| bytes.checked_mul(dim));
            let next = bytes.and_then(|bytes| end.checked_add(bytes));
            let next = next.and_then(|next| next.checked_next_multiple_of(ALIGNMENT));
            let Some(next) = next else {
                let what = format!("{tag}: {shape} of {dtype} behind {end} bytes is too large");
                return Err(Error::shape("allocate", what));
            };
            end = next;
        }
        let buffer = self.0.stream.allocate(end, tag)?;
        self.0.stream.zero(&buffer)?;
        let memory = DeviceMemory { buffer, accelerator: self.clone(), index_range: None };
        let storage = Arc::new(Storage::Device(memory));
        let view = |((shape, dtype), start): (&(Shape, DType), usize)| {
            Tensor::within(&storage, start, *shape, *dtype)
        };
        Ok(specs.iter().zip(starts).map(view).collect())
    }

    /// Writes a tensor's elements over those of another one of the same shape and type, which is on
    /// this accelerator and contiguous.
    pub fn write(&self, to: &Tensor, from: &Tensor) -> Result<()> {
        if (to.shape(), to.dtype()) != (from.shape(), from.dtype()) {
            return Err(Error::shape("write", format!("{from:?} over {to:?}")));
        }
        if from.accelerator().is_some() {
            return copy(self, to, &from.to_place(Some(self))?);
        }
        self.0.uploads.fetch_add(1, Relaxed);
        let from = from.contiguous()?;
        Ok(self.0.stream.write(&to.device_bytes()?, from.host_bytes())?)
    }

    /// A copy of a host tensor, contiguous.
    pub(crate) fn upload(&self, tensor: &Tensor) -> Result<Tensor> {
        let tensor = tensor.contiguous()?;
        let bytes = tensor.host_bytes();
        let buffer = self.0.stream.upload(bytes, "tensor")?;
        self.0.uploads.fetch_add(1, Relaxed);
        let index_range = tensor.as_slice::<i32>().and_then(|values| {
            Some((values.iter().copied().min()?, values.iter().copied().max()?))
        });
        let memory = DeviceMemory { buffer, accelerator: self.clone(), index_range };
        Ok(Tensor::on_device(memory, tensor.shape(), tensor.dtype()))
    }

    /// The bytes of a contiguous tensor of this device, once all work so far is done.
    pub(crate) fn download(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        self.0.downloads.fetch_add(1, Relaxed);
        Ok(self.0.stream.download(&tensor.device_bytes()?)?)
    }
}

impl PartialEq for Accelerator {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Accelerator {}

impl fmt::Debug for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Accelerator({})", self.0.device.spec())
    }
}
