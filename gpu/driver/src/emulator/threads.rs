//! The threads that run kernels. They are none of the program's own rayon threads: a worker that
//! waits takes up other work, which might call the driver and wait for the lock that it holds.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::OnceLock;

/// Runs a kernel on threads of its own; this thread waits without doing other work.
pub(super) fn apart<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let name = |index| format!("emulator {index}");
        ThreadPoolBuilder::new().thread_name(name).build().ok()
    });
    // Where threads cannot be had, the kernel shares those of the program.
    let Some(pool) = pool else { return run() };
    if rayon::current_thread_index().is_none() {
        return pool.install(run);
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| pool.install(run));
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
