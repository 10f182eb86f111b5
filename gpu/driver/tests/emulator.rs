//! The emulated driver through the calls that programs make. Every test has a device of its own,
//! as faults and memory belong to a device.

use std::ffi::CStr;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use vincie_driver::{
    Attribute, Code, Driver, In, LaunchSetup, Out, Raw, Text, call, emulator, message, select,
};

const DEVICES: usize = 40;

/// Adds `bias` to `count` numbers; nothing guards threads beyond the grid's last CTA.
const ADD: &CStr = c".version 8.0
.target sm_80
.address_size 64
.visible .entry add(.param .u64 data, .param .f32 bias, .param .u32 count)
{
  .reg .pred %p; .reg .f32 %f<3>; .reg .b32 %r<6>; .reg .b64 %d<4>;
  ld.param.u64 %d1, [data]; ld.param.f32 %f1, [bias]; ld.param.u32 %r1, [count];
  mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;
  mad.lo.u32 %r5, %r2, %r3, %r4;
  setp.ge.u32 %p, %r5, %r1;
  @%p bra done;
  mul.wide.u32 %d2, %r5, 4; add.u64 %d3, %d1, %d2;
  ld.global.f32 %f2, [%d3]; add.f32 %f2, %f2, %f1; st.global.f32 [%d3], %f2;
done:
  ret;
}
";

/// A device that no other test has, with its context current.
fn device() -> i32 {
    static START: Once = Once::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    START.call_once(|| {
        let config = emulator::Config {
            devices: DEVICES,
            memory_bytes: 1 << 20,
            ..emulator::Config::default()
        };
        emulator::start(config).expect("nothing was called before");
    });
    let device = NEXT.fetch_add(1, Ordering::Relaxed) as i32;
    enter(device);
    device
}

/// Makes a device's context current.
fn enter(device: i32) -> Raw {
    select(Driver::Emulator);
    let mut context = std::ptr::null_mut();
    // SAFETY: the result has room.
    unsafe {
        ok(call::cuDevicePrimaryCtxRetain(Out::to(&mut context), device));
        ok(call::cuCtxSetCurrent(context));
    }
    context
}

#[track_caller]
fn ok(code: Code) {
    assert_eq!(code, Code::SUCCESS, "{:?}", message());
}

#[track_caller]
fn refused(code: Code, want: Code, part: &str) {
    let message = message().unwrap_or_default();
    assert_eq!(code, want, "{message}");
    assert!(message.contains(part), "`{part}` is missing in: {message}");
}

fn allocate(bytes: usize) -> u64 {
    let mut at = 0;
    // SAFETY: the result has room.
    ok(unsafe { call::cuMemAlloc_v2(Out::to(&mut at), bytes) });
    at
}

fn write(at: u64, values: &[f32]) {
    // SAFETY: as many bytes are read as there are.
    ok(unsafe { call::cuMemcpyHtoD_v2(at, In::at(values.as_ptr() as usize), values.len() * 4) });
}

fn read(at: u64, count: usize) -> Vec<f32> {
    let mut values = vec![0.0f32; count];
    // SAFETY: as many bytes are written as there is room for.
    ok(unsafe { call::cuMemcpyDtoH_v2(Out::at(values.as_mut_ptr().cast()), at, count * 4) });
    values
}

fn stream(flags: u32) -> Raw {
    let mut stream = std::ptr::null_mut();
    // SAFETY: the result has room.
    ok(unsafe { call::cuStreamCreate(Out::to(&mut stream), flags) });
    stream
}

fn event(flags: u32) -> Raw {
    let mut event = std::ptr::null_mut();
    // SAFETY: the result has room.
    ok(unsafe { call::cuEventCreate(Out::to(&mut event), flags) });
    event
}

fn synchronize(stream: Raw) -> Code {
    // SAFETY: handles are checked.
    unsafe { call::cuStreamSynchronize(stream) }
}

fn function(text: &CStr, name: &CStr) -> Raw {
    let (mut module, mut function) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: results have room and texts end with a zero byte.
    unsafe {
        ok(call::cuModuleLoadData(Out::to(&mut module), Text::from(text)));
        ok(call::cuModuleGetFunction(Out::to(&mut function), module, Text::from(name)));
    }
    function
}

fn launch_add(function: Raw, stream: Raw, at: u64, bias: f32, count: u32) -> Code {
    let arguments = [
        In::<u8>::at(&raw const at as usize),
        In::at(&raw const bias as usize),
        In::at(&raw const count as usize),
    ];
    let (grid, block) = (count.div_ceil(64), 64);
    // SAFETY: there is one pointer for each parameter, to a value of its size.
    unsafe {
        let arguments = In::from(&arguments);
        call::cuLaunchKernel(function, grid, 1, 1, block, 1, 1, 0, stream, arguments, In::none())
    }
}

