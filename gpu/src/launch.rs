//! Launches: arguments and shape are checked against the kernel's declaration and contract, then
//! handed to the driver.

use crate::buffer::Buffer;
use crate::device::lock;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, KernelInner};
use crate::ring::LaunchRecord;
use crate::signature::Given;
use crate::stream::{Stream, StreamInner};
use crate::tensor_map::TensorMap;
use std::fmt::Write;
use std::sync::Arc;
use vincie_driver::{Attribute, In, LaunchSetup, call};
use vincie_ptx::LaunchConfig;

/// One launch: arguments in the kernel's order, then the shape, then [`submit`](Launch::submit).
///
/// Where the kernel has a contract, grid, block and shared memory come from it; names that it
/// uses and no argument gives are given with [`dim`](Launch::dim).
#[must_use = "a launch starts with `submit`"]
pub struct Launch<'k> {
    kernel: &'k Kernel,
    given: Vec<Given>,
    /// Values of all arguments, each from the start of a place of its own.
    values: Vec<Aligned>,
    /// Where in `values` each argument starts.
    starts: Vec<usize>,
    used: Vec<Use>,
    dims: Vec<(String, u64)>,
    grid: Option<[u32; 3]>,
    block: Option<[u32; 3]>,
    cluster: Option<[u32; 3]>,
    dynamic_shared: Option<usize>,
    is_cooperative: bool,
    note: String,
}

/// Room for an argument, aligned for any of them, tensor maps included. Only structs may take more
/// than one.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
struct Aligned([u8; ROOM]);

/// Bytes of [`Aligned`].
const ROOM: usize = 128;

/// Memory that a launch uses: notes the stream as one of its users.
type Use = Box<dyn Fn(&Arc<StreamInner>) + Send>;

impl Kernel {
    /// A launch of the kernel, without arguments yet.
    pub fn launch(&self) -> Launch<'_> {
        Launch {
            kernel: self,
            given: Vec::new(),
            values: Vec::new(),
            starts: Vec::new(),
            used: Vec::new(),
            dims: Vec::new(),
            grid: None,
            block: None,
            cluster: None,
            dynamic_shared: None,
            is_cooperative: false,
            note: String::new(),
        }
    }
}

