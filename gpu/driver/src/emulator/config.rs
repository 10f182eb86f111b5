//! How many devices are emulated, with how much memory, and under which checks.

use super::state::{State, lock};
use std::sync::OnceLock;
use vincie_ptx::{FindingKind, Options};

/// Most devices that can be emulated.
const MAX_DEVICES: usize = 64;

/// What is emulated.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of devices, 1 to 64.
    pub devices: usize,
    /// Memory of each device in bytes; the host holds twice as much of what is in use.
    pub memory_bytes: usize,
    /// Checks, schedule and limits of every launch.
    pub options: Options,
    /// Classes of findings that are no fault.
    pub tolerate: Vec<FindingKind>,
}

impl Default for Config {
    /// Eight devices of 8 GiB, under all checks.
    fn default() -> Self {
        Config {
            devices: 8,
            memory_bytes: 8 << 30,
            options: Options::default(),
            tolerate: Vec::new(),
        }
    }
}

/// The configuration that the state is made from, at the first call of the emulated driver.
pub(super) static CONFIG: OnceLock<Config> = OnceLock::new();

/// Sets what is emulated. An error says that the devices are there already: this must come before
/// the first call.
pub fn start(config: Config) -> Result<(), String> {
    if !(1..=MAX_DEVICES).contains(&config.devices) {
        return Err(format!("{} emulated devices asked for; 1 to {MAX_DEVICES}", config.devices));
    }
    CONFIG.set(config).map_err(|refused| {
        let have = CONFIG.get().map_or(0, |config| config.devices);
        let want = refused.devices;
        format!("{want} emulated devices asked for, but {have} are in use already")
    })
}

/// Changes checks, schedule and limits for launches from now on, on all devices.
pub fn set_options(options: Options) {
    let mut state: std::sync::MutexGuard<'_, State> = lock();
    state.options = options;
}
