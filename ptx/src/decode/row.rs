//! Functions over whole rows: 32 lanes at once, so that the compiler makes vector code of them.
//! `row!` writes one such function from an expression over one lane; it exists twice, plain and
//! for AVX2 with FMA, and the better one the host can run is taken when a kernel is decoded.

/// Computes one result row from up to four source rows.
///
/// A row holds 32 values of 4 or 8 bytes; which, the function knows.
pub(crate) type RowFn = unsafe fn(*mut u32, [*const u32; 4]);

/// Compares two rows; bit `i` of the result is lane `i`.
pub(crate) type PredFn = unsafe fn([*const u32; 4]) -> u32;

/// True where the host has what the fast versions are compiled for.
pub(crate) fn is_fast_host() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

macro_rules! row {
    (|$($x:ident : $t:ty),+| -> $r:ty { $body:expr }) => {{
        /// # Safety
        /// Every source must point to 32 readable values of its type and `out` to 32 writable
        /// ones, and `out` must not overlap a source.
        #[inline(always)]
        unsafe fn body(out: *mut u32, sources: [*const u32; 4]) {
            let mut rest = sources.iter();
            // SAFETY: the caller promises 32 values behind each pointer and no overlap.
            unsafe {
                $(let $x = &*rest.next().map_or(std::ptr::null(), |p| p.cast::<[$t; 32]>());)+
                let out = &mut *out.cast::<[$r; 32]>();
                for lane in 0..32 {
                    $(let $x: $t = $x[lane];)+
                    out[lane] = $body;
                }
            }
        }
        /// # Safety
        /// As `body`.
        unsafe fn plain(out: *mut u32, sources: [*const u32; 4]) {
            // SAFETY: passed on from the caller.
            unsafe { body(out, sources) }
        }
        #[cfg(target_arch = "x86_64")]
        /// # Safety
        /// As `body`, and the host must have the features.
        #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
        unsafe fn fast(out: *mut u32, sources: [*const u32; 4]) {
            // SAFETY: passed on from the caller.
            unsafe { body(out, sources) }
        }
        #[cfg(target_arch = "x86_64")]
        let chosen: $crate::decode::row::RowFn =
            if $crate::decode::row::is_fast_host() { fast } else { plain };
        #[cfg(not(target_arch = "x86_64"))]
        let chosen: $crate::decode::row::RowFn = plain;
        chosen
    }};
}

macro_rules! pred_row {
    (|$($x:ident : $t:ty),+| $body:expr) => {{
        /// # Safety
        /// Every source must point to 32 readable values of its type.
        unsafe fn body(sources: [*const u32; 4]) -> u32 {
            let mut rest = sources.iter();
            let mut flags = [0u8; 32];
            // SAFETY: the caller promises 32 values behind each pointer.
            unsafe {
                $(let $x = &*rest.next().map_or(std::ptr::null(), |p| p.cast::<[$t; 32]>());)+
                for lane in 0..32 {
                    $(let $x: $t = $x[lane];)+
                    flags[lane] = u8::from($body);
                }
            }
            $crate::decode::row::gather(&flags)
        }
        body as $crate::decode::row::PredFn
    }};
}

/// Packs 32 flags of 0 or 1 into a mask.
#[inline]
pub(crate) fn gather(flags: &[u8; 32]) -> u32 {
    let mut mask = 0;
    for (index, bytes) in flags.as_chunks::<8>().0.iter().enumerate() {
        // The product moves bit 0 of each byte to its place in the top byte.
        let packed = u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= (packed as u32) << (8 * index);
    }
    mask
}

pub(crate) use {pred_row, row};
