//! Stands in for the crate of this name, which holds one trait. That one implements it for the
//! types of three linear algebra libraries, which `cust` gives no way to leave out and nothing
//! here uses; this one implements it for numbers and what is made of them.

pub use cust_derive::DeviceCopyCore as DeviceCopy;
pub use hidden::*;

#[doc(hidden)]
pub use hidden as _hidden;

#[doc(hidden)]
pub mod hidden {
    use std::marker::PhantomData;

    /// Types whose values can be copied to and from a device byte by byte.
    ///
    /// # Safety
    /// The type holds no pointer to memory of the host.
    pub unsafe trait DeviceCopy: Copy {}

    macro_rules! numbers {
        ($($name:ty)*) => {
            // SAFETY: a number holds no pointer.
            $(unsafe impl DeviceCopy for $name {})*
        };
    }

    numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 bool char);

    // SAFETY: there is no value in it.
    unsafe impl<T: ?Sized + DeviceCopy> DeviceCopy for PhantomData<T> {}
    // SAFETY: elements hold no pointer.
    unsafe impl<T: DeviceCopy, const N: usize> DeviceCopy for [T; N] {}
    // SAFETY: neither element holds a pointer.
    unsafe impl<A: DeviceCopy, B: DeviceCopy> DeviceCopy for (A, B) {}
    // SAFETY: the value, where there is one, holds no pointer.
    unsafe impl<T: DeviceCopy> DeviceCopy for Option<T> {}
}