#[test]
fn devices_say_what_they_are() {
    let device = device();
    let (mut value, mut bytes, mut name) = (0, 0, [0u8; 64]);
    // SAFETY: results have room.
    unsafe {
        ok(call::cuDeviceGetAttribute(Out::to(&mut value), 75, device));
        ok(call::cuDeviceTotalMem_v2(Out::to(&mut bytes), device));
        ok(call::cuDeviceGetName(Out::at(name.as_mut_ptr()), 64, device));
        refused(
            call::cuDeviceGetAttribute(Out::to(&mut value), 9999, device),
            Code::INVALID_VALUE,
            "9999",
        );
        refused(call::cuDeviceGet(Out::to(&mut value), 40), Code::INVALID_DEVICE, "40");
        refused(call::cuCtxSetLimit(0, 1), Code::NOT_SUPPORTED, "cuCtxSetLimit");
    }
    assert_eq!((value, bytes), (9, 1 << 20));
    assert!(name.starts_with(b"emulated sm_90\0"));
    assert!(emulator::start(emulator::Config::default()).is_err());
}

#[test]
fn memory_has_a_limit_and_bounds() {
    device();
    let first = allocate(1 << 19);
    let mut at = 0;
    // SAFETY: the result has room.
    unsafe {
        refused(
            call::cuMemAlloc_v2(Out::to(&mut at), (1 << 19) + 1),
            Code::OUT_OF_MEMORY,
            "524288 of 1048576 in use",
        );
        refused(call::cuMemAlloc_v2(Out::to(&mut at), 0), Code::INVALID_VALUE, "0 bytes");
        refused(call::cuMemsetD8_v2(first, 1, (1 << 19) + 1), Code::INVALID_VALUE, "524289");
        ok(call::cuMemsetD32_v2(first, 1.5f32.to_bits(), 3));
        assert_eq!(read(first, 3), [1.5; 3]);
        let (mut base, mut size) = (0, 0);
        ok(call::cuMemGetAddressRange_v2(Out::to(&mut base), Out::to(&mut size), first + 7));
        assert_eq!((base, size), (first, 1 << 19));
        ok(call::cuMemFree_v2(first));
        refused(call::cuMemFree_v2(first), Code::INVALID_VALUE, "no allocation starts");
    }
}

#[test]
fn streams_do_their_work_in_order_and_late() {
    device();
    let add = function(ADD, c"add");
    let (first, second, reached) = (stream(1), stream(1), event(2));
    let at = allocate(400);
    write(at, &[1.0; 100]);
    // Nothing waits for the stream, so a copy that does not either sees the old values.
    ok(launch_add(add, first, at, 2.0, 100));
    assert_eq!(read(at, 100), [1.0; 100]);
    // SAFETY: handles are checked.
    unsafe {
        ok(call::cuEventRecord(reached, first));
        ok(call::cuStreamWaitEvent(second, reached, 0));
    }
    ok(launch_add(add, second, at, 4.0, 99));
    ok(synchronize(second));
    let mut want = vec![7.0; 99];
    want.push(3.0);
    assert_eq!(read(at, 100), want);
    // The default stream and blocking ones wait for each other.
    let blocking = stream(0);
    ok(launch_add(add, blocking, at, 1.0, 1));
    assert_eq!(read(at, 1), [8.0]);
    assert!(emulator::counters(usize::MAX).is_empty());
}

#[test]
fn events_tell_time_and_survive_their_destruction() {
    device();
    let (start, end, stream) = (event(0), event(0), stream(1));
    let mut milliseconds = -1.0;
    // SAFETY: handles are checked and the result has room.
    unsafe {
        let elapsed = call::cuEventElapsedTime(Out::to(&mut milliseconds), start, end);
        refused(elapsed, Code::INVALID_HANDLE, "recorded");
        ok(call::cuEventRecord(start, stream));
        ok(call::cuEventRecord(end, stream));
        let elapsed = call::cuEventElapsedTime(Out::to(&mut milliseconds), start, end);
        refused(elapsed, Code::NOT_READY, "not reached");
        ok(call::cuEventSynchronize(end));
        ok(call::cuEventElapsedTime(Out::to(&mut milliseconds), start, end));
        ok(call::cuEventRecord(end, stream));
        ok(call::cuEventDestroy_v2(end));
        refused(call::cuEventQuery(end), Code::INVALID_HANDLE, "no emulated event");
    }
    ok(synchronize(stream));
    assert!(milliseconds >= 0.0);
}

