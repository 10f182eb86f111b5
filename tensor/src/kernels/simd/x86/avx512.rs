//! Sixteen floats in a register.

use super::Avx2;
use crate::kernels::simd::Lane;
use half::bf16;
use std::arch::x86_64::*;
use std::mem::transmute;
use std::ops::{Add, Div, Mul, Sub};

/// Sixteen floats, with or without the dot product of bf16 pairs.
#[derive(Clone, Copy)]
pub(super) struct Avx512<const HAS_BF16: bool>(__m512);

operator!([const HAS_BF16: bool] Avx512<HAS_BF16>, Add, add, _mm512_add_ps);
operator!([const HAS_BF16: bool] Avx512<HAS_BF16>, Sub, sub, _mm512_sub_ps);
operator!([const HAS_BF16: bool] Avx512<HAS_BF16>, Mul, mul, _mm512_mul_ps);
operator!([const HAS_BF16: bool] Avx512<HAS_BF16>, Div, div, _mm512_div_ps);

impl<const HAS_BF16: bool> Avx512<HAS_BF16> {
    /// The first `n` places.
    #[inline(always)]
    fn mask(n: usize) -> __mmask16 {
        assert!(n <= 16);
        ((1u32 << n) - 1) as __mmask16
    }

    /// The lower and the upper half, added.
    #[inline(always)]
    fn folded(self) -> Avx2 {
        // SAFETY: a value of this type exists only below the entry point of its level.
        let high = unsafe { _mm512_extractf32x8_ps::<1>(self.0) };
        // SAFETY: as above.
        let low = unsafe { _mm512_castps512_ps256(self.0) };
        Avx2(low) + Avx2(high)
    }
}

impl<const HAS_BF16: bool> Lane for Avx512<HAS_BF16> {
    const WIDTH: usize = 16;
    const TILE_ROWS: usize = 8;
    const TILE_VECTORS: usize = 3;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: this type is named only below the entry point of its level.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises sixteen readable floats.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises sixteen writable floats.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn read_part(from: &[f32]) -> Self {
        // SAFETY: the mask selects the floats of the slice; others are not touched.
        Self(unsafe { _mm512_maskz_loadu_ps(Self::mask(from.len()), from.as_ptr()) })
    }

    #[inline(always)]
    fn write_part(self, to: &mut [f32]) {
        // SAFETY: the mask selects the floats of the slice; others are not touched.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), Self::mask(to.len()), self.0) }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm512_sqrt_ps(self.0) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm512_roundscale_ps::<NEAREST>(self.0) })
    }

    #[inline(always)]
    fn scale_by_power(self, exponent: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm512_scalef_ps(self.0, exponent.0) })
    }

    #[inline(always)]
    fn swap_pairs(self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        Self(unsafe { _mm512_permute_ps::<0b10_11_00_01>(self.0) })
    }

    #[inline(always)]
    fn where_less(a: Self, b: Self, then: Self, otherwise: Self) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level.
        unsafe {
            let mask = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a.0, b.0);
            Self(_mm512_mask_blend_ps(mask, otherwise.0, then.0))
        }
    }

    type Pairs = __m512i;

    #[inline(always)]
    unsafe fn load_pairs(from: *const bf16) -> __m512i {
        // SAFETY: the caller promises 32 readable numbers.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_pair(from: *const bf16) -> __m512i {
        // SAFETY: the caller promises two readable numbers.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn add_products(self, a: __m512i, b: __m512i) -> Self {
        // SAFETY: a value of this type exists only below the entry point of its level, which has
        // the dot product where `HAS_BF16`; the two vector types are the same 64 bytes.
        unsafe {
            if HAS_BF16 {
                let cast = transmute::<__m512i, __m512bh>;
                return Self(_mm512_dpbf16_ps(self.0, cast(a), cast(b)));
            }
            let high = _mm512_set1_epi32(!0xffff);
            let (first_a, first_b) = (_mm512_slli_epi32::<16>(a), _mm512_slli_epi32::<16>(b));
            let (second_a, second_b) = (_mm512_and_si512(a, high), _mm512_and_si512(b, high));
            let [first_a, first_b, second_a, second_b] = [
                Self(_mm512_castsi512_ps(first_a)),
                Self(_mm512_castsi512_ps(first_b)),
                Self(_mm512_castsi512_ps(second_a)),
                Self(_mm512_castsi512_ps(second_b)),
            ];
            second_a.mul_add(second_b, first_a.mul_add(first_b, self))
        }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        self.folded().sum()
    }
}
