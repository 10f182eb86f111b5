//! Modules: PTX text that is parsed and decoded when it is loaded, so that what the machine does
//! not know is refused then, with its line in the log.

use super::function::Function;
use super::jit::Logs;
use super::state::{Handle, State, lock};
use super::{Answer, fail, put};
use crate::abi::{In, Out, Raw, Text};
use crate::result::Code;
use std::path::PathBuf;
use std::sync::Arc;
use vincie_ptx::{DevicePtr, Loaded, Module};

/// Compute capability of the emulated devices, as targets write it.
const CAPABILITY: u32 = 90;

/// Largest image that is read from a file, bytes.
const MAX_IMAGE: u64 = 64 << 20;

/// A module in the memory of a device.
pub(super) struct LoadedModule {
    pub(super) loaded: Arc<Loaded>,
    /// Names and handles of its kernels.
    functions: Vec<(String, Handle)>,
}

pub(crate) fn load(module: Out<Raw>, image: Text) -> Answer {
    let bytes = image_bytes(image)?;
    load_text(module, bytes, &Logs::NONE)
}

pub(crate) fn load_with_options(
    module: Out<Raw>,
    image: Text,
    count: u32,
    options: In<i32>,
    values: Out<usize>,
) -> Answer {
    let logs = Logs::read(count, options, values)?;
    load_text(module, image_bytes(image)?, &logs)
}

pub(crate) fn load_file(module: Out<Raw>, path: Text) -> Answer {
    let path = path.bytes().unwrap_or_default();
    let path = PathBuf::from(String::from_utf8_lossy(&path).into_owned());
    let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    if size > MAX_IMAGE {
        let message = format!("{}: {size} bytes; at most {MAX_IMAGE}", path.display());
        return fail(Code::INVALID_IMAGE, message);
    }
    match std::fs::read(&path) {
        Ok(bytes) => load_text(module, bytes, &Logs::NONE),
        Err(error) => {
            const FILE_NOT_FOUND: Code = Code(301);
            fail(FILE_NOT_FOUND, format!("{}: {error}", path.display()))
        }
    }
}

fn image_bytes(image: Text) -> Answer<Vec<u8>> {
    match image.bytes() {
        Some(bytes) => Ok(bytes),
        None => fail(Code::INVALID_VALUE, "the module's image is null"),
    }
}

fn load_text(out: Out<Raw>, image: Vec<u8>, logs: &Logs) -> Answer {
    let mut state = lock();
    let device = state.current()?;
    state.refuse_in_capture("cuModuleLoad")?;
    let refuse = |code: Code, message: String| {
        logs.error.write(&message);
        fail(code, message)
    };
    let Ok(text) = String::from_utf8(image) else {
        let message = "the image is no PTX text; the emulator takes neither cubin nor fatbin";
        return refuse(Code::NO_BINARY_FOR_GPU, message.into());
    };
    if text.starts_with("\u{7f}ELF") {
        return refuse(Code::NO_BINARY_FOR_GPU, "the image is a cubin; PTX is expected".into());
    }
    let module = match Module::parse(&text, "ptx") {
        Ok(module) => module,
        Err(error) => return refuse(Code::INVALID_PTX, error.to_string()),
    };
    if let Some(message) = unfit(&module.target) {
        return refuse(Code::NO_BINARY_FOR_GPU, message);
    }
    let names: Vec<String> = module.entries().map(str::to_owned).collect();
    let mut kernels = Vec::new();
    for name in &names {
        match module.kernel(name) {
            Ok(kernel) => kernels.push(kernel),
            Err(error) => return refuse(Code::INVALID_PTX, error.to_string()),
        }
    }
    let loaded = match state.machine.load(device, &module) {
        Ok(loaded) => Arc::new(loaded),
        Err(error) => return refuse(Code::OUT_OF_MEMORY, error.to_string()),
    };
    for at in loaded.allocations() {
        let bytes = state.machine.range(at).map_or(0, |(_, bytes)| bytes);
        state.devices[device].allocations.insert(at.0, bytes);
    }
    // Only kernels that reach beyond the device can wait for one on another device.
    let talks = text.contains(".sys") || text.contains(".volatile");
    let mut functions = Vec::new();
    for kernel in kernels {
        let handle = state.new_handle();
        functions.push((kernel.name.clone(), handle));
        let function = Function::new(device, kernel, Arc::clone(&loaded), talks);
        state.functions.insert(handle, Arc::new(function));
    }
    let handle = state.new_handle();
    let count = functions.len();
    state.modules.insert(handle, LoadedModule { loaded, functions });
    logs.info.write(&format!("emulated: {count} kernels decoded for {}", module.target));
    put(out, handle as Raw)
}

