//! The AVX2 and AVX-512 vectors and the entry points compiled for them.

use super::{Kernel, Lane};
use half::bf16;
use std::arch::x86_64::*;
use std::mem::transmute;
use std::ops::{Add, Div, Mul, Sub};

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

/// Eight floats.
#[derive(Clone, Copy)]
struct Avx2(__m256);

/// Sixteen floats, with or without the dot product of bf16 pairs.
#[derive(Clone, Copy)]
struct Avx512<const HAS_BF16: bool>(__m512);

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

operator!([] Avx2, Add, add, _mm256_add_ps);
operator!([] Avx2, Sub, sub, _mm256_sub_ps);
operator!([] Avx2, Mul, mul, _mm256_mul_ps);
operator!([] Avx2, Div, div, _mm256_div_ps);
operator!([const HAS_BF16: bool] Avx512<HAS_BF16>, Add, add, _mm512_add_ps);
operator!([const HAS_BF16: bool] Avx512<HAS_BF16>, Sub, sub, _mm512_sub_ps);
operator!([const HAS_BF16: bool] Avx512<HAS_BF16>, Mul, mul, _mm512_mul_ps);
operator!([const HAS_BF16: bool] Avx512<HAS_BF16>, Div, div, _mm512_div_ps);

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
