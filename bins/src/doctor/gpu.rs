//! What a device's driver says once it is started.

use crate::console::Console;
use crate::failure::Failure;
use crate::ptx::driver::{self, About};
use serde::Serialize;
use vincie_gpu::{DeviceSpec, DriverStatus, driver_status};
use vincie_ptx::Options;

/// What `--json` prints.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    about: About,
    /// The library that answers, where it is a GPU's.
    library: Option<String>,
    /// How many devices it has.
    devices: Option<u32>,
    /// Version of the driver's part in the operating system.
    kernel_module: Option<String>,
}

pub(super) fn run(spec: DeviceSpec, is_json: bool, console: &Console) -> Result<(), Failure> {
    if spec == DeviceSpec::Cpu {
        return Err(Failure::usage(
            "device cpu: it has no driver; expected cuda[:N] or emulated[:N]",
        ));
    }
    let device = driver::open(spec, &Options::default()).map_err(Failure::new)?;
    let about = About::of(&device);
    let status: Option<DriverStatus> = (!device.is_emulated()).then(driver_status);
    if is_json {
        return console.json(&Answer {
            about,
            library: status.as_ref().and_then(|status| status.library.clone()),
            devices: status.and_then(|status| status.devices.ok()),
            kernel_module: super::kernel_module(),
        });
    }
    if let Some(status) = status {
        console.line(status.line())?;
    }
    let (multiprocessors, memory) =
        (about.multiprocessors, super::bytes(about.memory_bytes as u64));
    console.line(format!("{}, {multiprocessors} multiprocessors, {memory}", about.line()))
}
