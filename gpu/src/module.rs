//! Modules: PTX text, loaded through the driver's compiler with its log.

use crate::device::{Device, Inner, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Kernel;
use crate::signature::Signature;
use std::ffi::CString;
use std::fmt;
use std::sync::Arc;
use vincie_driver::{Code, In, Out, Raw, Text, call};
use vincie_ptx::contract::Contract;

/// Bytes of each log.
const LOG_BYTES: usize = 16 << 10;
/// Options of a load, by the driver's number.
const INFO_LOG: i32 = 3;
const INFO_LOG_BYTES: i32 = 4;
const ERROR_LOG: i32 = 5;
const ERROR_LOG_BYTES: i32 = 6;
const VERBOSE: i32 = 12;

/// A module on its device. Clones are the same one.
#[derive(Clone)]
pub struct Module(Arc<ModuleInner>);

pub(crate) struct ModuleInner {
    pub(crate) device: Arc<Inner>,
    pub(crate) name: String,
    handle: usize,
    parsed: vincie_ptx::Module,
    contract: Option<Contract>,
    log: String,
}

impl Device {
    /// Loads PTX text; `name` is used in messages. Where the text starts with a contract, launches
    /// of its kernel are checked against it.
    pub fn load(&self, text: &str, name: &str) -> Result<Module> {
        let fail = |what: String| Error::new(ErrorKind::Module, what);
        let parsed = vincie_ptx::Module::parse(text, name).map_err(|e| fail(e.to_string()))?;
        // A file without a header, as compilers write it, has no contract; a header that cannot
        // be read is an error.
        let has_header = text.starts_with("//") && text.contains("\n// params");
        let contract = if has_header {
            Some(Contract::parse(text, name).map_err(|e| fail(e.to_string()))?)
        } else {
            None
        };
        let image = CString::new(text).map_err(|_| fail(format!("{name}: a zero byte")))?;
        self.0.enter()?;
        let (mut info, mut errors) = (vec![0u8; LOG_BYTES], vec![0u8; LOG_BYTES]);
        let options = [INFO_LOG, INFO_LOG_BYTES, ERROR_LOG, ERROR_LOG_BYTES, VERBOSE];
        let (info_at, errors_at) = (info.as_mut_ptr() as usize, errors.as_mut_ptr() as usize);
        let mut values = [info_at, LOG_BYTES, errors_at, LOG_BYTES, 1];
        let mut handle: Raw = std::ptr::null_mut();
        // SAFETY: there is a value for each option, the logs have the sizes given, and all of it
        // outlives the call.
        let code = unsafe {
            let (count, values) = (options.len() as u32, Out::at(values.as_mut_ptr()));
            let (options, image) = (In::from(&options), Text::from(&image));
            call::cuModuleLoadDataEx(Out::to(&mut handle), image, count, options, values)
        };
        if code.is_sticky() {
            self.0.check("cuModuleLoadDataEx", code)?;
        }
        if code != Code::SUCCESS {
            let log = log_text(&errors);
            let said = if log.is_empty() { String::new() } else { format!(": {log}") };
            let mut error = fail(format!("{name}: {code}{said}"));
            error.code = Some(code);
            return Err(error);
        }
        Ok(Module(Arc::new(ModuleInner {
            device: Arc::clone(&self.0),
            name: name.to_owned(),
            handle: handle as usize,
            parsed,
            contract,
            log: log_text(&info),
        })))
    }
}

/// The text of a log up to its zero byte, without the lines around it.
fn log_text(log: &[u8]) -> String {
    let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_owned()
}

impl Module {
    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What the driver's compiler said of it.
    pub fn log(&self) -> &str {
        &self.0.log
    }

    /// Names of its kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.0.parsed.entries()
    }

    /// One of its kernels.
    pub fn kernel(&self, name: &str) -> Result<Kernel> {
        let inner = &self.0;
        let contract = inner.contract.clone();
        let Some(signature) = Signature::new(&inner.parsed, name, contract) else {
            let have: Vec<&str> = self.kernels().collect();
            let message = format!("{}: no kernel `{name}`; it has {}", inner.name, have.join(", "));
            return Err(Error::new(ErrorKind::Module, message));
        };
        inner.device.enter()?;
        let text = CString::new(name).map_err(|_| Error::argument("a zero byte in a name"))?;
        let mut handle: Raw = std::ptr::null_mut();
        // SAFETY: the result has room, and the module's handle lives as long as this.
        let code = unsafe {
            let module = inner.handle as Raw;
            call::cuModuleGetFunction(Out::to(&mut handle), module, Text::from(&text))
        };
        inner.device.check("cuModuleGetFunction", code)?;
        Ok(Kernel::new(Arc::clone(inner), handle, signature))
    }
}

impl Drop for ModuleInner {
    fn drop(&mut self) {
        // Kernels under way may be its own, and dropping a value waits for nothing: the device
        // unloads the module when it is next waited for.
        lock(&self.device.retired).push(self.handle);
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({})", self.name())
    }
}
