//! Aligned working memory of a thread, kept between calls so that kernels do not allocate.

use std::cell::RefCell;

/// Floats in a cache line.
const LINE: usize = 16;

thread_local! {
    static MEMORY: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with `len` floats that start on a cache line and hold stale values.
///
/// Must not be nested, nor may `work` hand tasks to the thread pool: a task that this thread
/// stole would find the memory in use.
pub(crate) fn with_scratch<T>(len: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    MEMORY.with_borrow_mut(|memory| {
        if memory.len() < len + LINE {
            memory.resize(len + LINE, 0.0);
        }
        let skip = memory.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        work(&mut memory[skip..skip + len])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_long_enough_and_kept() {
        for len in [0, 1, 1000, 17] {
            let address = with_scratch(len, |memory| {
                assert_eq!(memory.len(), len);
                memory.fill(1.0);
                memory.as_ptr() as usize
            });
            assert_eq!(address % 64, 0);
        }
        with_scratch(1000, |memory| assert!(memory.iter().all(|&x| x == 1.0)));
    }
}
