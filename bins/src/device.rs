//! The `--device` option of the commands that compute.

use crate::failure::Failure;
use clap::Args;
use vincie_gpu::DeviceSpec;
use vincie_tensor::Accelerator;

/// Which device computes.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DeviceArgument {
    /// Device that computes: cpu, cuda[:N] or emulated[:N]
    #[arg(long = "device", value_name = "DEVICE", default_value_t)]
    spec: DeviceSpec,
}

impl DeviceArgument {
    /// The device, opened; `None` for the host. `Err` is one line that says why there is none.
    pub(crate) fn place(self) -> Result<Option<Accelerator>, Failure> {
        match self.spec {
            DeviceSpec::Cpu => Ok(None),
            spec => Accelerator::open(spec).map(Some).map_err(|e| Failure::new(e.to_string())),
        }
    }
}
