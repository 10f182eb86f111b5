//! The table of calls: one line each, with the function of the emulated driver that answers it.
//! From a line come a symbol under the driver's name, for `cust`, and a function in [`call`] for
//! our own code. Both ask the driver that the thread selected; the symbol folds codes that
//! `cust` cannot hold, the function gives them unchanged.
//!
//! A line without `=>` is a call that the emulated driver refuses with `NOT_SUPPORTED`.

use crate::abi::{HostFunction, In, LaunchSetup, MemcpyRows, Out, Raw, TensorMap, Text};
use crate::emulator::{self, Answer, Failure};
use crate::library::library;
use crate::result::{Code, remember};
use crate::select::{Driver, selected};
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Address of a library's function, kept from the first call on.
struct Slot(AtomicPtr<c_void>);

impl Slot {
    fn find(&self, name: &CStr) -> Result<*mut c_void, Code> {
        let known = self.0.load(Ordering::Acquire);
        if !known.is_null() {
            return Ok(known);
        }
        let address = library().function(name)?;
        self.0.store(address, Ordering::Release);
        Ok(address)
    }
}

fn report(answer: Answer) -> Code {
    match answer {
        Ok(()) => Code::SUCCESS,
        Err(Failure { code, message }) => Code(remember(code, message)),
    }
}

macro_rules! emulated {
    ($name:ident, [$($arg:ident)*]) => {
        emulator::refuse(stringify!($name))
    };
    ($name:ident, [$($arg:ident)*] $module:ident :: $answer:ident) => {
        emulator::$module::$answer($($arg),*)
    };
}

macro_rules! calls {
    ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(=> $module:ident :: $answer:ident)?;)+) => {
        /// Names of all calls in the table.
        pub const NAMES: &[&str] = &[$(stringify!($name)),+];

        /// The driver's calls under their own names, with unchanged result codes.
        #[allow(non_snake_case, unused_variables, clippy::too_many_arguments)]
        pub mod call {
            use super::*;
            $(
                #[doc = concat!("The driver's `", stringify!($name), "`.")]
                ///
                /// # Safety
                /// Pointers and handles are what the driver's documentation of the call asks for.
                pub unsafe fn $name($($arg: $ty),*) -> Code {
                    if selected() == Driver::Emulator {
                        return report(emulated!($name, [$($arg)*] $($module :: $answer)?));
                    }
                    static SLOT: Slot = Slot(AtomicPtr::new(std::ptr::null_mut()));
                    const NAME: &CStr = super::zero_ended(concat!(stringify!($name), "\0"));
                    let address = match SLOT.find(NAME) {
                        Ok(address) => address,
                        Err(code) => return Code(remember(code, None)),
                    };
                    type Function = unsafe extern "C" fn($($ty),*) -> i32;
                    // SAFETY: the library's function of this name has this signature; the wrapped
                    // pointers of the table are passed as plain ones.
                    let function = unsafe { std::mem::transmute::<*mut c_void, Function>(address) };
                    // SAFETY: the caller promised what the driver asks for.
                    Code(remember(Code(unsafe { function($($arg),*) }), None))
                }
            )+
        }

        #[allow(non_snake_case, improper_ctypes_definitions, clippy::too_many_arguments)]
        mod symbols {
            use super::*;
            $(
                // SAFETY: no other library in the program defines the symbol, as the driver's own
                // is opened at run time and without its names.
                #[unsafe(no_mangle)]
                unsafe extern "C" fn $name($($arg: $ty),*) -> i32 {
                    // SAFETY: the caller promised what the driver asks for.
                    unsafe { call::$name($($arg),*) }.folded()
                }
            )+
        }
    };
}

/// A name with its zero byte as C wants it.
const fn zero_ended(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("the name ends with its only zero byte"),
    }
}

