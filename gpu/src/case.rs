//! Launch files on a device: cases in the format of the PTX corpus, through the same calls as any
//! other kernel.

use crate::buffer::Buffer;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::stream::Stream;
use crate::tensor_map::{TensorMap, TileLayout};
use std::time::Duration;
use vincie_ptx::corpus::{Arg, Case, Output, TensorMapSpec};

/// Bytes behind each buffer that a kernel must leave alone. The machine sees accesses behind a
/// buffer by itself.
const GUARD: usize = 4096;
/// What they hold.
const GUARD_BYTE: u8 = 0xA5;

/// What a case left behind.
#[derive(Clone, Debug)]
pub struct CaseRun {
    /// All buffers of the case, in the order of their first use.
    pub outputs: Vec<Output>,
    /// Names of those behind which the kernel wrote.
    pub overrun: Vec<String>,
    /// Time of its one launch on the device, which is the first of its kernel.
    pub time: Duration,
    /// Registers of a thread, where the driver compiled for hardware.
    pub registers: Option<u32>,
    /// Bytes of local memory of a thread, spills included, where the driver compiled for hardware.
    pub local_bytes: Option<u32>,
}

/// A tensor in device memory, with guard space behind it.
struct Placed {
    whole: Buffer<u8>,
    exact: Buffer<u8>,
}

impl Device {
    /// Runs a case: buffers have exactly the sizes of their tensors, and undefined ones hold the
    /// bytes that the case gives. Nothing is compared.
    pub fn run_case(&self, case: &Case) -> Result<CaseRun> {
        let malformed = |error: vincie_ptx::Error| Error::argument(error.to_string());
        let inputs = case.inputs().map_err(malformed)?;
        let module = self.load(&case.ptx, &case.ptx_name)?;
        let kernel = module.kernel(&case.entry)?;
        let stream = self.stream()?;
        let guard = if self.is_emulated() { 0 } else { GUARD };
        let place = |input: &vincie_ptx::corpus::Input<'_>| {
            let mut bytes = input.bytes.to_vec();
            bytes.resize(input.bytes.len() + guard, GUARD_BYTE);
            let whole = stream.upload(&bytes, input.name)?;
            Ok(Placed { exact: whole.view(0..input.bytes.len())?, whole })
        };
        let placed = inputs.iter().map(place).collect::<Result<Vec<Placed>>>()?;
        let find = |name: &str| {
            let at = inputs.iter().position(|input| input.name == name);
            &placed[at.expect("inputs are all that the arguments name")].exact
        };
        let mut launch = kernel.launch().grid(case.config.grid).block(case.config.block);
        launch = launch.dynamic_shared(case.config.dynamic_shared).note(&case.name);
        if case.config.cluster != [1; 3] {
            launch = launch.cluster(case.config.cluster);
        }
        if case.config.cooperative {
            launch = launch.cooperative();
        }
        for (index, arg) in case.args.iter().enumerate() {
            launch = match arg {
                Arg::Buffer { name, .. } => launch.buffer(find(name)),
                Arg::Map { map, .. } => launch.tensor_map(&tensor_map(find(&map.buffer), map)?),
                Arg::Null => launch.null(),
                Arg::Bytes(bytes) => {
                    // Scalars may be written wider or narrower than their parameter is.
                    let mut bytes = bytes.clone();
                    bytes.resize(kernel.parameter_bytes(index).unwrap_or(bytes.len()), 0);
                    launch.bytes(&bytes)
                }
            };
        }
        let time = submit(launch, &stream)?;
        let mut run = CaseRun {
            outputs: Vec::new(),
            overrun: Vec::new(),
            time,
            registers: kernel.registers(),
            local_bytes: kernel.local_bytes(),
        };
        for (input, placed) in inputs.iter().zip(&placed) {
            let mut bytes = stream.download(&placed.whole)?;
            let guard = bytes.split_off(input.bytes.len());
            let name = input.name.to_owned();
            if guard.iter().any(|byte| *byte != GUARD_BYTE) {
                run.overrun.push(name.clone());
            }
            run.outputs.push(Output { name, dtype: input.dtype, bytes });
        }
        Ok(run)
    }
}

/// Launches and waits; the time between the events around it.
fn submit(launch: crate::Launch<'_>, stream: &Stream) -> Result<Duration> {
    let before = stream.record()?;
    launch.submit(stream)?;
    let after = stream.record()?;
    stream.synchronize()?;
    after.since(&before)
}

fn tensor_map(buffer: &Buffer<u8>, spec: &TensorMapSpec) -> Result<TensorMap> {
    let layout = TileLayout {
        dims: spec.dims.clone(),
        strides: spec.strides.clone(),
        tile: spec.tile.clone(),
        swizzle: spec.swizzle,
    };
    TensorMap::of_bytes(buffer, spec.element, &layout)
}
