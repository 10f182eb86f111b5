//! A mutable slice that tasks write to in parallel, each its own part.

use std::marker::PhantomData;

/// Shared access to a slice whose parts are handed out by the promise that they do not overlap.
///
/// It checks bounds. It does not check that parts are disjoint: that is what the caller of
/// [`Disjoint::part`] answers for.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: parts are disjoint by the contract of `part`, so threads never share an element.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The `len` elements from `start` on.
    ///
    /// # Safety
    /// No other part that is alive at the same time may overlap this one.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(crate) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(
            start <= self.len && len <= self.len - start,
            "part {start}..+{len} of a slice of {}",
            self.len
        );
        // SAFETY: the part lies inside the borrowed slice, and the caller promises that nobody
        // else holds any of it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
