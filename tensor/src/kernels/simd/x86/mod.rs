//! The AVX2 and AVX-512 vectors and the entry points compiled for them.

use super::Kernel;
use avx2::Avx2;
use avx512::Avx512;
use half::bf16;
use std::arch::x86_64::*;

/// Implements an arithmetic operator by an intrinsic.
macro_rules! operator {
    ([$($generics:tt)*] $lane:ty, $trait:ident, $method:ident, $intrinsic:ident) => {
        impl<$($generics)*> $trait for $lane {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: a value of this type exists only below the entry point of its level.
                Self(unsafe { $intrinsic(self.0, other.0) })
            }
        }
    };
}

mod avx2;
mod avx512;

pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

pub(super) fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
}

pub(super) fn has_avx512_bf16() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512bf16")
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
pub(super) fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512<false>>()
}

#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")]
pub(super) fn run_avx512_bf16<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512<true>>()
}

/// The baseline form of [`super::transpose_block`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn transpose_block(
    from: *const f32,
    from_leading: usize,
    factor: f32,
    to: *mut f32,
    to_leading: usize,
) {
    // SAFETY: SSE is in the baseline of x86-64; the caller answers for the memory.
    unsafe {
        let factor = _mm_set1_ps(factor);
        let mut rows = [_mm_setzero_ps(); 4];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = _mm_mul_ps(_mm_loadu_ps(from.add(i * from_leading)), factor);
        }
        for (j, column) in transposed(rows).into_iter().enumerate() {
            _mm_storeu_ps(to.add(j * to_leading), column);
        }
    }
}

/// The baseline form of [`super::transpose_pairs`].
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn transpose_pairs(
    from: *const bf16,
    from_leading: usize,
    to: *mut bf16,
    to_leading: usize,
) {
    // SAFETY: SSE is in the baseline of x86-64; the caller answers for the memory. The shuffles
    // leave the bits of each pair as they are.
    unsafe {
        let mut rows = [_mm_setzero_ps(); 4];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = _mm_loadu_ps(from.add(i * from_leading).cast());
        }
        for (j, column) in transposed(rows).into_iter().enumerate() {
            _mm_storeu_ps(to.add(2 * j * to_leading).cast(), column);
        }
    }
}

/// The columns of four rows.
#[inline(always)]
fn transposed([a, b, c, d]: [__m128; 4]) -> [__m128; 4] {
    // SAFETY: SSE is in the baseline of x86-64.
    unsafe {
        let (ab_low, ab_high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        [
            _mm_movelh_ps(ab_low, cd_low),
            _mm_movehl_ps(cd_low, ab_low),
            _mm_movelh_ps(ab_high, cd_high),
            _mm_movehl_ps(cd_high, ab_high),
        ]
    }
}