calls! {
    // The driver and its devices.
    fn cuInit(flags: u32) => device::initialise;
    fn cuDriverGetVersion(version: Out<i32>) => device::driver_version;
    fn cuDeviceGetCount(count: Out<i32>) => device::count;
    fn cuDeviceGet(device: Out<i32>, ordinal: i32) => device::get;
    fn cuDeviceGetName(name: Out<u8>, bytes: i32, device: i32) => device::name;
    fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: i32) => device::total_memory;
    fn cuDeviceGetAttribute(value: Out<i32>, attribute: i32, device: i32) => device::attribute;
    fn cuDeviceGetUuid_v2(uuid: Out<[u8; 16]>, device: i32) => device::uuid;
    fn cuDeviceCanAccessPeer(can: Out<i32>, device: i32, peer: i32) => device::can_access_peer;

    // Contexts.
    fn cuDevicePrimaryCtxRetain(context: Out<Raw>, device: i32) => context::retain;
    fn cuDevicePrimaryCtxRelease_v2(device: i32) => context::release;
    fn cuDevicePrimaryCtxReset_v2(device: i32) => context::reset;
    fn cuDevicePrimaryCtxSetFlags_v2(device: i32, flags: u32) => context::set_flags;
    fn cuDevicePrimaryCtxGetState(device: i32, flags: Out<u32>, active: Out<i32>) => context::state;
    fn cuCtxCreate_v2(context: Out<Raw>, flags: u32, device: i32);
    fn cuCtxDestroy_v2(context: Raw);
    fn cuCtxSetCurrent(context: Raw) => context::set_current;
    fn cuCtxGetCurrent(context: Out<Raw>) => context::get_current;
    fn cuCtxPushCurrent_v2(context: Raw) => context::push;
    fn cuCtxPopCurrent_v2(context: Out<Raw>) => context::pop;
    fn cuCtxGetDevice(device: Out<i32>) => context::device;
    fn cuCtxGetFlags(flags: Out<u32>) => context::flags;
    fn cuCtxGetApiVersion(context: Raw, version: Out<u32>) => context::api_version;
    fn cuCtxSynchronize() => context::synchronize;
    fn cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) => context::priorities;
    fn cuCtxGetLimit(value: Out<usize>, limit: i32);
    fn cuCtxSetLimit(limit: i32, value: usize);
    fn cuCtxGetCacheConfig(config: Out<i32>);
    fn cuCtxSetCacheConfig(config: i32);
    fn cuCtxGetSharedMemConfig(config: Out<i32>);
    fn cuCtxSetSharedMemConfig(config: i32);
    fn cuCtxEnablePeerAccess(peer: Raw, flags: u32) => context::enable_peer;
    fn cuCtxDisablePeerAccess(peer: Raw) => context::disable_peer;

    // Device memory.
    fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) => memory::info;
    fn cuMemAlloc_v2(at: Out<u64>, bytes: usize) => memory::allocate;
    fn cuMemFree_v2(at: u64) => memory::free;
    fn cuMemAllocAsync(at: Out<u64>, bytes: usize, stream: Raw) => memory::allocate_async;
    fn cuMemFreeAsync(at: u64, stream: Raw) => memory::free_async;
    fn cuMemGetAddressRange_v2(base: Out<u64>, bytes: Out<usize>, at: u64) => memory::range;
    fn cuPointerGetAttribute(value: Out<u64>, attribute: i32, at: u64) => memory::pointer_attribute;
    fn cuDeviceGetDefaultMemPool(pool: Out<Raw>, device: i32) => memory::default_pool;
    fn cuMemPoolSetAttribute(pool: Raw, attribute: i32, value: Out<u64>) => memory::set_pool_attribute;
    fn cuMemPoolGetAttribute(pool: Raw, attribute: i32, value: Out<u64>) => memory::pool_attribute;
    fn cuMemPoolTrimTo(pool: Raw, bytes: usize) => memory::trim_pool;
    fn cuMemAllocManaged(at: Out<u64>, bytes: usize, flags: u32);
    fn cuMemAdvise(at: u64, bytes: usize, advice: i32, device: i32);
    fn cuMemPrefetchAsync(at: u64, bytes: usize, device: i32, stream: Raw);

    // Host memory.
    fn cuMemAllocHost_v2(at: Out<Raw>, bytes: usize) => host::allocate;
    fn cuMemHostAlloc(at: Out<Raw>, bytes: usize, flags: u32) => host::allocate_flags;
    fn cuMemFreeHost(at: Raw) => host::free;
    fn cuMemHostRegister_v2(at: Raw, bytes: usize, flags: u32) => host::register;
    fn cuMemHostUnregister(at: Raw) => host::unregister;

    // Copies and fills.
    fn cuMemcpyHtoD_v2(to: u64, from: In<u8>, bytes: usize) => copy::to_device;
    fn cuMemcpyDtoH_v2(to: Out<u8>, from: u64, bytes: usize) => copy::to_host;
    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) => copy::on_device;
    fn cuMemcpyHtoDAsync_v2(to: u64, from: In<u8>, bytes: usize, stream: Raw) => copy::to_device_async;
    fn cuMemcpyDtoHAsync_v2(to: Out<u8>, from: u64, bytes: usize, stream: Raw) => copy::to_host_async;
    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Raw) => copy::on_device_async;
    fn cuMemcpyPeer(to: u64, to_context: Raw, from: u64, from_context: Raw, bytes: usize) => copy::peer;
    fn cuMemcpyPeerAsync(to: u64, to_context: Raw, from: u64, from_context: Raw, bytes: usize, stream: Raw) => copy::peer_async;
    fn cuMemcpy2D_v2(copy: In<MemcpyRows>) => copy::rows;
    fn cuMemsetD8_v2(at: u64, value: u8, count: usize) => fill::bytes;
    fn cuMemsetD16_v2(at: u64, value: u16, count: usize) => fill::halves;
    fn cuMemsetD32_v2(at: u64, value: u32, count: usize) => fill::words;
    fn cuMemsetD8Async(at: u64, value: u8, count: usize, stream: Raw) => fill::bytes_async;
    fn cuMemsetD16Async(at: u64, value: u16, count: usize, stream: Raw) => fill::halves_async;
    fn cuMemsetD32Async(at: u64, value: u32, count: usize, stream: Raw) => fill::words_async;

    // Streams and events.
    fn cuStreamCreate(stream: Out<Raw>, flags: u32) => stream::create;
    fn cuStreamCreateWithPriority(stream: Out<Raw>, flags: u32, priority: i32) => stream::create_with_priority;
    fn cuStreamDestroy_v2(stream: Raw) => stream::destroy;
    fn cuStreamGetFlags(stream: Raw, flags: Out<u32>) => stream::flags;
    fn cuStreamGetPriority(stream: Raw, priority: Out<i32>) => stream::priority;
    fn cuStreamSynchronize(stream: Raw) => stream::synchronize;
    fn cuStreamQuery(stream: Raw) => stream::query;
    fn cuStreamWaitEvent(stream: Raw, event: Raw, flags: u32) => stream::wait_event;
    fn cuLaunchHostFunc(stream: Raw, function: Option<HostFunction>, data: Raw) => stream::host_function;
    fn cuEventCreate(event: Out<Raw>, flags: u32) => event::create;
    fn cuEventDestroy_v2(event: Raw) => event::destroy;
    fn cuEventRecord(event: Raw, stream: Raw) => event::record;
    fn cuEventQuery(event: Raw) => event::query;
    fn cuEventSynchronize(event: Raw) => event::synchronize;
    fn cuEventElapsedTime(milliseconds: Out<f32>, start: Raw, end: Raw) => event::elapsed;

    // Modules and functions.
    fn cuModuleLoad(module: Out<Raw>, path: Text) => module::load_file;
    fn cuModuleLoadData(module: Out<Raw>, image: Text) => module::load;
    fn cuModuleLoadDataEx(module: Out<Raw>, image: Text, count: u32, options: In<i32>, values: Out<usize>) => module::load_with_options;
    fn cuModuleUnload(module: Raw) => module::unload;
    fn cuModuleGetFunction(function: Out<Raw>, module: Raw, name: Text) => module::function;
    fn cuModuleGetGlobal_v2(at: Out<u64>, bytes: Out<usize>, module: Raw, name: Text) => module::global;
    fn cuFuncGetAttribute(value: Out<i32>, attribute: i32, function: Raw) => function::attribute;
    fn cuFuncSetAttribute(function: Raw, attribute: i32, value: i32) => function::set_attribute;
    fn cuFuncSetCacheConfig(function: Raw, config: i32) => function::set_cache_config;
    fn cuFuncSetSharedMemConfig(function: Raw, config: i32);
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(count: Out<i32>, function: Raw, threads: i32, shared_bytes: usize);
    fn cuOccupancyMaxPotentialBlockSize(grid: Out<i32>, block: Out<i32>, function: Raw, shared: Raw, shared_bytes: usize, limit: i32);
    fn cuOccupancyAvailableDynamicSMemPerBlock(bytes: Out<usize>, function: Raw, count: i32, threads: i32);
    fn cuLinkCreate_v2(count: u32, options: In<i32>, values: Out<usize>, state: Out<Raw>);
    fn cuLinkAddData_v2(state: Raw, kind: i32, data: Raw, bytes: usize, name: Text, count: u32, options: In<i32>, values: Out<usize>);
    fn cuLinkComplete(state: Raw, image: Out<Raw>, bytes: Out<usize>);
    fn cuLinkDestroy(state: Raw);

    // Launches.
    fn cuLaunchKernel(function: Raw, grid_x: u32, grid_y: u32, grid_z: u32, block_x: u32, block_y: u32, block_z: u32, shared_bytes: u32, stream: Raw, arguments: In<In<u8>>, extra: In<Raw>) => launch::kernel;
    fn cuLaunchKernelEx(setup: In<LaunchSetup>, function: Raw, arguments: In<In<u8>>, extra: In<Raw>) => launch::kernel_with_attributes;
    fn cuTensorMapEncodeTiled(map: Out<TensorMap>, element: i32, rank: u32, at: u64, dims: In<u64>, strides: In<u64>, tile: In<u32>, element_strides: In<u32>, interleave: i32, swizzle: i32, promotion: i32, fill: i32) => tensor_map::encode;

    // Graphs.
    fn cuStreamBeginCapture_v2(stream: Raw, mode: i32) => capture::begin;
    fn cuStreamEndCapture(stream: Raw, graph: Out<Raw>) => capture::end;
    fn cuStreamIsCapturing(stream: Raw, status: Out<i32>) => capture::status;
    fn cuGraphCreate(graph: Out<Raw>, flags: u32) => graph::create;
    fn cuGraphDestroy(graph: Raw) => graph::destroy;
    fn cuGraphGetNodes(graph: Raw, nodes: Out<Raw>, count: Out<usize>) => graph::nodes;
    fn cuGraphInstantiateWithFlags(executable: Out<Raw>, graph: Raw, flags: u64) => graph::instantiate;
    fn cuGraphExecUpdate(executable: Raw, graph: Raw, node: Out<Raw>, result: Out<i32>) => graph::update;
    fn cuGraphExecDestroy(executable: Raw) => graph::destroy_executable;
    fn cuGraphLaunch(executable: Raw, stream: Raw) => graph::launch;
    fn cuGraphAddKernelNode(node: Out<Raw>, graph: Raw, after: In<Raw>, count: usize, parameters: Raw);
    fn cuGraphDebugDotPrint(graph: Raw, path: Text, flags: u32);
    fn cuGraphGetEdges(graph: Raw, from: Out<Raw>, to: Out<Raw>, count: Out<usize>);
    fn cuGraphKernelNodeGetParams(node: Raw, parameters: Raw);
    fn cuGraphNodeGetType(node: Raw, kind: Out<i32>);

    // Arrays, textures, surfaces and memory of other programs, which `cust` refers to.
    fn cuArray3DCreate_v2(array: Out<Raw>, descriptor: Raw);
    fn cuArray3DGetDescriptor_v2(descriptor: Raw, array: Raw);
    fn cuArrayDestroy(array: Raw);
    fn cuMemcpyAtoH_v2(to: Raw, array: Raw, offset: usize, bytes: usize);
    fn cuMemcpyHtoA_v2(array: Raw, offset: usize, from: Raw, bytes: usize);
    fn cuSurfObjectCreate(surface: Out<u64>, resource: Raw);
    fn cuSurfObjectDestroy(surface: u64);
    fn cuSurfObjectGetResourceDesc(resource: Raw, surface: u64);
    fn cuTexObjectCreate(texture: Out<u64>, resource: Raw, description: Raw, view: Raw);
    fn cuTexObjectDestroy(texture: u64);
    fn cuTexObjectGetResourceDesc(resource: Raw, texture: u64);
    fn cuTexObjectGetResourceViewDesc(view: Raw, texture: u64);
    fn cuImportExternalMemory(memory: Out<Raw>, description: Raw);
    fn cuDestroyExternalMemory(memory: Raw);
    fn cuExternalMemoryGetMappedBuffer(at: Out<u64>, memory: Raw, description: Raw);
}

/// The text of a code, for any code and without any driver: `cust` panics where this fails.
///
/// # Safety
/// `text` is null or valid for a write.
// SAFETY: the symbol is defined once, as those of the table are.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
unsafe extern "C" fn cuGetErrorString(code: i32, text: Out<*const c_char>) -> i32 {
    text.put(Code(code).text().as_ptr());
    0
}

/// The name of a code, for any code and without any driver.
///
/// # Safety
/// `name` is null or valid for a write.
// SAFETY: the symbol is defined once, as those of the table are.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
unsafe extern "C" fn cuGetErrorName(code: i32, name: Out<*const c_char>) -> i32 {
    name.put(Code(code).name().as_ptr());
    0
}
