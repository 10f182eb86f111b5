//! A device that tensors can live on: its stream, the kernels loaded so far, and tensors there.
//!
//! All work of an accelerator goes into one stream, so whatever the host starts later sees it done.

mod copy;
mod elementwise;
mod inputs;
mod launch;
mod replay;
mod rows;
mod update;

use crate::ops::{Key, Tables, lattices};
use crate::storage::{DeviceMemory, Indices, Storage};
use crate::{DType, Error, Result, Shape, Tensor};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use vincie_gpu::{Buffer, Device, DeviceSpec, Kernel, Pod, Stream, Transfer};
use vincie_ptx::catalogue;

pub(crate) use copy::{axes, cast, copy, strides};
pub(crate) use elementwise::elementwise;
pub use inputs::Inputs;
pub(crate) use launch::TensorArguments;
pub use replay::{Replay, Workspace};
pub(crate) use rows::Rows;
pub use update::{AdamWState, adamw_on, add_on, clip_on, ema_on};

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
    /// Where constants go to the device, so that they may be uploaded while the stream captures.
    aside: OnceLock<Stream>,
    /// Pinned memory of the last packed upload.
    staging: Mutex<Option<Transfer<u8>>>,
    uploads: AtomicU64,
    downloads: AtomicU64,
    replays: AtomicU64,
}

/// Copies between host and device so far, and work that was done again as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// Copies to the device, of a tensor or of several that are packed.
    pub uploads: u64,
    /// Tensors that were read back, each of which waited for the device.
    pub downloads: u64,
    /// Replays of noted work.
    pub replays: u64,
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
            aside: OnceLock::new(),
            staging: Mutex::default(),
            uploads: AtomicU64::new(0),
            downloads: AtomicU64::new(0),
            replays: AtomicU64::new(0),
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
            replays: self.0.replays.load(Relaxed),
        }
    }

    fn count_upload(&self) {
        self.0.uploads.fetch_add(1, Relaxed);
    }

    /// A kernel of the catalogue, loaded at its first use.
    pub(crate) fn kernel(&self, name: &str) -> Result<Kernel> {
        let mut kernels = lock(&self.0.kernels);
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
        let mut all = lock(&self.0.tables);
        if let Some(tables) = all.get(&key) {
            return Ok(tables.clone());
        }
        // Buffers that the stream used are not given back while it captures.
        if all.len() >= MAX_TABLES && !self.0.stream.is_capturing() {
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

    /// A buffer with values that nobody changes, outside of any workspace. It is there when this
    /// returns, also while the stream captures.
    pub(crate) fn constant<T: Pod>(&self, values: &[T], tag: &str) -> Result<Buffer<T>> {
        let aside = match self.0.aside.get() {
            Some(aside) => aside,
            None => {
                let stream = self.0.device.stream()?;
                self.0.aside.get_or_init(|| stream)
            }
        };
        let buffer = aside.upload(values, tag)?;
        aside.synchronize()?;
        Ok(buffer)
    }

    /// A row-major tensor without contents, which a kernel must write in full.
    pub(crate) fn uninit(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let shape = shape.into();
        let bytes = shape.iter().try_fold(dtype.size(), |bytes, &dim| bytes.checked_mul(dim));
        let Some(bytes) = bytes.filter(|&bytes| bytes <= isize::MAX as usize) else {
            return Err(Error::shape("allocate", format!("{shape} of {dtype} is too large")));
        };
        let buffer = self.0.stream.allocate(bytes, "tensor")?;
        let memory = DeviceMemory { buffer, accelerator: self.clone(), indices: None };
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
        let (starts, end) = layout(specs.iter().copied())?;
        let buffer = self.0.stream.allocate(end, tag)?;
        self.0.stream.zero(&buffer)?;
        let memory = DeviceMemory { buffer, accelerator: self.clone(), indices: None };
        let storage = Arc::new(Storage::Device(memory));
        let view = |((shape, dtype), start): (&(Shape, DType), usize)| {
            Tensor::within(&storage, start, *shape, *dtype)
        };
        Ok(specs.iter().zip(starts).map(view).collect())
    }

    /// Bytes of the allocation that [`Accelerator::arena`] makes.
    pub fn arena_bytes(specs: impl Iterator<Item = (Shape, DType)>) -> Result<usize> {
        Ok(layout(specs)?.1)
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
        self.count_upload();
        let from = from.contiguous()?;
        Ok(self.0.stream.write(&to.device_bytes()?, from.host_bytes())?)
    }

    /// A copy of a host tensor, contiguous.
    pub(crate) fn upload(&self, tensor: &Tensor) -> Result<Tensor> {
        let tensor = tensor.contiguous()?;
        let bytes = tensor.host_bytes();
        let buffer = self.0.stream.upload(bytes, "tensor")?;
        self.count_upload();
        let indices = Indices::of(&tensor);
        let memory = DeviceMemory { buffer, accelerator: self.clone(), indices };
        Ok(Tensor::on_device(memory, tensor.shape(), tensor.dtype()))
    }

    /// The bytes of a contiguous tensor of this device, once all work so far is done.
    pub(crate) fn download(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        self.0.downloads.fetch_add(1, Relaxed);
        Ok(self.0.stream.download(&tensor.device_bytes()?)?)
    }
}

/// Where tensors start that lie one after another, and where the last one's place ends.
fn layout(specs: impl Iterator<Item = (Shape, DType)>) -> Result<(Vec<usize>, usize)> {
    let (mut starts, mut end) = (Vec::new(), 0usize);
    for (shape, dtype) in specs {
        starts.push(end);
        let bytes = shape.iter().try_fold(dtype.size(), |bytes, &dim| bytes.checked_mul(dim));
        let next = bytes.and_then(|bytes| end.checked_add(bytes));
        let next = next.and_then(|next| next.checked_next_multiple_of(ALIGNMENT));
        end = next.ok_or_else(|| {
            let what = format!("{shape} of {dtype} behind {end} bytes is too large");
            Error::shape("allocate", what)
        })?;
    }
    Ok((starts, end))
}

/// Locks what no panic leaves half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
