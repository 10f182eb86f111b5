//! The `--device` option of the commands that compute.

use crate::failure::Failure;
use clap::Args;
use vincie_gpu::DeviceSpec;

/// Which device computes.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DeviceArgument {
    /// Device that computes: cpu, cuda[:N] or emulated[:N]
    #[arg(long = "device", value_name = "DEVICE", default_value_t)]
    spec: DeviceSpec,
}

impl DeviceArgument {
    /// The device, or one line that says that this build cannot serve it.
    pub(crate) fn served(self) -> Result<DeviceSpec, Failure> {
        match self.spec {
            DeviceSpec::Cpu => Ok(self.spec),
            DeviceSpec::Cuda(_) | DeviceSpec::Emulated(_) => Err(Failure::new(format!(
                "device {}: this build computes on the cpu only; use --device cpu",
                self.spec
            ))),
        }
    }
}
