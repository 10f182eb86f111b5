//! Launches: their shape is checked and their arguments are copied when they are asked for; the
//! kernel runs when its turn comes.

use super::function::Function;
use super::queue::{Work, submit};
use super::state::lock;
use super::{Answer, fail};
use crate::abi::{In, LaunchSetup, Raw};
use crate::result::Code;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use vincie_ptx::{LaunchConfig, MAX_CLUSTER, MAX_THREADS};

/// Most CTAs of a cluster that every device of the architecture can run.
const PORTABLE_CLUSTER: u32 = 8;
/// Most CTAs along each axis.
const MAX_GRID: [u32; 3] = [i32::MAX as u32, 65_535, 65_535];
/// Most threads along each axis.
const MAX_BLOCK: [u32; 3] = [1024, 1024, 64];
/// Most attributes of a launch.
const MAX_ATTRIBUTES: u32 = 32;

/// A launch in a stream or a graph.
pub(super) struct LaunchWork {
    pub(super) function: Arc<Function>,
    pub(super) config: LaunchConfig,
    pub(super) arguments: Vec<u8>,
}

#[allow(clippy::too_many_arguments, reason = "these are the driver's")]
pub(crate) fn kernel(
    function: Raw,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared_bytes: u32,
    stream: Raw,
    arguments: In<In<u8>>,
    extra: In<Raw>,
) -> Answer {
    let config = LaunchConfig {
        grid: [grid_x, grid_y, grid_z],
        block: [block_x, block_y, block_z],
        dynamic_shared: shared_bytes as usize,
        ..LaunchConfig::default()
    };
    start(function, config, stream, arguments, extra)
}

pub(crate) fn kernel_with_attributes(
    setup: In<LaunchSetup>,
    function: Raw,
    arguments: In<In<u8>>,
    extra: In<Raw>,
) -> Answer {
    let Some(setup) = setup.get(0) else {
        return fail(Code::INVALID_VALUE, "cuLaunchKernelEx: the setup is null");
    };
    if setup.attribute_count > MAX_ATTRIBUTES {
        let message = format!("{} attributes of a launch", setup.attribute_count);
        return fail(Code::INVALID_VALUE, message);
    }
    let mut config = LaunchConfig {
        grid: setup.grid,
        block: setup.block,
        dynamic_shared: setup.shared_bytes as usize,
        ..LaunchConfig::default()
    };
    for attribute in setup.attributes.all(setup.attribute_count as usize).unwrap_or_default() {
        if let Some(cluster) = attribute.as_cluster() {
            config.cluster = cluster;
        } else if let Some(cooperative) = attribute.as_cooperative() {
            config.cooperative = cooperative;
        } else {
            let message = format!("launch attribute {} is not emulated", attribute.id);
            return fail(Code::NOT_SUPPORTED, message);
        }
    }
    start(function, config, setup.stream, arguments, extra)
}

fn start(
    function: Raw,
    mut config: LaunchConfig,
    stream: Raw,
    arguments: In<In<u8>>,
    extra: In<Raw>,
) -> Answer {
    let function = lock().function(function)?;
    if config.cluster == [1; 3]
        && let Some(required) = function.kernel.directive("reqnctapercluster")
    {
        config.cluster = [0, 1, 2].map(|axis| required.get(axis).copied().unwrap_or(1));
    }
    check(&function, &config)?;
    if !extra.is_null() {
        return fail(Code::NOT_SUPPORTED, "a launch with its arguments in `extra`");
    }
    let mut bytes = vec![0; function.kernel.argument_bytes()];
    for (index, param) in function.kernel.params.iter().enumerate() {
        let value = arguments.get(index).and_then(|argument| argument.all(param.bytes));
        let Some(value) = value else {
            let (name, param) = (&function.kernel.name, &param.name);
            return fail(Code::INVALID_VALUE, format!("{name}: argument {param} is null"));
        };
        bytes[param.offset..param.offset + param.bytes].copy_from_slice(&value);
    }
    submit(stream, |_, device, _| {
        if device != function.device {
            let (name, loaded) = (&function.kernel.name, function.device);
            let message = format!("{name} is loaded on device {loaded}, its stream on {device}");
            return fail(Code::INVALID_HANDLE, message);
        }
        Ok(Work::Launch(Arc::new(LaunchWork { function, config, arguments: bytes })))
    })
    .map(drop)
}

/// Refuses at once what the driver refuses at once.
fn check(function: &Function, config: &LaunchConfig) -> Answer {
    let name = &function.kernel.name;
    let padded = |axes: &[u32]| [0, 1, 2].map(|axis| axes.get(axis).copied().unwrap_or(1));
    let wrong = |what: String| fail(Code::INVALID_VALUE, format!("{name}: {what}"));
    let outside = |sizes: [u32; 3], limits: [u32; 3]| {
        sizes.iter().zip(limits).any(|(size, limit)| !(1..=limit).contains(size))
    };
    if outside(config.grid, MAX_GRID) {
        return wrong(format!("grid {:?}, each 1 to {MAX_GRID:?}", config.grid));
    }
    let threads: u64 = config.block.iter().map(|size| u64::from(*size)).product();
    if outside(config.block, MAX_BLOCK) || threads > u64::from(MAX_THREADS) {
        let block = config.block;
        return wrong(format!("block {block:?}, at most {MAX_THREADS} threads in {MAX_BLOCK:?}"));
    }
    if let Some(required) = function.kernel.directive("reqntid")
        && padded(required) != config.block
    {
        return wrong(format!("block {:?}, the kernel requires {required:?}", config.block));
    }
    if let Some(most) = function.kernel.directive("maxntid")
        && threads > padded(most).iter().map(|size| u64::from(*size)).product()
    {
        return wrong(format!("block {:?}, the kernel allows {most:?}", config.block));
    }
    let limit = function.max_dynamic_shared.load(Relaxed);
    if i64::try_from(config.dynamic_shared).unwrap_or(i64::MAX) > i64::from(limit) {
        let bytes = config.dynamic_shared;
        return wrong(format!(
            "{bytes} bytes of dynamic shared memory; the kernel's attribute allows {limit}"
        ));
    }
    if outside(config.cluster, config.grid)
        || config.grid.iter().zip(config.cluster).any(|(grid, size)| grid % size != 0)
    {
        return wrong(format!("cluster {:?} does not divide {:?}", config.cluster, config.grid));
    }
    if let Some(required) = function.kernel.directive("reqnctapercluster")
        && padded(required) != config.cluster
    {
        return wrong(format!("cluster {:?}, the kernel requires {required:?}", config.cluster));
    }
    let ranks: u64 = config.cluster.iter().map(|size| u64::from(*size)).product();
    let large = function.allows_large_clusters.load(Relaxed);
    let limit = if large { MAX_CLUSTER } else { PORTABLE_CLUSTER };
    if ranks > u64::from(limit) {
        let message = format!("{name}: cluster of {ranks} CTAs; at most {limit}");
        return fail(Code::INVALID_CLUSTER_SIZE, message);
    }
    Ok(())
}