#[test]
fn a_finding_is_a_fault_that_stays_until_the_context_is_reset() {
    let device = device();
    let add = function(ADD, c"add");
    let at = allocate(400);
    write(at, &[1.0; 100]);
    let stream = stream(1);
    ok(launch_add(add, stream, at, 2.0, 101));
    refused(synchronize(stream), Code::ILLEGAL_ADDRESS, "oob-read: add line 13");
    refused(launch_add(add, stream, at, 2.0, 1), Code::ILLEGAL_ADDRESS, "oob-read");
    let fault = emulator::fault(device as usize).expect("there is one");
    assert_eq!(fault.kernel, "add");
    assert!(!fault.findings.is_empty() && fault.code.is_sticky());
    // SAFETY: no arguments.
    ok(unsafe { call::cuDevicePrimaryCtxReset_v2(device) });
    assert!(emulator::fault(device as usize).is_none());
    write(allocate(4), &[1.0]);
}

#[test]
fn bad_ptx_says_where_in_the_log() {
    device();
    let text = c".version 8.0
.target sm_80
.address_size 64
.visible .entry z()
{
  .reg .f32 %f0; frobnicate.f32 %f0;
  ret;
}
";
    let (mut info, mut error) = ([1u8; 256], [1u8; 256]);
    let options = [3, 4, 5, 6];
    let mut values = [info.as_mut_ptr() as usize, 256, error.as_mut_ptr() as usize, 256];
    let mut module = std::ptr::null_mut();
    // SAFETY: there are as many values as options, and the buffers have the sizes given.
    let code = unsafe {
        let (options, values) = (In::from(&options), Out::at(values.as_mut_ptr()));
        call::cuModuleLoadDataEx(Out::to(&mut module), Text::from(text), 4, options, values)
    };
    refused(code, Code::INVALID_PTX, "6");
    let log = CStr::from_bytes_until_nul(&error).expect("the log ends").to_string_lossy();
    assert!(log.contains(":6:") && log.contains("frobnicate"), "{log}");
    assert!(values[3] > 0 && values[3] < 256);
    // SAFETY: as above.
    let code = unsafe { call::cuModuleLoadData(Out::to(&mut module), Text::from(c"\x7fELF")) };
    refused(code, Code::NO_BINARY_FOR_GPU, "cubin");
}

#[test]
fn launches_are_refused_at_once_where_hardware_refuses_them() {
    device();
    let add = function(ADD, c"add");
    let stream = stream(1);
    refused(launch_add(add, stream, 0, 0.0, 0), Code::INVALID_VALUE, "grid [0, 1, 1]");
    refused(launch_add(std::ptr::null_mut(), stream, 0, 0.0, 1), Code::INVALID_HANDLE, "kernel");
    // SAFETY: handles are checked.
    unsafe {
        refused(call::cuFuncSetAttribute(add, 8, 232_449), Code::INVALID_VALUE, "232448");
        ok(call::cuFuncSetAttribute(add, 8, 232_448));
        let mut registers = 0;
        let attribute = call::cuFuncGetAttribute(Out::to(&mut registers), 4, add);
        refused(attribute, Code::NOT_SUPPORTED, "registers");
    }
    for (cluster, code) in [(3, Code::INVALID_VALUE), (16, Code::INVALID_CLUSTER_SIZE)] {
        let attributes = [Attribute::cluster([cluster, 1, 1])];
        let setup = LaunchSetup {
            grid: [16, 1, 1],
            block: [32, 1, 1],
            shared_bytes: 0,
            stream,
            attributes: In::from(&attributes),
            attribute_count: 1,
        };
        // SAFETY: the launch is refused before its arguments are read.
        let result =
            unsafe { call::cuLaunchKernelEx(In::from(&[setup]), add, In::none(), In::none()) };
        refused(result, code, "cluster");
    }
}

#[test]
fn peers_must_be_enabled() {
    let (first, second) = (device(), device());
    let theirs = allocate(400);
    write(theirs, &[5.0; 100]);
    let their_context = enter(second);
    enter(first);
    let mine = allocate(400);
    // SAFETY: addresses and handles are checked.
    unsafe {
        let copy = call::cuMemcpyDtoD_v2(mine, theirs, 400);
        refused(copy, Code::PEER_ACCESS_NOT_ENABLED, "no access");
        ok(call::cuCtxEnablePeerAccess(their_context, 0));
        let again = call::cuCtxEnablePeerAccess(their_context, 0);
        refused(again, Code::PEER_ACCESS_ALREADY_ENABLED, "already");
        ok(call::cuMemcpyDtoD_v2(mine, theirs, 400));
    }
    assert_eq!(read(mine, 100), [5.0; 100]);
    let add = function(ADD, c"add");
    let stream = stream(1);
    ok(launch_add(add, stream, theirs, 1.0, 100));
    ok(synchronize(stream));
    assert_eq!(read(theirs, 100), [6.0; 100]);
    // SAFETY: the handle is checked.
    ok(unsafe { call::cuCtxDisablePeerAccess(their_context) });
    ok(launch_add(add, stream, theirs, 1.0, 100));
    refused(synchronize(stream), Code::ILLEGAL_ADDRESS, "peer-access");
    // The peer itself is none the worse.
    enter(second);
    assert_eq!(read(theirs, 100), [6.0; 100]);
}