impl Launch<'_> {
    fn push(mut self, given: Given, bytes: &[u8]) -> Self {
        self.starts.push(self.values.len());
        for part in bytes.chunks(ROOM) {
            let mut value = Aligned([0; ROOM]);
            value.0[..part.len()].copy_from_slice(part);
            self.values.push(value);
        }
        self.given.push(given);
        self
    }

    /// The next argument is the address of a buffer.
    pub fn buffer<T: Element>(mut self, buffer: &Buffer<T>) -> Self {
        let given = Given::Buffer {
            element: T::NAME,
            element_bytes: size_of::<T>(),
            len: buffer.len(),
            tag: buffer.tag().to_owned(),
        };
        let held = buffer.clone();
        self.used.push(Box::new(move |stream| held.used_by(stream)));
        self.push(given, &buffer.address().to_le_bytes())
    }

    /// The next argument is a null pointer, where the kernel takes an optional buffer.
    pub fn null(self) -> Self {
        self.push(Given::Null, &[0; 8])
    }

    /// The next argument is a number.
    pub fn scalar<T: Element>(self, value: T) -> Self {
        let (bytes, value_bytes) = (size_of::<T>(), bytemuck::bytes_of(&value));
        let given = Given::Scalar { element: T::NAME, bytes, value: value.as_integer() };
        self.push(given, value_bytes)
    }

    /// The next argument has these bytes: a struct by value, or a number whose type is not known.
    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.push(Given::Bytes(bytes.to_vec()), bytes)
    }

    /// The next argument is a tensor map.
    pub fn tensor_map(mut self, map: &TensorMap) -> Self {
        let memory = Arc::clone(&map.memory);
        self.used.push(Box::new(move |stream| {
            memory.used_by(stream);
            if stream.is_capturing() {
                stream.keep(Arc::clone(&memory) as _);
            }
        }));
        self.push(Given::Map, &map.encoded.0)
    }

    /// Gives a name of the contract its value; it also stands in the ring of launches.
    pub fn dim(mut self, name: &str, value: usize) -> Self {
        self.dims.push((name.to_owned(), value as u64));
        self
    }

    /// CTAs along x, y, z.
    pub fn grid(mut self, grid: [u32; 3]) -> Self {
        self.grid = Some(grid);
        self
    }

    /// Threads of a CTA along x, y, z.
    pub fn block(mut self, block: [u32; 3]) -> Self {
        self.block = Some(block);
        self
    }

    /// CTAs of a cluster along x, y, z.
    pub fn cluster(mut self, cluster: [u32; 3]) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// Bytes of dynamic shared memory.
    pub fn dynamic_shared(mut self, bytes: usize) -> Self {
        self.dynamic_shared = Some(bytes);
        self
    }

    /// All CTAs are resident at once, so that they may wait for each other.
    pub fn cooperative(mut self) -> Self {
        self.is_cooperative = true;
        self
    }

    /// A note for the ring of launches, such as the op and its shapes.
    pub fn note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }

    /// Checks the launch and puts it into a stream. An empty grid, which a contract gives for
    /// empty tensors, launches nothing.
    pub fn submit(self, stream: &Stream) -> Result<()> {
        let kernel = &self.kernel.0;
        let device = &stream.0.device;
        if !Arc::ptr_eq(&kernel.module.device, device) {
            let (name, have) = (&kernel.name, stream.device().spec());
            let message =
                format!("{name}: the kernel is not loaded on {have}, the stream's device");
            return Err(Error::argument(message));
        }
        let signature = &kernel.signature;
        let values = signature.values(&self.given, &self.dims);
        signature.check_arguments(&self.given, &values).map_err(Error::argument)?;
        let missing = |what: &str| {
            Error::argument(format!("{}: the launch gives no {what}", signature.kernel))
        };
        let grid = self.grid.or_else(|| signature.grid(&values));
        let config = LaunchConfig {
            grid: grid.ok_or_else(|| missing("grid, and no contract with values for its names"))?,
            block: self.block.or_else(|| signature.block()).ok_or_else(|| missing("block"))?,
            cluster: self.cluster.or_else(|| signature.cluster()).unwrap_or([1; 3]),
            dynamic_shared: self.dynamic_shared.or_else(|| signature.dynamic_shared()).unwrap_or(0),
            cooperative: self.is_cooperative,
        };
        let is_empty = self.grid.is_none() && config.grid.contains(&0);
        if is_empty {
            return Ok(());
        }
        signature.check_shape(&config, device.limits(), &values).map_err(Error::argument)?;
        device.enter()?;
        kernel.prepare(config.dynamic_shared, config.cluster)?;
        for used in &self.used {
            used(&stream.0);
        }
        if stream.0.is_capturing() {
            stream.0.keep(Arc::clone(kernel) as _);
        }
        let record = self.record(&config, stream);
        let recorder = device.tracing().filter(|_| !stream.0.is_capturing());
        let timing = recorder.as_ref().and_then(|recorder| recorder.begin(&record, stream));
        lock(&device.ring).push(record);
        let result = self.start(kernel, &config, stream);
        if let (Some(recorder), Some(timing)) = (recorder, timing) {
            recorder.end(timing, stream);
        }
        result
    }

    fn record(&self, config: &LaunchConfig, stream: &Stream) -> LaunchRecord {
        let mut shapes = self.note.clone();
        for (name, value) in &self.dims {
            let space = if shapes.is_empty() { "" } else { " " };
            // Writing to a text cannot fail.
            let _ = write!(shapes, "{space}{name}={value}");
        }
        LaunchRecord {
            number: lock(&stream.0.device.ring).number(),
            kernel: Arc::clone(&self.kernel.0.name),
            grid: config.grid,
            block: config.block,
            cluster: config.cluster,
            shared_bytes: config.dynamic_shared,
            stream: stream.0.number,
            shapes,
        }
    }

    fn start(&self, kernel: &KernelInner, config: &LaunchConfig, stream: &Stream) -> Result<()> {
        let first = self.values.as_ptr() as usize;
        let arguments: Vec<In<u8>> =
            self.starts.iter().map(|start| In::at(first + start * size_of::<Aligned>())).collect();
        let ([gx, gy, gz], [bx, by, bz]) = (config.grid, config.block);
        let shared_bytes = config.dynamic_shared as u32;
        let (function, raw) = (kernel.raw(), stream.0.raw());
        let device = &stream.0.device;
        if config.cluster == [1; 3] && !config.cooperative {
            // SAFETY: there is one pointer for each parameter, to a value of its size, as the
            // signature was checked; the driver copies them before it returns.
            let code = unsafe {
                let arguments = In::from(&arguments);
                call::cuLaunchKernel(
                    function,
                    gx,
                    gy,
                    gz,
                    bx,
                    by,
                    bz,
                    shared_bytes,
                    raw,
                    arguments,
                    In::none(),
                )
            };
            return device.check("cuLaunchKernel", code);
        }
        let mut attributes = Vec::new();
        if config.cluster != [1; 3] {
            attributes.push(Attribute::cluster(config.cluster));
        }
        if config.cooperative {
            attributes.push(Attribute::cooperative());
        }
        let setup = [LaunchSetup {
            grid: config.grid,
            block: config.block,
            shared_bytes,
            stream: raw,
            attributes: In::from(&attributes),
            attribute_count: attributes.len() as u32,
        }];
        // SAFETY: as above; setup and attributes outlive the call.
        let code = unsafe {
            let arguments = In::from(&arguments);
            call::cuLaunchKernelEx(In::from(&setup), function, arguments, In::none())
        };
        device.check("cuLaunchKernelEx", code)
    }
}
