//! Arguments of the driver's calls as they cross the C interface: pointers with the few things
//! that may be done with them, and the structures of calls that are later than `cust`. All have
//! the size and class of what `cuda.h` declares.

use std::ffi::{CStr, c_char, c_void};

/// An opaque handle, or a pointer that is handed on as it is.
pub type Raw = *mut c_void;

/// A function that a stream calls on the host.
pub type HostFunction = unsafe extern "C" fn(Raw);

/// Bytes of a tensor map.
pub const TENSOR_MAP_BYTES: usize = vincie_ptx::TENSOR_MAP_BYTES;

/// A pointer through which a call gives a result; null where none is wanted.
///
/// One can be made safely, as it does nothing by itself. The calls that write through it are
/// unsafe functions, whose caller promises that it is null or valid for the call.
#[repr(transparent)]
pub struct Out<T>(*mut T);

/// A pointer to values that a call reads, under the same promise as [`Out`].
#[repr(transparent)]
pub struct In<T>(*const T);

/// A text that ends with a zero byte, under the same promise as [`Out`].
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Text(*const c_char);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

impl<T> Clone for In<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for In<T> {}

impl<T> Out<T> {
    pub(crate) const NONE: Self = Out(std::ptr::null_mut());

    /// Lets a call write here.
    pub fn to(place: &mut T) -> Self {
        Out(place)
    }

    /// Lets a call write to this address.
    pub fn at(address: *mut T) -> Self {
        Out(address)
    }

    /// The result is not wanted.
    pub fn none() -> Self {
        Self::NONE
    }

    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }

    /// Writes the result; false where the pointer is null.
    pub(crate) fn put(self, value: T) -> bool {
        if self.0.is_null() {
            return false;
        }
        // SAFETY: an `Out` reaches the emulator only through an unsafe call, whose caller promised
        // that a pointer other than null is valid for writes. It may be unaligned in C.
        unsafe { self.0.write_unaligned(value) };
        true
    }

    /// What stands there before; nothing where the pointer is null.
    pub(crate) fn get(self) -> Option<T>
    where
        T: Copy,
    {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: as in `put`; the calls that read such a place document that it is filled.
        Some(unsafe { self.0.read_unaligned() })
    }

    /// The place of the value behind this one, `count` further.
    pub(crate) fn offset(self, count: usize) -> Self {
        Out(self.0.wrapping_add(count))
    }

    /// The same place, taken as one of another type.
    pub(crate) fn cast<U>(self) -> Out<U> {
        Out(self.0.cast())
    }

    /// Writes consecutive values.
    pub(crate) fn put_all(self, values: &[T])
    where
        T: Copy,
    {
        if !self.0.is_null() {
            // SAFETY: as in `put`; the call's contract gives room for as many values.
            unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.0, values.len()) };
        }
    }
}

impl<T: Copy> In<T> {
    /// Lets a call read these values.
    pub fn from(values: &[T]) -> Self {
        In(values.as_ptr())
    }

    /// Lets a call read from this address.
    pub fn at(address: usize) -> Self {
        In(address as *const T)
    }

    /// There are no values.
    pub fn none() -> Self {
        In(std::ptr::null())
    }

    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }

    /// The value at an index; nothing where the pointer is null.
    pub(crate) fn get(self, index: usize) -> Option<T> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: an `In` reaches the emulator only through an unsafe call, whose caller promised
        // that it points to as many values as the call reads. It may be unaligned in C.
        Some(unsafe { self.0.add(index).read_unaligned() })
    }

    /// The first `count` values; nothing where the pointer is null.
    pub(crate) fn all(self, count: usize) -> Option<Vec<T>> {
        (0..count).map(|index| self.get(index)).collect()
    }
}

impl Text {
    /// Lets a call read this text.
    pub fn from(text: &CStr) -> Self {
        Text(text.as_ptr())
    }

    /// The bytes before the zero; nothing where the pointer is null.
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: the caller of the unsafe call promised a text that ends with a zero byte.
        Some(unsafe { CStr::from_ptr(self.0) }.to_bytes().to_vec())
    }
}

/// Host memory that a queued copy reads or writes later: an address without a borrow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostRange {
    pub(crate) address: usize,
    pub(crate) bytes: usize,
}