#[test]
fn a_forked_capture_is_one_graph_and_an_unjoined_one_is_none() {
    device();
    let add = function(ADD, c"add");
    let at = allocate(8);
    write(at, &[0.0, 0.0]);
    let (origin, fork, forked, joined) = (stream(1), stream(1), event(2), event(2));
    let (mut graph, mut executable) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: handles are checked and results have room.
    unsafe {
        for is_joined in [true, false] {
            ok(call::cuStreamBeginCapture_v2(origin, 0));
            ok(call::cuEventRecord(forked, origin));
            ok(call::cuStreamWaitEvent(fork, forked, 0));
            ok(launch_add(add, fork, at, 1.0, 1));
            ok(launch_add(add, origin, at + 4, 2.0, 1));
            ok(call::cuEventRecord(joined, fork));
            if is_joined {
                ok(call::cuStreamWaitEvent(origin, joined, 0));
            }
            let end = call::cuStreamEndCapture(origin, Out::to(&mut graph));
            if is_joined {
                ok(end);
                let mut nodes = 0;
                ok(call::cuGraphGetNodes(graph, Out::none(), Out::to(&mut nodes)));
                assert_eq!(nodes, 2);
                let instance = Out::to(&mut executable);
                ok(call::cuGraphInstantiateWithFlags(instance, graph, 0));
            } else {
                refused(end, Code::STREAM_CAPTURE_UNJOINED, "1 forked");
            }
        }
        assert_eq!(read(at, 2), [0.0, 0.0]);
        for _ in 0..3 {
            ok(call::cuGraphLaunch(executable, origin));
        }
        ok(synchronize(origin));
        assert_eq!(read(at, 2), [3.0, 6.0]);
        ok(call::cuStreamBeginCapture_v2(origin, 0));
        let early = synchronize(origin);
        refused(early, Code::STREAM_CAPTURE_UNSUPPORTED, "captures");
        let end = call::cuStreamEndCapture(origin, Out::to(&mut graph));
        refused(end, Code::STREAM_CAPTURE_INVALIDATED, "broke");
    }
}

#[test]
fn host_functions_and_pinned_memory_wait_their_turn() {
    unsafe extern "C" fn double(data: Raw) {
        // SAFETY: the test passes a pinned number that lives until the stream is done.
        unsafe { *data.cast::<f32>() *= 2.0 };
    }
    device();
    let at = allocate(4);
    let stream = stream(1);
    let mut place: Raw = std::ptr::null_mut();
    // SAFETY: the pinned range has 4 bytes and lives until it is freed below.
    unsafe {
        ok(call::cuMemHostAlloc(Out::to(&mut place), 4, 0));
        place.cast::<f32>().write(1.0);
        ok(call::cuLaunchHostFunc(stream, Some(double), place));
        ok(call::cuMemcpyHtoDAsync_v2(at, In::at(place as usize), 4, stream));
        place.cast::<f32>().write(21.0);
        ok(synchronize(stream));
        assert_eq!(read(at, 1), [42.0]);
        let mut kind = 0u64;
        ok(call::cuPointerGetAttribute(Out::to(&mut kind), 2, at));
        assert_eq!(kind, 2);
        ok(call::cuPointerGetAttribute(Out::to(&mut kind), 2, place as u64));
        assert_eq!(kind, 1);
        ok(call::cuMemFreeHost(place));
        refused(call::cuMemFreeHost(place), Code::INVALID_VALUE, "no such pinned");
    }
}

#[test]
fn the_library_answers_threads_that_did_not_select_the_emulator() {
    // On a machine with a driver the count is its own; elsewhere the code says what is missing.
    std::thread::spawn(|| {
        let mut count = -1;
        // SAFETY: the result has room.
        let code = unsafe { call::cuDeviceGetCount(Out::to(&mut count)) };
        if vincie_driver::library().is_found() {
            assert!(count < DEVICES as i32);
        } else {
            assert_eq!(code, Code::SHARED_OBJECT_INIT_FAILED);
            assert!(!vincie_driver::library().tried.is_empty());
        }
    })
    .join()
    .expect("the thread does not panic");
}
