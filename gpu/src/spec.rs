//! The `--device` argument.

use std::fmt;
use std::str::FromStr;

/// Which device a run uses: `cpu`, `cuda[:N]` or `emulated[:N]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DeviceSpec {
    /// The host's cores.
    #[default]
    Cpu,
    /// An NVIDIA GPU by ordinal.
    Cuda(u32),
    /// An emulated GPU by ordinal.
    Emulated(u32),
}

/// A `--device` argument that names no device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseDeviceError(String);

impl fmt::Display for ParseDeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device: '{}' is none of cpu, cuda, cuda:N, emulated, emulated:N", self.0)
    }
}

impl std::error::Error for ParseDeviceError {}

impl FromStr for DeviceSpec {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || ParseDeviceError(text.to_owned());
        let (kind, ordinal) = match text.split_once(':') {
            Some((kind, n)) => (kind, Some(n.parse::<u32>().map_err(|_| fail())?)),
            None => (text, None),
        };
        match (kind, ordinal) {
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", n) => Ok(Self::Cuda(n.unwrap_or(0))),
            ("emulated", n) => Ok(Self::Emulated(n.unwrap_or(0))),
            _ => Err(fail()),
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
            Self::Emulated(n) => write!(f, "emulated:{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints() {
        for spec in
            [DeviceSpec::Cpu, DeviceSpec::Cuda(0), DeviceSpec::Cuda(3), DeviceSpec::Emulated(1)]
        {
            assert_eq!(spec.to_string().parse(), Ok(spec));
        }
        assert_eq!("cuda".parse(), Ok(DeviceSpec::Cuda(0)));
    }

    #[test]
    fn refuses_what_names_no_device() {
        for text in ["", "cpu:0", "gpu", "cuda:", "cuda:-1", "emulated:x"] {
            let message = text.parse::<DeviceSpec>().expect_err("not a device").to_string();
            assert!(message.contains(&format!("'{text}'")), "{message}");
        }
    }
}
