//! Result codes: their names and texts, what `cust` can take of them, and the sentences that the
//! emulated driver has to say about its own.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::fmt;

/// A result code of the driver.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub i32);

macro_rules! codes {
    ($($value:literal $name:ident $text:literal;)+) => {
        #[allow(missing_docs, reason = "each is described by its text")]
        impl Code {
            $(pub const $name: Code = Code($value);)+

        /// Every code this crate knows, with its name and text, in rising order.
        const TABLE: &[(i32, &CStr, &CStr)] = &[
            $(($value, match CStr::from_bytes_with_nul(concat!("CUDA_ERROR_", stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name without zero bytes"),
            }, $text),)+
        ];
        }
    };
}

codes! {
    0 SUCCESS c"success";
    1 INVALID_VALUE c"an argument is out of its range";
    2 OUT_OF_MEMORY c"out of memory";
    3 NOT_INITIALIZED c"the driver is not initialised";
    4 DEINITIALIZED c"the driver is shutting down";
    34 STUB_LIBRARY c"the library is a stub without a driver";
    46 DEVICE_UNAVAILABLE c"the device is busy or unavailable";
    100 NO_DEVICE c"no device";
    101 INVALID_DEVICE c"no device of that ordinal";
    200 INVALID_IMAGE c"the image is no module";
    201 INVALID_CONTEXT c"no context is current, or the context is not valid";
    209 NO_BINARY_FOR_GPU c"nothing in the image fits the device";
    217 PEER_ACCESS_UNSUPPORTED c"the devices cannot access each other";
    218 INVALID_PTX c"the PTX could not be compiled";
    222 UNSUPPORTED_PTX_VERSION c"the PTX is of a later version than the driver knows";
    302 SHARED_OBJECT_SYMBOL_NOT_FOUND c"the driver library lacks this function";
    303 SHARED_OBJECT_INIT_FAILED c"no driver library was found";
    304 OPERATING_SYSTEM c"a call of the operating system failed";
    400 INVALID_HANDLE c"the handle is not valid";
    401 ILLEGAL_STATE c"the object is in the wrong state for this call";
    500 NOT_FOUND c"nothing of that name";
    600 NOT_READY c"the work is not complete yet";
    700 ILLEGAL_ADDRESS c"a kernel accessed memory out of bounds";
    701 LAUNCH_OUT_OF_RESOURCES c"the launch needs more resources than the device has";
    702 LAUNCH_TIMEOUT c"a kernel did not end";
    704 PEER_ACCESS_ALREADY_ENABLED c"peer access is already enabled";
    705 PEER_ACCESS_NOT_ENABLED c"peer access is not enabled";
    708 PRIMARY_CONTEXT_ACTIVE c"the primary context is active";
    709 CONTEXT_IS_DESTROYED c"the context is destroyed";
    710 ASSERT c"an assertion failed in a kernel";
    712 HOST_MEMORY_ALREADY_REGISTERED c"the host memory is already registered";
    713 HOST_MEMORY_NOT_REGISTERED c"the host memory is not registered";
    714 HARDWARE_STACK_ERROR c"a kernel's call stack is corrupt";
    715 ILLEGAL_INSTRUCTION c"a kernel executed an illegal instruction";
    716 MISALIGNED_ADDRESS c"a kernel used an address that is no multiple of the access size";
    717 INVALID_ADDRESS_SPACE c"a kernel used an address of the wrong state space";
    718 INVALID_PC c"a kernel jumped to an invalid place";
    719 LAUNCH_FAILED c"a kernel failed";
    720 COOPERATIVE_LAUNCH_TOO_LARGE c"the cooperative launch does not fit the device at once";
    800 NOT_PERMITTED c"not permitted";
    801 NOT_SUPPORTED c"not supported";
    802 SYSTEM_NOT_READY c"the system is not ready";
    803 SYSTEM_DRIVER_MISMATCH c"the driver library and the kernel module differ in version";
    804 COMPAT_NOT_SUPPORTED_ON_DEVICE c"the compatibility library does not support this device";
    900 STREAM_CAPTURE_UNSUPPORTED c"not allowed while a stream captures";
    901 STREAM_CAPTURE_INVALIDATED c"the capture was broken by an earlier call";
    902 STREAM_CAPTURE_MERGE c"two captures would be joined";
    903 STREAM_CAPTURE_UNMATCHED c"the capture did not begin in this stream";
    904 STREAM_CAPTURE_UNJOINED c"a forked stream was not joined before the capture ended";
    905 STREAM_CAPTURE_ISOLATION c"a capture would depend on work outside of it";
    907 CAPTURED_EVENT c"the event was recorded in a capture";
    908 STREAM_CAPTURE_WRONG_THREAD c"the capture began in another thread";
    910 GRAPH_EXEC_UPDATE_FAILURE c"the graph differs in more than parameters";
    912 INVALID_CLUSTER_SIZE c"the device cannot run clusters of this size";
    999 UNKNOWN c"an error without a code of its own";
}

/// Codes of CUDA 11.4, the only ones that `cust`'s enum can hold, as ranges.
const OF_CUST: [(i32, i32); 14] = [
    (0, 8),
    (34, 34),
    (100, 102),
    (200, 202),
    (205, 224),
    (300, 304),
    (400, 401),
    (500, 500),
    (600, 600),
    (700, 705),
    (708, 720),
    (800, 809),
    (900, 911),
    (999, 999),
];

impl Code {
    /// True for success.
    pub fn is_success(self) -> bool {
        self == Code::SUCCESS
    }

    fn entry(self) -> Option<&'static (i32, &'static CStr, &'static CStr)> {
        let index = Self::TABLE.binary_search_by_key(&self.0, |entry| entry.0).ok()?;
        Self::TABLE.get(index)
    }

    /// The driver's name of the code, or that of the unknown error.
    pub fn name(self) -> &'static CStr {
        match self.entry() {
            Some((0, ..)) => c"CUDA_SUCCESS",
            Some((_, name, _)) => name,
            None => c"CUDA_ERROR_UNKNOWN",
        }
    }

    /// What the code means, in a few words.
    pub fn text(self) -> &'static CStr {
        self.entry().map_or(c"an error of a driver later than this program", |entry| entry.2)
    }

    /// True where the error stays: every later call on the device's context fails with it.
    pub fn is_sticky(self) -> bool {
        matches!(self.0, 700 | 702 | 710 | 714..=719)
    }

    /// The code itself where `cust`'s enum of CUDA 11.4 has it, else the unknown error. Any other
    /// value in that enum would be undefined behaviour.
    pub(crate) fn folded(self) -> i32 {
        let is_known = OF_CUST.iter().any(|(first, last)| (*first..=*last).contains(&self.0));
        if is_known { self.0 } else { Code::UNKNOWN.0 }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, text) = (self.name().to_string_lossy(), self.text().to_string_lossy());
        write!(f, "{} {name} ({text})", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

thread_local! {
    static LAST: Cell<i32> = const { Cell::new(0) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The unchanged code of this thread's last call that failed.
pub fn last_raw_code() -> Code {
    Code(LAST.get())
}

/// What there is to say about this thread's last failing call beyond its code: the emulated
/// driver says what was wrong with the arguments, or gives the finding of a fault; the library
/// never says more.
pub fn message() -> Option<String> {
    MESSAGE.with_borrow(Clone::clone)
}

/// Remembers a result and hands it on.
pub(crate) fn remember(code: Code, message: Option<String>) -> i32 {
    if !code.is_success() {
        LAST.set(code.0);
        MESSAGE.set(message);
    }
    code.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_answers() {
        assert!(Code::TABLE.is_sorted_by_key(|entry| entry.0));
        assert_eq!(Code(0).name(), c"CUDA_SUCCESS");
        assert_eq!(Code(700).name(), c"CUDA_ERROR_ILLEGAL_ADDRESS");
        assert_eq!(Code(123_456).name(), c"CUDA_ERROR_UNKNOWN");
        assert!(Code(700).is_sticky() && !Code(600).is_sticky() && !Code(2).is_sticky());
    }

    #[test]
    fn codes_later_than_cust_are_folded() {
        for code in [0, 1, 2, 700, 719, 911, 999] {
            assert_eq!(Code(code).folded(), code);
        }
        for code in [-1, 36, 46, 225, 402, 706, 721, 810, 912, 916, 100_100] {
            assert_eq!(Code(code).folded(), 999);
        }
    }
}
