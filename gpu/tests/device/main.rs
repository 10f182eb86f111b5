//! The device on emulated ones, of which every test has its own: faults and memory belong to one.

mod case;
mod fault;
mod graph;
mod launch;
mod memory;
mod peer;
mod region;
mod trace;

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use vincie_gpu::{Device, DeviceSpec, Error, ErrorKind, Kernel, emulator};

/// Memory of each device.
const MEMORY: usize = 4 << 20;
const DEVICES: usize = 48;

/// Multiplies rows of numbers by a factor, with a contract in its header.
const SCALE: &str = include_str!("scale.ptx");

/// A device that no other test has.
fn device() -> Device {
    static START: Once = Once::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    START.call_once(|| {
        let config = emulator::Config {
            devices: DEVICES,
            memory_bytes: MEMORY,
            ..emulator::Config::default()
        };
        emulator::start(config).expect("nothing was opened before");
    });
    let ordinal = NEXT.fetch_add(1, Ordering::Relaxed);
    Device::open(DeviceSpec::Emulated(ordinal)).expect("there are enough for all tests")
}

fn scale(device: &Device) -> Kernel {
    let module = device.load(SCALE, "scale.ptx").expect("it loads");
    module.kernel("scale_f32").expect("it is there")
}

#[track_caller]
fn refused<T>(result: Result<T, Error>, kind: ErrorKind, part: &str) {
    let Err(error) = result else { panic!("it is not refused") };
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.to_string().contains(part), "`{part}` is missing in: {error}");
    if kind != ErrorKind::Fault {
        assert!(!error.to_string().contains('\n'), "more than a line: {error}");
    }
}

#[test]
fn devices_are_opened_by_name_or_refused_in_one_line() {
    let device = device();
    assert!(device.is_emulated() && device.name() == "emulated sm_90");
    let limits = device.limits();
    assert_eq!((limits.capability, limits.memory_bytes), ((9, 0), MEMORY));
    assert_eq!((limits.block_threads, limits.shared_bytes), (1024, 227 << 10));
    refused(Device::open(DeviceSpec::Cpu), ErrorKind::Argument, "cuda:N or emulated:N");
    let beyond = Device::open(DeviceSpec::Emulated(DEVICES as u32));
    refused(beyond, ErrorKind::NoDevice, "there are 48, numbered from 0");
}

#[test]
fn without_a_driver_cuda_is_one_clear_line() {
    let status = vincie_gpu::driver_status();
    if status.devices.is_ok() {
        println!("skipped: without_a_driver_cuda_is_one_clear_line: there is a driver");
        return;
    }
    let refusal = Device::open(DeviceSpec::Cuda(0));
    refused(refusal, ErrorKind::NoDriver, "device cuda:0: no GPU driver: libcuda.so.1");
    assert!(Device::first_gpu().is_none());
}

#[test]
fn modules_say_what_is_wrong_with_them() {
    let device = device();
    let module = device.load(SCALE, "scale.ptx").expect("it loads");
    assert_eq!(module.kernels().collect::<Vec<_>>(), ["scale_f32"]);
    assert!(module.log().contains("1 kernels decoded"), "{}", module.log());
    refused(module.kernel("scale_f64"), ErrorKind::Module, "it has scale_f32");
    let kernel = module.kernel("scale_f32").expect("it is there");
    assert_eq!((kernel.registers(), kernel.unread_limits().len()), (None, 0));
    let broken = SCALE.replace("mul.f32", "frobnicate.f32");
    refused(device.load(&broken, "broken.ptx"), ErrorKind::Module, "frobnicate");
    let headless = SCALE.replace("// grid ", "// girth ");
    refused(device.load(&headless, "headless.ptx"), ErrorKind::Module, "grid");
    refused(device.load("not PTX", "text.ptx"), ErrorKind::Module, "text.ptx");
    let later = SCALE.replace("sm_80", "sm_100a");
    refused(device.load(&later, "later.ptx"), ErrorKind::Module, "sm_100a");
}