impl HostRange {
    pub(crate) fn read(self) -> Vec<u8> {
        if self.bytes == 0 {
            return Vec::new();
        }
        // SAFETY: the caller of the copy promised that the range is valid until the copy is done.
        unsafe { std::slice::from_raw_parts(self.address as *const u8, self.bytes) }.to_vec()
    }

    pub(crate) fn write(self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.bytes, "a copy fills its range");
        // SAFETY: as in `read`, for writes; the source is another allocation.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.address as *mut u8, self.bytes);
        }
    }
}

/// A function of the host with its argument, waiting in a stream.
#[derive(Clone, Copy)]
pub(crate) struct HostCall {
    pub(crate) function: HostFunction,
    pub(crate) data: usize,
}

impl HostCall {
    pub(crate) fn run(self) {
        // SAFETY: the caller of `cuLaunchHostFunc` promised that the function may be called once
        // with this argument, on any thread.
        unsafe { (self.function)(self.data as Raw) }
    }
}

/// An attribute of a launch: `CUlaunchAttribute`, 72 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Which attribute it is.
    pub id: u32,
    padding: u32,
    /// Its value; of most, only the first words count.
    pub value: [u32; 16],
}

impl Attribute {
    const COOPERATIVE: u32 = 2;
    const CLUSTER: u32 = 4;

    /// CTAs of a cluster along x, y, z.
    pub fn cluster(shape: [u32; 3]) -> Self {
        let mut value = [0; 16];
        value[..3].copy_from_slice(&shape);
        Attribute { id: Self::CLUSTER, padding: 0, value }
    }

    /// All CTAs are resident at once, so that they may wait for each other.
    pub fn cooperative() -> Self {
        let mut value = [0; 16];
        value[0] = 1;
        Attribute { id: Self::COOPERATIVE, padding: 0, value }
    }

    pub(crate) fn as_cluster(&self) -> Option<[u32; 3]> {
        (self.id == Self::CLUSTER).then(|| [self.value[0], self.value[1], self.value[2]])
    }

    pub(crate) fn as_cooperative(&self) -> Option<bool> {
        (self.id == Self::COOPERATIVE).then(|| self.value[0] != 0)
    }
}

/// Shape of a launch: `CUlaunchConfig`, 56 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LaunchSetup {
    /// CTAs along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a CTA along x, y, z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared_bytes: u32,
    /// The stream.
    pub stream: Raw,
    /// First of the attributes.
    pub attributes: In<Attribute>,
    /// How many there are.
    pub attribute_count: u32,
}

/// A tensor map as a kernel takes it: `CUtensorMap`, aligned as CUDA 13 declares it.
#[repr(C, align(128))]
#[derive(Clone, Copy)]
pub struct TensorMap(pub [u8; TENSOR_MAP_BYTES]);

/// A copy of rows between pitched memories: `CUDA_MEMCPY2D`, 128 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MemcpyRows {
    pub(crate) source: RowsPlace,
    pub(crate) target: RowsPlace,
    pub(crate) row_bytes: usize,
    pub(crate) rows: usize,
}

/// One side of such a copy.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RowsPlace {
    pub(crate) x_bytes: usize,
    pub(crate) y: usize,
    /// 1 is the host, 2 the device.
    pub(crate) memory: u32,
    pub(crate) host: usize,
    pub(crate) device: u64,
    pub(crate) array: usize,
    pub(crate) pitch: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_cuda() {
        assert_eq!(size_of::<Attribute>(), 72);
        assert_eq!(std::mem::offset_of!(Attribute, value), 8);
        assert_eq!(size_of::<LaunchSetup>(), 56);
        assert_eq!((size_of::<TensorMap>(), align_of::<TensorMap>()), (128, 128));
        assert_eq!(size_of::<MemcpyRows>(), 128);
        assert_eq!(size_of::<Out<u64>>(), size_of::<Raw>());
    }

    #[test]
    fn null_pointers_are_neither_read_nor_written() {
        assert!(!Out::none().put(1u32));
        assert_eq!(In::<u32>::none().get(0), None);
        assert_eq!(Text(std::ptr::null()).bytes(), None);
        let mut value = 0u32;
        assert!(Out::to(&mut value).put(7));
        assert_eq!(value, 7);
    }
}
