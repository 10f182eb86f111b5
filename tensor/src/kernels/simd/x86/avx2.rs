//! Eight floats in a register.

use crate::kernels::simd::Lane;
use half::bf16;
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Sub};

/// Eight floats.
#[derive(Clone, Copy)]
pub(super) struct Avx2(pub(super) __m256);

operator!([] Avx2, Add, add, _mm256_add_ps);
operator!([] Avx2, Sub, sub, _mm256_sub_ps);
operator!([] Avx2, Mul, mul, _mm256_mul_ps);
operator!([] Avx2, Div, div, _mm256_div_ps);

impl Avx2 {
    /// All bits set in the first `n` places.
    #[inline(always)]
    fn mask(n: usize) -> __m256i {
        const ONES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(n <= 8);
        // SAFETY: eight integers starting at 8 - n lie inside the table, and AVX2 is there.
        unsafe { _mm256_loadu_si256(ONES.as_ptr().add(8 - n).cast()) }
    }
}

impl Lane for Avx2 {
    const WIDTH: usize = 8;
    const TILE_ROWS: usize = 4;
    const TILE_VECTORS: usize = 2;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: this type is named only below the entry point of its level.
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises eight readable floats.
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises eight writable floats.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn read_part(from: &[f32]) -> Self {
        // SAFETY: the mask selects the floats of the slice; others are not touched.
        Self(unsafe { _mm256_maskload_ps(from.as_ptr(), Self::mask(from.len())) })
    }

    #[inline(always)]
    fn write_part(self, to: &mut [f32]) {
        // SAFETY: the mask selects the floats of the slice; others are not touched.
        unsafe { _mm256_maskstore_ps(to.as_mut_ptr(), Self::mask(to.len()), self.0) }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm256_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm256_sqrt_ps(self.0) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm256_round_ps::<NEAREST>(self.0) })
    }

    #[inline(always)]
    fn scale_by_power(self, exponent: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        unsafe {
            // Two factors reach denormal results and infinity without leaving the normal range.
            let n = _mm256_cvtps_epi32(exponent.0);
            let half = _mm256_srai_epi32::<1>(n);
            let rest = _mm256_sub_epi32(n, half);
            let bias = _mm256_set1_epi32(127);
            let first = _mm256_slli_epi32::<23>(_mm256_add_epi32(half, bias));
            let second = _mm256_slli_epi32::<23>(_mm256_add_epi32(rest, bias));
            let product = _mm256_mul_ps(self.0, _mm256_castsi256_ps(first));
            Self(_mm256_mul_ps(product, _mm256_castsi256_ps(second)))
        }
    }

    #[inline(always)]
    fn swap_pairs(self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm256_permute_ps::<0b10_11_00_01>(self.0) })
    }

    #[inline(always)]
    fn where_less(a: Self, b: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        unsafe {
            let mask = _mm256_cmp_ps::<_CMP_LT_OQ>(a.0, b.0);
            Self(_mm256_blendv_ps(otherwise.0, then.0, mask))
        }
    }

    /// The first and the second numbers of the pairs.
    type Pairs = [Self; 2];

    #[inline(always)]
    unsafe fn load_pairs(from: *const bf16) -> [Self; 2] {
        // SAFETY: the caller promises sixteen readable numbers.
        unsafe {
            let pairs = _mm256_loadu_si256(from.cast());
            let second = _mm256_and_si256(pairs, _mm256_set1_epi32(!0xffff));
            let first = _mm256_slli_epi32::<16>(pairs);
            [Self(_mm256_castsi256_ps(first)), Self(_mm256_castsi256_ps(second))]
        }
    }

    #[inline(always)]
    unsafe fn splat_pair(from: *const bf16) -> [Self; 2] {
        // SAFETY: the caller promises two readable numbers.
        let pair = unsafe { from.cast::<u32>().read_unaligned() };
        [Self::splat(f32::from_bits(pair << 16)), Self::splat(f32::from_bits(pair & !0xffff))]
    }

    #[inline(always)]
    fn add_products(self, [a, c]: [Self; 2], [b, d]: [Self; 2]) -> Self {
        c.mul_add(d, a.mul_add(b, self))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: a value of this type exists only below the entry point of its level.
        unsafe {
            let high = _mm256_extractf128_ps::<1>(self.0);
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), high);
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}
