//! Every kernel through the driver's compiler, which may spend registers in another way than the one
//! that wrote the table.

use crate::bench::gpu_check::protocol::Told;
use crate::bench::gpu_check::report::Status;
use serde::Serialize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;
use vincie_gpu::Device;
use vincie_ptx::catalogue::{Entry, kernels};

/// Most threads that compile at once.
const MOST_THREADS: usize = 8;

/// One kernel, compiled.
#[derive(Debug, Serialize)]
struct Loaded {
    name: &'static str,
    registers: Option<u32>,
    local_bytes: Option<u32>,
    ms: f64,
}

pub(super) fn run(device: &Device, op: &str) -> Told {
    let is_ours = |entry: &&Entry| entry.op == op && device.limits().runs(&entry.arch);
    let entries: Vec<&'static Entry> = kernels().iter().filter(is_ours).collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new((Vec::new(), Vec::new())));
    let work = || {
        while let Some(entry) = entries.get(next.fetch_add(1, Relaxed)) {
            let begun = Instant::now();
            let kernel = device
                .load(entry.text(), &entry.file)
                .and_then(|module| module.kernel(&entry.name));
            let ms = (begun.elapsed().as_secs_f64() * 1e4).round() / 10.0;
            let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match kernel {
                Ok(kernel) => results.0.push(Loaded {
                    name: &entry.name,
                    registers: kernel.registers(),
                    local_bytes: kernel.local_bytes(),
                    ms,
                }),
                Err(error) => results.1.push(format!("{}: {error}", entry.name)),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (mut loaded, mut failed) =
        results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    loaded.sort_by_key(|kernel| kernel.name);
    failed.sort();
    let spilled: Vec<&str> = loaded
        .iter()
        .filter(|kernel| kernel.local_bytes.is_some_and(|bytes| bytes > 0))
        .map(|kernel| kernel.name)
        .collect();
    let mut told = Told::passed();
    told.detail("kernels", &loaded);
    if let Some(first) = failed.first() {
        told.detail("wrong", &failed);
        return told.because(Status::Fails, first);
    }
    match spilled.first() {
        Some(first) => {
            let count = spilled.len();
            told.because(Status::Differs, format!("{count} with local memory, first {first}"))
        }
        None => told,
    }
}