/// Why a target does not run on the emulated devices.
fn unfit(target: &str) -> Option<String> {
    let digits: String = target.chars().filter(char::is_ascii_digit).collect();
    let number: u32 = digits.parse().unwrap_or(0);
    // Targets with a letter run on exactly that architecture.
    let is_exact = target.ends_with(|c: char| c.is_ascii_lowercase());
    let fits = if is_exact { number == CAPABILITY } else { number <= CAPABILITY };
    (!fits).then(|| format!(".target {target} does not run on the emulated sm_{CAPABILITY}"))
}

fn find(state: &State, module: Raw) -> Answer<&LoadedModule> {
    match state.modules.get(&(module as Handle)) {
        Some(module) => Ok(module),
        None => fail(Code::INVALID_HANDLE, format!("no emulated module {module:p}")),
    }
}

pub(crate) fn unload(module: Raw) -> Answer {
    let device = {
        let mut state = lock();
        state.current()?;
        state.refuse_in_capture("cuModuleUnload")?;
        find(&state, module)?.loaded.device
    };
    super::queue::finish_device(device)?;
    let mut state = lock();
    let Some(module) = state.modules.remove(&(module as Handle)) else { return Ok(()) };
    for (_, function) in &module.functions {
        state.functions.remove(function);
    }
    for DevicePtr(at) in module.loaded.allocations() {
        state.devices[device].allocations.remove(&at);
        if let Err(error) = state.machine.free(DevicePtr(at)) {
            return fail(Code::INVALID_VALUE, error.to_string());
        }
    }
    Ok(())
}

pub(crate) fn function(function: Out<Raw>, module: Raw, name: Text) -> Answer {
    let state = lock();
    let module = find(&state, module)?;
    let name = String::from_utf8_lossy(&name.bytes().unwrap_or_default()).into_owned();
    match module.functions.iter().find(|entry| entry.0 == name) {
        Some((_, handle)) => put(function, *handle as Raw),
        None => {
            let have: Vec<&str> = module.functions.iter().map(|f| f.0.as_str()).collect();
            let message = format!("no kernel `{name}`; the module has {}", have.join(", "));
            fail(Code::NOT_FOUND, message)
        }
    }
}

pub(crate) fn global(at: Out<u64>, bytes: Out<usize>, module: Raw, name: Text) -> Answer {
    let state = lock();
    let module = find(&state, module)?;
    let name = String::from_utf8_lossy(&name.bytes().unwrap_or_default()).into_owned();
    match module.loaded.symbol(&name) {
        Some((DevicePtr(start), size)) => {
            // Either may be null.
            at.put(start);
            bytes.put(size);
            Ok(())
        }
        None => fail(Code::NOT_FOUND, format!("the module has no variable `{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::unfit;

    #[test]
    fn targets_run_on_what_they_name() {
        for target in ["sm_70", "sm_80", "sm_90", "sm_90a"] {
            assert_eq!(unfit(target), None, "{target}");
        }
        for target in ["sm_100", "sm_100a", "sm_80a"] {
            assert!(unfit(target).is_some_and(|text| text.contains(target)));
        }
    }
}
