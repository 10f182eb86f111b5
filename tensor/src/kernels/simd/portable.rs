//! Four floats as an array: what runs where no better level is known.

use super::Lane;
use half::bf16;
use std::array;
use std::ops::{Add, Div, Mul, Sub};

/// Four floats, the vector of the x86-64 and AArch64 baselines.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct Portable([f32; 4]);

macro_rules! operator {
    ($($trait:ident $method:ident $op:tt)*) => {$(
        impl $trait for Portable {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let (a, b) = (self.0, other.0);
                Self([a[0] $op b[0], a[1] $op b[1], a[2] $op b[2], a[3] $op b[3]])
            }
        }
    )*};
}

operator! { Add add + Sub sub - Mul mul * Div div / }

/// The number of a pair that comes first in memory.
#[inline(always)]
fn first(pair: u32) -> f32 {
    f32::from_bits(if cfg!(target_endian = "little") { pair << 16 } else { pair & !0xffff })
}

/// The number of a pair that comes second in memory.
#[inline(always)]
fn second(pair: u32) -> f32 {
    f32::from_bits(if cfg!(target_endian = "little") { pair & !0xffff } else { pair << 16 })
}

/// Two to an integral power within the normal range.
#[inline(always)]
fn power(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

impl Lane for Portable {
    const WIDTH: usize = 4;
    const TILE_ROWS: usize = 4;
    const TILE_VECTORS: usize = 2;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises four readable floats; an unaligned read asks no more.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises four writable floats; an unaligned write asks no more.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    fn read_part(from: &[f32]) -> Self {
        let mut floats = [0.0; 4];
        floats[..from.len()].copy_from_slice(from);
        Self(floats)
    }

    #[inline(always)]
    fn write_part(self, to: &mut [f32]) {
        to.copy_from_slice(&self.0[..to.len()]);
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self * factor + addend
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::where_less(other, self, self, other)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self::where_less(self, other, self, other)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        let a = self.0;
        Self([a[0].sqrt(), a[1].sqrt(), a[2].sqrt(), a[3].sqrt()])
    }

    #[inline(always)]
    fn round(self) -> Self {
        // Adding 1.5 * 2^23 leaves no fraction bits, so the addition itself rounds to even.
        let shift = Self::splat(12_582_912.0);
        self + shift - shift
    }

    #[inline(always)]
    fn scale_by_power(self, exponent: Self) -> Self {
        // Two factors reach denormal results and infinity without leaving the normal range.
        let (x, n) = (self.0, exponent.0);
        Self(array::from_fn(|i| {
            let n = n[i] as i32;
            x[i] * power(n >> 1) * power(n - (n >> 1))
        }))
    }

    #[inline(always)]
    fn swap_pairs(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([b, a, d, c])
    }

    #[inline(always)]
    fn where_less(a: Self, b: Self, then: Self, otherwise: Self) -> Self {
        let pick = |i: usize| if a.0[i] < b.0[i] { then.0[i] } else { otherwise.0[i] };
        Self([pick(0), pick(1), pick(2), pick(3)])
    }

    /// The first and the second numbers of the pairs.
    type Pairs = [Self; 2];

    #[inline(always)]
    unsafe fn load_pairs(from: *const bf16) -> [Self; 2] {
        // SAFETY: the caller promises eight readable numbers; an unaligned read asks no more.
        let pairs = unsafe { from.cast::<[u32; 4]>().read_unaligned() };
        [Self(pairs.map(first)), Self(pairs.map(second))]
    }

    #[inline(always)]
    unsafe fn splat_pair(from: *const bf16) -> [Self; 2] {
        // SAFETY: the caller promises two readable numbers; an unaligned read asks no more.
        let pair = unsafe { from.cast::<u32>().read_unaligned() };
        [Self::splat(first(pair)), Self::splat(second(pair))]
    }

    #[inline(always)]
    fn add_products(self, [a, c]: [Self; 2], [b, d]: [Self; 2]) -> Self {
        c.mul_add(d, a.mul_add(b, self))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + c) + (b + d)
    }
}
