//! Launch files through the driver's calls, as a GPU runs them: no checks, no counters, but the
//! device's own times. An emulated device takes the very same way.

use super::element::number;
use super::report::Differs;
use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use vincie_gpu::{CaseRun, Device, DeviceSpec, Error, ErrorKind, driver_status, emulator};
use vincie_ptx::corpus::{Case, Output};
use vincie_ptx::{Checks, Module, Options};

/// What a device is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct About {
    /// As `--device` names it.
    pub(crate) device: String,
    pub(crate) name: String,
    /// Compute capability.
    pub(crate) capability: (u32, u32),
    pub(crate) multiprocessors: u32,
    pub(crate) memory_bytes: usize,
    /// CUDA version of its driver; an emulated device has none.
    pub(crate) driver: Option<(u32, u32)>,
}

impl About {
    pub(crate) fn of(device: &Device) -> Self {
        let limits = device.limits();
        let driver = if device.is_emulated() { None } else { driver_status().version };
        Self {
            device: device.spec().to_string(),
            name: device.name().to_owned(),
            capability: limits.capability,
            multiprocessors: limits.multiprocessors,
            memory_bytes: limits.memory_bytes,
            driver,
        }
    }

    /// True where no GPU runs the kernels.
    pub(crate) fn is_emulated(&self) -> bool {
        self.name.starts_with(EMULATED)
    }

    pub(crate) fn line(&self) -> String {
        let (major, minor) = self.capability;
        let driver = self
            .driver
            .map_or(String::new(), |(major, minor)| format!(", driver for CUDA {major}.{minor}"));
        format!("{} {}, capability {major}.{minor}{driver}", self.device, self.name)
    }
}

/// True where no GPU runs the kernels: on an emulated device, also where it stands behind the loader
/// as if it were NVIDIA's library.
pub(crate) fn is_emulated(device: &Device) -> bool {
    device.is_emulated() || device.name().starts_with(EMULATED)
}

/// How emulated devices begin their name.
const EMULATED: &str = "emulated ";

/// What came of a launch.
#[derive(Debug, Serialize)]
pub(super) struct OnDevice {
    #[serde(flatten)]
    about: About,
    pub(super) matches: bool,
    pub(super) mismatches: Vec<Differs>,
    /// Buffers behind which the kernel wrote.
    pub(super) overrun: Vec<String>,
    /// What the device says where it failed.
    pub(super) fault: Option<String>,
    /// Time of the launch on the device.
    pub(super) microseconds: Option<f64>,
    pub(super) registers: Option<u32>,
    pub(super) local_bytes: Option<u32>,
}

/// Opens a device. Emulated ones run without checks, at most `max_instructions` a launch.
pub(crate) fn open(spec: DeviceSpec, options: &Options) -> Result<Device, Error> {
    if let DeviceSpec::Emulated(_) = spec {
        let options = Options { checks: Checks::NONE, memory_counters: false, ..*options };
        let config = emulator::Config { options, ..emulator::Config::default() };
        // Where devices are there already, they have these options from the first call.
        if emulator::start(config).is_err() {
            emulator::set_options(options);
        }
    }
    Device::open(spec)
}

/// Refuses PTX that is none, before a device is asked.
pub(crate) fn check(case: &Case) -> vincie_ptx::Result<Module> {
    let module = Module::parse(&case.ptx, &case.ptx_name)?;
    if !module.entries().any(|entry| entry == case.entry) {
        let have: Vec<&str> = module.entries().collect();
        let (file, wanted, have) = (&case.ptx_name, &case.entry, have.join(", "));
        let message = format!("{file}: no kernel `{wanted}`; it has {have}");
        return Err(vincie_ptx::Error::Case(message));
    }
    Ok(module)
}

/// Runs a case and compares what it leaves; a fault of the device is a result, too.
pub(super) fn run(device: &Device, case: &Case) -> Result<(OnDevice, Vec<Output>), Failure> {
    let mut answer = OnDevice {
        about: About::of(device),
        matches: false,
        mismatches: Vec::new(),
        overrun: Vec::new(),
        fault: None,
        microseconds: None,
        registers: None,
        local_bytes: None,
    };
    let run = match device.run_case(case) {
        Ok(run) => run,
        Err(error) if error.kind == ErrorKind::Fault => {
            answer.fault = Some(error.to_string());
            return Ok((answer, Vec::new()));
        }
        Err(error) => return Err(failure(&error)),
    };
    let CaseRun { outputs, overrun, time, registers, local_bytes } = run;
    let mismatches = case.mismatches(&outputs).map_err(Failure::malformed)?;
    answer.matches = mismatches.is_empty() && overrun.is_empty();
    answer.mismatches = mismatches.iter().map(Differs::of).collect();
    answer.overrun = overrun;
    answer.microseconds = Some(time.as_secs_f64() * 1e6);
    (answer.registers, answer.local_bytes) = (registers, local_bytes);
    Ok((answer, outputs))
}

/// What does not fit the kernel is wrong with the files, the rest with the device.
fn failure(error: &Error) -> Failure {
    match error.kind {
        ErrorKind::Argument => Failure::malformed(error),
        _ => Failure::new(error),
    }
}

impl OnDevice {
    /// A line for each thing to say, the worst first.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.fault.iter().map(|fault| format!("fault: {fault}")));
        lines.extend(self.mismatches.iter().map(|mismatch| format!("wrong-result: {mismatch}")));
        lines.extend(
            self.overrun
                .iter()
                .map(|name| format!("oob-write: {name}: the bytes behind the buffer were written")),
        );
        let mut line = self.about.line();
        if let Some(microseconds) = self.microseconds {
            line += &format!(", first launch {} us", number((microseconds * 10.0).round() / 10.0));
        }
        if let (Some(registers), Some(local)) = (self.registers, self.local_bytes) {
            line += &format!(", {registers} registers, {local} bytes of local memory");
        }
        lines.push(line);
        lines
    }
}
